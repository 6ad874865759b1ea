//! `simple_query_string`: a syntax that is never wrong.

use serde_json::Value;
use tantivy::query::{Occur, Query};

use super::body::Body;
use super::expansion::{Fuzziness, Fuzzy};
use super::minimum_should_match::MinimumShouldMatch;
use super::multi_match::{FieldList, Kind};
use super::query_string::leaf::{self, LeafOptions};
use super::query_string::syntax::Find;
use super::text::{Matching, Operator};
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};

/// Operators that are on, by `flags`.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "one per flag")]
struct Flags {
    and: bool,
    or: bool,
    not: bool,
    prefix: bool,
    phrase: bool,
    precedence: bool,
    escape: bool,
    whitespace: bool,
    fuzzy: bool,
    near: bool,
}

impl Flags {
    const fn all(on: bool) -> Self {
        Self {
            and: on,
            or: on,
            not: on,
            prefix: on,
            phrase: on,
            precedence: on,
            escape: on,
            whitespace: on,
            fuzzy: on,
            near: on,
        }
    }

    fn parse(text: &str) -> Result<Self> {
        let mut flags = Self::all(false);
        for flag in text.split('|').map(str::trim).filter(|flag| !flag.is_empty()) {
            match flag.to_ascii_uppercase().as_str() {
                "ALL" => return Ok(Self::all(true)),
                "NONE" => return Ok(Self::all(false)),
                "AND" => flags.and = true,
                "OR" => flags.or = true,
                "NOT" => flags.not = true,
                "PREFIX" => flags.prefix = true,
                "PHRASE" => flags.phrase = true,
                "PRECEDENCE" => flags.precedence = true,
                "ESCAPE" => flags.escape = true,
                "WHITESPACE" => flags.whitespace = true,
                "FUZZY" => flags.fuzzy = true,
                "NEAR" | "SLOP" => flags.near = true,
                other => {
                    return Err(ApiError::illegal_argument(format!(
                        "Unknown simple_query_string flag [{other}]"
                    )));
                }
            }
        }
        Ok(flags)
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Find(Find),
    Not(Box<Node>),
    /// All (`Must`) or any (`Should`) of these.
    Group(Occur, Vec<Node>),
}

struct Parser {
    chars: Vec<char>,
    at: usize,
    flags: Flags,
    usual: Occur,
    depth: usize,
}

/// Deepest nesting of parentheses that counts: each level is a call.
const DEEPEST: usize = 100;

impl Parser {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    /// What follows up to the end or a closing parenthesis. An operator holds for the parts on its two sides; where it
    /// changes, all before becomes one part.
    fn group(&mut self, nested: bool) -> Option<Node> {
        let mut top: Option<Node> = None;
        let mut before: Option<Occur> = None;
        let mut operation: Option<Occur> = None;
        let mut negations = 0;
        while let Some(c) = self.peek() {
            match c {
                '(' if self.flags.precedence && self.depth < DEEPEST => {
                    self.at += 1;
                    self.depth += 1;
                    let inner = self.group(true);
                    self.depth -= 1;
                    self.join(&mut top, &mut before, &mut operation, &mut negations, inner);
                }
                '(' | ')' if self.flags.precedence => {
                    self.at += 1;
                    if nested && c == ')' {
                        return top;
                    }
                }
                '"' if self.flags.phrase => {
                    let inner = self.phrase();
                    self.join(&mut top, &mut before, &mut operation, &mut negations, inner);
                }
                '+' if self.flags.and => {
                    self.at += 1;
                    if operation.is_none() && top.is_some() {
                        operation = Some(Occur::Must);
                    }
                }
                '|' if self.flags.or => {
                    self.at += 1;
                    if operation.is_none() && top.is_some() {
                        operation = Some(Occur::Should);
                    }
                }
                '-' if self.flags.not => {
                    self.at += 1;
                    negations += 1;
                }
                c if c.is_whitespace() && self.flags.whitespace => {
                    self.at += 1;
                    // A lone minus means nothing.
                    negations = 0;
                }
                _ => {
                    let inner = self.word();
                    self.join(&mut top, &mut before, &mut operation, &mut negations, inner);
                }
            }
        }
        top
    }

    fn join(
        &self,
        top: &mut Option<Node>,
        before: &mut Option<Occur>,
        operation: &mut Option<Occur>,
        negations: &mut u32,
        part: Option<Node>,
    ) {
        let Some(part) = part else {
            *operation = None;
            *negations = 0;
            return;
        };
        let part = if *negations % 2 == 1 { Node::Not(Box::new(part)) } else { part };
        let occur = operation.unwrap_or(self.usual);
        *top = Some(match top.take() {
            None => part,
            Some(Node::Group(same, mut parts)) if *before == Some(occur) && same == occur => {
                parts.push(part);
                Node::Group(occur, parts)
            }
            Some(other) => Node::Group(occur, vec![other, part]),
        });
        *before = if matches!(top, Some(Node::Group(..))) { Some(occur) } else { None };
        *operation = None;
        *negations = 0;
    }

    fn escaped(&mut self, text: &mut String) -> bool {
        if self.flags.escape && self.peek() == Some('\\') {
            self.at += 1;
            if let Some(c) = self.peek() {
                text.push(c);
                self.at += 1;
            }
            return true;
        }
        false
    }

    fn number(&mut self) -> Option<u32> {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        let digits: String = self.chars[start..self.at].iter().collect();
        digits.parse().ok()
    }

    fn phrase(&mut self) -> Option<Node> {
        self.at += 1;
        let start = self.at;
        let mut text = String::new();
        while let Some(c) = self.peek() {
            if self.escaped(&mut text) {
                continue;
            }
            self.at += 1;
            if c == '"' {
                let mut slop = None;
                if self.flags.near && self.peek() == Some('~') {
                    self.at += 1;
                    slop = self.number();
                }
                return (!text.is_empty()).then_some(Node::Find(Find::Phrase(text, slop)));
            }
            text.push(c);
        }
        // Not closed: the quote is passed over and the words count as words.
        self.at = start;
        None
    }

    fn word(&mut self) -> Option<Node> {
        let mut text = String::new();
        let mut escaped_last = false;
        while let Some(c) = self.peek() {
            if self.escaped(&mut text) {
                escaped_last = true;
                continue;
            }
            let ends = (c.is_whitespace() && self.flags.whitespace)
                || (c == '"' && self.flags.phrase)
                || (c == '|' && self.flags.or)
                || (c == '+' && self.flags.and)
                || (matches!(c, '(' | ')') && self.flags.precedence);
            if ends {
                break;
            }
            if c == '~' && self.flags.fuzzy && !text.is_empty() {
                let start = self.at;
                self.at += 1;
                let edits = self.number();
                let at_end = self.peek().is_none_or(|c| c.is_whitespace() || "\"|+()".contains(c));
                if at_end {
                    let edits = edits.unwrap_or(2).min(2) as f32;
                    return Some(Node::Find(Find::Fuzzy(text, Some(edits))));
                }
                self.at = start;
            }
            escaped_last = false;
            text.push(c);
            self.at += 1;
        }
        if self.flags.prefix && text.len() > 1 && text.ends_with('*') && !escaped_last {
            text.pop();
            return Some(Node::Find(Find::Prefix(text)));
        }
        if text.is_empty() {
            self.at += 1;
            return None;
        }
        Some(Node::Find(Find::Words { text, several: false }))
    }
}

#[derive(Debug)]
struct SimpleQueryString {
    tree: Option<Node>,
    fields: FieldList,
    options: LeafOptions,
    minimum_should_match: Option<MinimumShouldMatch>,
    boost: f32,
}

/// `{"simple_query_string": {"query": "a + \"b c\"", "fields": [..], "default_operator", "flags", ...}}`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("simple_query_string", value)?;
    let text = body.text("query")?;
    let fields = FieldList::parse(&body.texts("fields")?.unwrap_or_default())?;
    let operator =
        body.text("default_operator")?.map(|text| Operator::parse(&text)).transpose()?.unwrap_or_default();
    let analyzer = body.text("analyzer")?;
    let flags = body.text("flags")?.map_or(Ok(Flags::all(true)), |flags| Flags::parse(&flags))?;
    let lenient = body.boolean("lenient")?.unwrap_or_else(|| fields.is_all());
    let minimum_should_match =
        body.take("minimum_should_match").map(MinimumShouldMatch::parse).transpose()?;
    let fuzzy = Fuzzy {
        fuzziness: Fuzziness::Auto(3, 6),
        prefix_length: body.count("fuzzy_prefix_length")?.unwrap_or(0) as usize,
        max_expansions: body.count("fuzzy_max_expansions")?.unwrap_or(50) as usize,
        transpositions: body.boolean("fuzzy_transpositions")?.unwrap_or(true),
    };
    body.boolean("auto_generate_synonyms_phrase_query")?;
    let analyze_wildcard = body.boolean("analyze_wildcard")?.unwrap_or(false);
    let boost = body.boost()?;
    body.finish()?;
    let Some(text) = text else {
        return Err(ApiError::parsing("[simple_query_string] query text missing"));
    };
    let usual = if operator == Operator::And { Occur::Must } else { Occur::Should };
    let tree = Parser { chars: text.chars().collect(), at: 0, flags, usual, depth: 0 }.group(false);
    let matching = Matching { operator, analyzer, lenient, ..Matching::default() };
    let options = LeafOptions {
        matching,
        phrase_slop: 0,
        fuzzy,
        zone: None,
        kind: Kind::MostFields,
        tie_breaker: 1.0,
        lenient,
        analyze_wildcard,
    };
    Ok(Box::new(SimpleQueryString { tree, fields, options, minimum_should_match, boost }))
}

impl SimpleQueryString {
    fn compile_node(
        &self,
        context: &QueryContext<'_>,
        node: &Node,
        fields: &[(String, f32)],
        top: bool,
    ) -> Result<Option<Box<dyn Query>>> {
        match node {
            Node::Find(Find::Words { text, .. }) if text == "*" => Ok(Some(scoring::all())),
            Node::Find(find) => leaf::compile(context, find, fields, &self.options),
            Node::Not(inner) => {
                let Some(inner) = self.compile_node(context, inner, fields, false)? else { return Ok(None) };
                let clauses = vec![(Occur::MustNot, inner), (Occur::Must, scoring::all())];
                Ok(Some(scoring::boolean(clauses, 0)))
            }
            Node::Group(occur, nodes) => {
                let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
                for node in nodes {
                    if let Some(query) = self.compile_node(context, node, fields, false)? {
                        clauses.push((*occur, query));
                    }
                }
                if clauses.is_empty() {
                    return Ok(None);
                }
                let should = if *occur == Occur::Should { clauses.len() } else { 0 };
                let mut minimum = usize::from(should > 0);
                if let Some(specified) = self.minimum_should_match.as_ref().filter(|_| top && should > 0) {
                    minimum = minimum.max(specified.of(should));
                }
                if minimum > should {
                    return Ok(Some(scoring::none()));
                }
                Ok(Some(scoring::boolean(clauses, minimum)))
            }
        }
    }

    fn marks_of(&self, context: &QueryContext<'_>, node: &Node, marks: &mut Marks) -> Result<()> {
        match node {
            Node::Not(_) => Ok(()),
            Node::Group(_, nodes) => nodes.iter().try_for_each(|node| self.marks_of(context, node, marks)),
            Node::Find(find) => {
                for (name, _) in self.fields.resolve(context) {
                    if let Some(field) = context.table.get(&name) {
                        leaf::marks(context, find, field, &self.options, marks)?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl Clause for SimpleQueryString {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        let Some(tree) = &self.tree else { return Ok(scoring::none()) };
        let fields = self.fields.resolve(context);
        let query = self.compile_node(context, tree, &fields, true)?.unwrap_or_else(scoring::none);
        Ok(scoring::boosted(query, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        match &self.tree {
            Some(tree) => self.marks_of(context, tree, marks),
            None => Ok(()),
        }
    }
}
