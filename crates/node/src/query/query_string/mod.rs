//! `query_string`, and the `q` parameter of searches.

pub mod leaf;
pub mod syntax;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use tantivy::query::{Occur, Query};

use super::body::Body;
use super::expansion::{Fuzziness, Fuzzy};
use super::minimum_should_match::MinimumShouldMatch;
use super::multi_match::{FieldList, Kind};
use super::text::{Matching, Operator};
use super::{Clause, Marks, QueryContext, scoring};
use crate::dates;
use crate::error::{ApiError, Result};
use leaf::LeafOptions;
use syntax::{Find, Leaf, Node};

#[derive(Debug)]
struct QueryString {
    text: String,
    fields: FieldList,
    default_operator: Operator,
    options: LeafOptions,
    minimum_should_match: Option<MinimumShouldMatch>,
    allow_leading_wildcard: bool,
    boost: f32,
}

/// `{"query_string": {"query": "a AND b", "default_field"/"fields", "default_operator", ...}}`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("query_string", value)?;
    let text = body.text("query")?;
    let default_field = body.text("default_field")?;
    let fields = body.texts("fields")?;
    let default_operator =
        body.text("default_operator")?.map(|text| Operator::parse(&text)).transpose()?.unwrap_or_default();
    let analyzer = body.text("analyzer")?;
    let kind = body.text("type")?.map(|kind| Kind::parse(&kind)).transpose()?.unwrap_or_default();
    let fuzziness = body.take("fuzziness").map(Fuzziness::parse).transpose()?;
    let fuzzy = Fuzzy {
        fuzziness: fuzziness.unwrap_or(Fuzziness::Auto(3, 6)),
        prefix_length: body.count("fuzzy_prefix_length")?.unwrap_or(0) as usize,
        max_expansions: body.count("fuzzy_max_expansions")?.unwrap_or(50) as usize,
        transpositions: body.boolean("fuzzy_transpositions")?.unwrap_or(true),
    };
    let phrase_slop = body.count("phrase_slop")?.unwrap_or(0);
    let zone = body.text("time_zone")?.map(|zone| dates::time_zone(&zone)).transpose()?;
    let tie_breaker = body.number("tie_breaker")?;
    let minimum_should_match =
        body.take("minimum_should_match").map(MinimumShouldMatch::parse).transpose()?;
    let lenient = body.boolean("lenient")?;
    let escape = body.boolean("escape")?.unwrap_or(false);
    let allow_leading_wildcard = body.boolean("allow_leading_wildcard")?.unwrap_or(true);
    body.boolean("auto_generate_synonyms_phrase_query")?;
    body.boolean("enable_position_increments")?;
    let analyze_wildcard = body.boolean("analyze_wildcard")?.unwrap_or(false);
    super::prefix::check_rewrite(&mut body)?;
    let boost = body.boost()?;
    body.finish()?;
    let Some(text) = text else {
        return Err(ApiError::parsing("[query_string] must be provided with a [query]"));
    };
    if default_field.is_some() && fields.is_some() {
        return Err(ApiError::illegal_argument("[default_field] and [fields] are mutually exclusive"));
    }
    let fields = FieldList::parse(&fields.or(default_field.map(|field| vec![field])).unwrap_or_default())?;
    let lenient = lenient.unwrap_or_else(|| fields.is_all());
    let matching = Matching { operator: default_operator, analyzer, lenient, ..Matching::default() };
    #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
    let tie_breaker = tie_breaker.map_or(0.0, |value| value as f32);
    let options =
        LeafOptions { matching, phrase_slop, fuzzy, zone, kind, tie_breaker, lenient, analyze_wildcard };
    let text = if escape { escaped(&text) } else { text };
    Ok(Box::new(QueryString {
        text,
        fields,
        default_operator,
        options,
        minimum_should_match,
        allow_leading_wildcard,
        boost,
    }))
}

/// The query of a search's `q` parameter with its companions `df`, `default_operator`, `analyzer` and `lenient`.
///
/// # Errors
/// 400 as for a `query_string` clause.
pub fn uri_query(
    q: &str,
    df: Option<&str>,
    default_operator: Option<&str>,
    analyzer: Option<&str>,
    lenient: Option<bool>,
) -> Result<Box<dyn Clause>> {
    let mut body = Map::new();
    body.insert("query".into(), q.into());
    for (key, value) in
        [("default_field", df), ("default_operator", default_operator), ("analyzer", analyzer)]
    {
        if let Some(value) = value {
            body.insert(key.into(), value.into());
        }
    }
    if let Some(lenient) = lenient {
        body.insert("lenient".into(), lenient.into());
    }
    parse(&Value::Object(body))
}

/// `escape: true`: operators lose their meaning.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if "+-!():^[]\"{}~*?\\/|&".contains(c) {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

impl QueryString {
    fn tree(&self, context: &QueryContext<'_>) -> Result<Node> {
        let text = self.text.trim();
        if text.is_empty() {
            return Ok(Node::Bool(Vec::new()));
        }
        syntax::parse(text, self.default_operator).map_err(|error| {
            let mut failure = ApiError::parsing(format!("Failed to parse query [{}]", self.text))
                .with("index", json!(context.index))
                .with("caused_by", json!({ "type": "parse_exception", "reason": error.0 }));
            failure.kind = "query_shard_exception";
            failure
        })
    }

    fn fields_of(&self, context: &QueryContext<'_>, leaf: &Leaf) -> Vec<(String, f32)> {
        match &leaf.field {
            None => self.fields.resolve(context),
            Some(name) if name.contains('*') => {
                context.fields_like(name).into_iter().map(|field| (field.path.clone(), 1.0)).collect()
            }
            Some(name) => vec![(name.clone(), 1.0)],
        }
    }

    fn compile_node(
        &self,
        context: &QueryContext<'_>,
        node: &Node,
        top: bool,
    ) -> Result<Option<Box<dyn Query>>> {
        match node {
            Node::All => Ok(Some(scoring::all())),
            Node::Boost(inner, boost) => {
                let inner = self.compile_node(context, inner, false)?;
                Ok(inner.map(|query| scoring::boosted(query, *boost)))
            }
            Node::Leaf(leaf) => {
                let fields = self.fields_of(context, leaf);
                self.compile_leaf(context, leaf, &fields)
            }
            Node::Bool(nodes) => {
                let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
                for (occur, node) in nodes {
                    if let Node::Leaf(leaf) = node {
                        let fields = self.fields_of(context, leaf);
                        if let Some(words) = leaf::single_words(context, &leaf.what, &fields, &self.options)?
                        {
                            clauses.extend(words.into_iter().map(|query| (self.usual(), query)));
                            continue;
                        }
                    }
                    if let Some(query) = self.compile_node(context, node, false)? {
                        clauses.push((*occur, query));
                    }
                }
                Ok(self.boolean(clauses, top))
            }
        }
    }

    fn usual(&self) -> Occur {
        if self.default_operator == Operator::And { Occur::Must } else { Occur::Should }
    }

    fn boolean(&self, mut clauses: Vec<(Occur, Box<dyn Query>)>, top: bool) -> Option<Box<dyn Query>> {
        if clauses.is_empty() {
            return None;
        }
        let should = clauses.iter().filter(|(occur, _)| *occur == Occur::Should).count();
        let required = clauses.iter().any(|(occur, _)| *occur == Occur::Must);
        let mut minimum = usize::from(should > 0 && !required);
        if let Some(specified) = self.minimum_should_match.as_ref().filter(|_| top && clauses.len() > 1) {
            minimum = minimum.max(specified.of(should));
        }
        if minimum > should && should > 0 {
            return Some(scoring::none());
        }
        if !required && should == 0 {
            clauses.push((Occur::Must, scoring::unscored(scoring::all())));
        }
        Some(scoring::boolean(clauses, minimum.min(should)))
    }

    fn compile_leaf(
        &self,
        context: &QueryContext<'_>,
        leaf: &Leaf,
        fields: &[(String, f32)],
    ) -> Result<Option<Box<dyn Query>>> {
        if let Find::Wildcard(pattern) = &leaf.what {
            if pattern == "*"
                && leaf.field.as_deref().is_none_or(|field| field == "*")
                && self.fields.is_all()
            {
                return Ok(Some(scoring::all()));
            }
            if pattern.starts_with(['*', '?']) && pattern != "*" && !self.allow_leading_wildcard {
                return Err(context.failed(&ApiError::illegal_argument(
                    "'*' or '?' not allowed as first character in WildcardQuery",
                )));
            }
        }
        leaf::compile(context, &leaf.what, fields, &self.options)
    }

    fn marks_of(&self, context: &QueryContext<'_>, node: &Node, marks: &mut Marks) -> Result<()> {
        match node {
            Node::All => Ok(()),
            Node::Boost(inner, _) => self.marks_of(context, inner, marks),
            Node::Bool(nodes) => nodes
                .iter()
                .filter(|(occur, _)| *occur != Occur::MustNot)
                .try_for_each(|(_, node)| self.marks_of(context, node, marks)),
            Node::Leaf(leaf) => {
                let mut seen = BTreeSet::new();
                for (name, _) in self.fields_of(context, leaf) {
                    if let Some(field) =
                        context.table.get(&name).filter(|field| seen.insert(field.path.clone()))
                    {
                        leaf::marks(context, &leaf.what, field, &self.options, marks)?;
                    }
                }
                Ok(())
            }
        }
    }
}

impl Clause for QueryString {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        let tree = self.tree(context)?;
        let query = self.compile_node(context, &tree, true)?.unwrap_or_else(scoring::none);
        Ok(scoring::boosted(query, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        let tree = self.tree(context)?;
        self.marks_of(context, &tree, marks)
    }
}
