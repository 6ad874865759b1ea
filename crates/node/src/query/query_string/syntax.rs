//! Lucene's query syntax: from text to a tree that knows no fields of the index yet.

use std::ops::Bound;

use tantivy::query::Occur;

use crate::query::text::Operator;

/// A parsed query string.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// Clauses with what each of them must do.
    Bool(Vec<(Occur, Node)>),
    /// Something to find.
    Leaf(Leaf),
    /// `*:*`.
    All,
    /// A part with a boost.
    Boost(Box<Node>, f32),
}

/// Something to find in a field, or in the default fields.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    /// The field named before the colon.
    pub field: Option<String>,
    /// What to find.
    pub what: Find,
}

/// What a leaf finds.
#[derive(Debug, Clone, PartialEq)]
pub enum Find {
    /// Words; several where they stand side by side without an operator.
    Words {
        /// The words, blanks between them.
        text: String,
        /// More than one.
        several: bool,
    },
    /// A quoted phrase, and its `~slop`.
    Phrase(String, Option<u32>),
    /// A pattern with `*` and `?`, escapes as written.
    Wildcard(String),
    /// The start of a word.
    Prefix(String),
    /// `/pattern/`.
    Regex(String),
    /// `word~`, `word~1`.
    Fuzzy(String, Option<f32>),
    /// `[a TO b]`, `>5`.
    Range(Bound<String>, Bound<String>),
    /// `_exists_:field` and `field:*`.
    Exists(String),
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    And,
    Or,
    Not,
    Plus,
    Minus,
    /// An operator before white space: a word without tokens.
    Bare,
    Open,
    Close,
    Colon,
    Star,
    Boost(f32),
    Fuzzy(Option<f32>),
    Quoted(String),
    Term(String),
    Prefix(String),
    Wildcard(String),
    Regex(String),
    Range(Bound<String>, Bound<String>),
}

/// Why a query string cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError(pub String);

type Parsed<T> = Result<T, SyntaxError>;

fn error<T>(what: impl Into<String>) -> Parsed<T> {
    Err(SyntaxError(what.into()))
}

const fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{3000}')
}

fn starts_term(c: char) -> bool {
    !is_blank(c) && !"+-!():^[]\"{}~*?\\/".contains(c)
}

struct Lexer<'a> {
    chars: Vec<char>,
    at: usize,
    text: &'a str,
}

impl Lexer<'_> {
    fn tokens(mut self) -> Parsed<Vec<Token>> {
        let mut tokens = Vec::new();
        while let Some(&c) = self.chars.get(self.at) {
            if is_blank(c) {
                self.at += 1;
                continue;
            }
            tokens.push(self.token(c)?);
        }
        Ok(tokens)
    }

    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.at + ahead).copied()
    }

    fn token(&mut self, c: char) -> Parsed<Token> {
        let simple = |lexer: &mut Self, token| {
            lexer.at += 1;
            Ok(token)
        };
        match c {
            '(' => simple(self, Token::Open),
            ')' => simple(self, Token::Close),
            ':' => simple(self, Token::Colon),
            '+' | '-' | '!' => {
                let bare = self.peek(1).is_some_and(is_blank);
                let token = match c {
                    _ if bare => Token::Bare,
                    '+' => Token::Plus,
                    '-' => Token::Minus,
                    _ => Token::Not,
                };
                simple(self, token)
            }
            '^' => {
                self.at += 1;
                let number = self.number();
                match number.and_then(|number| number.parse().ok()) {
                    Some(boost) => Ok(Token::Boost(boost)),
                    None => error(format!("Cannot parse '{}': Encountered \"^\"", self.text)),
                }
            }
            '~' => {
                self.at += 1;
                Ok(Token::Fuzzy(self.number().and_then(|number| number.parse().ok())))
            }
            '"' => self.delimited('"').map(Token::Quoted),
            '/' => self.delimited('/').map(Token::Regex),
            '[' | '{' => self.range(c == '['),
            ']' | '}' => error(format!("Cannot parse '{}': Encountered \" \"{c}\"", self.text)),
            _ => self.term(),
        }
    }

    fn number(&mut self) -> Option<String> {
        let mut number = String::new();
        while let Some(c) = self.peek(0).filter(|c| c.is_ascii_digit() || *c == '.') {
            number.push(c);
            self.at += 1;
        }
        (!number.is_empty()).then_some(number)
    }

    /// What stands between two `end`s; escapes stay for a regular expression.
    fn delimited(&mut self, end: char) -> Parsed<String> {
        let mut inner = String::new();
        self.at += 1;
        while let Some(c) = self.peek(0) {
            self.at += 1;
            match c {
                c if c == end => return Ok(inner),
                '\\' => {
                    let Some(escaped) = self.peek(0) else { break };
                    self.at += 1;
                    if end == '/' && escaped != '/' {
                        inner.push('\\');
                    }
                    inner.push(escaped);
                }
                c => inner.push(c),
            }
        }
        error(format!("Cannot parse '{}': Lexical error. Encountered: <EOF>", self.text))
    }

    fn range(&mut self, include_lower: bool) -> Parsed<Token> {
        self.at += 1;
        let wrong =
            |lexer: &Self| error(format!("Cannot parse '{}': Encountered a malformed range", lexer.text));
        let mut parts: Vec<String> = Vec::new();
        let include_upper = loop {
            match self.peek(0) {
                Some(c) if is_blank(c) => self.at += 1,
                Some(']') => break true,
                Some('}') => break false,
                Some('"') => parts.push(self.delimited('"')?),
                Some(_) => {
                    let mut part = String::new();
                    while let Some(c) = self.peek(0).filter(|c| !is_blank(*c) && !matches!(c, ']' | '}')) {
                        self.at += 1;
                        if c == '\\' {
                            part.extend(self.peek(0));
                            self.at += 1;
                        } else {
                            part.push(c);
                        }
                    }
                    parts.push(part);
                }
                None => return wrong(self),
            }
        };
        self.at += 1;
        let [low, to, high] = parts.as_slice() else { return wrong(self) };
        if to != "TO" {
            return wrong(self);
        }
        let bound = |text: &str, include: bool| match text {
            "*" => Bound::Unbounded,
            text if include => Bound::Included(text.to_owned()),
            text => Bound::Excluded(text.to_owned()),
        };
        Ok(Token::Range(bound(low, include_lower), bound(high, include_upper)))
    }

    /// A word, which `*` and `?` make a pattern.
    fn term(&mut self) -> Parsed<Token> {
        let mut plain = String::new();
        let mut raw = String::new();
        let mut wild = 0;
        let mut escaped_last = false;
        while let Some(c) = self.peek(0) {
            match c {
                '\\' => {
                    let Some(next) = self.peek(1) else {
                        return error(format!(
                            "Cannot parse '{}': Lexical error. Encountered: <EOF>",
                            self.text
                        ));
                    };
                    self.at += 2;
                    let meant = if next == 'u' { self.unicode_escape()? } else { next };
                    plain.push(meant);
                    raw.push('\\');
                    raw.push(meant);
                    escaped_last = true;
                    continue;
                }
                '*' | '?' => wild += 1,
                '+' | '-' if !raw.is_empty() => {}
                c if starts_term(c) => {}
                _ => break,
            }
            escaped_last = false;
            plain.push(c);
            raw.push(c);
            self.at += 1;
        }
        let prefix = wild == 1 && raw.ends_with('*') && !escaped_last;
        Ok(match plain.as_str() {
            "AND" | "&&" if raw == plain => Token::And,
            "OR" | "||" if raw == plain => Token::Or,
            "NOT" if raw == plain => Token::Not,
            "*" if wild == 1 => Token::Star,
            _ if wild == 0 => Token::Term(plain),
            _ if prefix => {
                plain.pop();
                Token::Prefix(plain)
            }
            _ => Token::Wildcard(raw),
        })
    }

    fn unicode_escape(&mut self) -> Parsed<char> {
        let digits: String = self.chars.iter().skip(self.at).take(4).collect();
        self.at += digits.chars().count();
        match u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4).and_then(char::from_u32) {
            Some(c) => Ok(c),
            None => error("Truncated unicode escape sequence."),
        }
    }
}

/// Parses a query string.
pub fn parse(text: &str, default_operator: Operator) -> Parsed<Node> {
    let lexer = Lexer { chars: text.chars().collect(), at: 0, text };
    let tokens = lexer.tokens()?;
    let mut parser = Parser { tokens, at: 0, depth: 0, default_operator, text };
    let node = parser.clauses(None)?;
    if parser.at < parser.tokens.len() {
        return error(format!("Cannot parse '{text}': Encountered \" \")\" \") \"\""));
    }
    Ok(node)
}

/// Deepest nesting of parentheses: each level is a call.
const DEEPEST: usize = 100;

struct Parser<'a> {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    default_operator: Operator,
    text: &'a str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Modifier {
    None,
    Required,
    Prohibited,
}

impl Parser<'_> {
    fn peek(&self, ahead: usize) -> Option<&Token> {
        self.tokens.get(self.at + ahead)
    }

    fn eat(&mut self, token: &Token) -> bool {
        let found = self.peek(0) == Some(token);
        self.at += usize::from(found);
        found
    }

    fn unexpected<T>(&self) -> Parsed<T> {
        match self.peek(0) {
            None => error(format!("Cannot parse '{}': Encountered \"<EOF>\"", self.text)),
            Some(token) => error(format!("Cannot parse '{}': Encountered {token:?}", self.text)),
        }
    }

    /// Clauses up to a closing parenthesis or the end; Lucene's rules for what AND and OR do to their neighbours.
    fn clauses(&mut self, field: Option<&str>) -> Parsed<Node> {
        let mut clauses: Vec<(Occur, Node)> = Vec::new();
        let usual = if self.default_operator == Operator::And { Occur::Must } else { Occur::Should };
        loop {
            match self.peek(0) {
                None | Some(Token::Close) if !clauses.is_empty() || self.at == 0 => break,
                None | Some(Token::Close) => return self.unexpected(),
                _ => {}
            }
            if let Some(text) = self.several_words() {
                let leaf =
                    Leaf { field: field.map(str::to_owned), what: Find::Words { text, several: true } };
                clauses.push((usual, Node::Leaf(leaf)));
                continue;
            }
            let and = self.eat(&Token::And);
            let or = !and && self.eat(&Token::Or);
            if (and || or) && clauses.is_empty() {
                self.at -= 1;
                return self.unexpected();
            }
            let modifier = match self.peek(0) {
                Some(Token::Plus) => Modifier::Required,
                Some(Token::Minus | Token::Not) => Modifier::Prohibited,
                _ => Modifier::None,
            };
            self.at += usize::from(modifier != Modifier::None);
            let clause = self.clause(field)?;
            // AND binds the clause before it too; OR frees it where AND is the default.
            if let Some((before, _)) = clauses.last_mut().filter(|(before, _)| *before != Occur::MustNot) {
                if and {
                    *before = Occur::Must;
                } else if or && self.default_operator == Operator::And {
                    *before = Occur::Should;
                }
            }
            let occur = match (self.default_operator, modifier) {
                (_, Modifier::Prohibited) => Occur::MustNot,
                // As Lucene's parser: an OR before it makes even a `+` clause optional when AND is the default.
                (Operator::And, Modifier::Required) if or => Occur::Should,
                (Operator::Or, Modifier::None) if and => Occur::Must,
                (Operator::Or, Modifier::None) => Occur::Should,
                (Operator::And, Modifier::None) if or => Occur::Should,
                (_, Modifier::Required) | (Operator::And, Modifier::None) => Occur::Must,
            };
            clauses.push((occur, clause));
        }
        match clauses.as_slice() {
            // Several words are clauses of this group, whatever is said of the group as a whole.
            [(_, Node::Leaf(Leaf { what: Find::Words { several: true, .. }, .. }))] => {}
            [(Occur::Must | Occur::Should, _)] => return Ok(clauses.remove(0).1),
            _ => {}
        }
        Ok(Node::Bool(clauses))
    }

    /// Words side by side are analysed together. The last one is left out if an operator that binds it follows.
    fn several_words(&mut self) -> Option<String> {
        let mut count = 0;
        while matches!(self.peek(count), Some(Token::Term(_))) {
            count += 1;
        }
        let binds = |token: Option<&Token>| {
            matches!(
                token,
                Some(Token::Colon | Token::Star | Token::Fuzzy(_) | Token::Boost(_) | Token::And | Token::Or)
            )
        };
        if binds(self.peek(count)) {
            count = count.saturating_sub(1);
        }
        if count < 2 {
            return None;
        }
        let words: Vec<&str> = self.tokens[self.at..self.at + count]
            .iter()
            .filter_map(|token| if let Token::Term(word) = token { Some(word.as_str()) } else { None })
            .collect();
        let text = words.join(" ");
        self.at += count;
        Some(text)
    }

    fn clause(&mut self, field: Option<&str>) -> Parsed<Node> {
        let mut named = field.map(str::to_owned);
        if self.peek(1) == Some(&Token::Colon) {
            match self.peek(0) {
                Some(Token::Term(name)) => named = Some(name.clone()),
                Some(Token::Prefix(name)) => named = Some(format!("{name}*")),
                Some(Token::Wildcard(name)) => named = Some(name.replace('\\', "")),
                Some(Token::Star) => {
                    if self.peek(2) == Some(&Token::Star) {
                        self.at += 3;
                        return Ok(self.boosted(Node::All));
                    }
                    named = Some("*".into());
                }
                _ => return self.unexpected(),
            }
            self.at += 2;
        }
        if self.eat(&Token::Open) {
            self.depth += 1;
            if self.depth > DEEPEST {
                return error(format!("the query string is nested deeper than {DEEPEST} levels"));
            }
            let inner = self.clauses(named.as_deref())?;
            self.depth -= 1;
            if !self.eat(&Token::Close) {
                return self.unexpected();
            }
            return Ok(self.boosted(inner));
        }
        let leaf = |what| Node::Leaf(Leaf { field: named.clone(), what });
        let Some(token) = self.peek(0).cloned() else { return self.unexpected() };
        self.at += 1;
        let words = |text: String| Find::Words { text, several: false };
        let node = match token {
            Token::Term(word) => {
                let mut fuzzy = None;
                if let Some(Token::Fuzzy(amount)) = self.peek(0) {
                    fuzzy = Some(*amount);
                    self.at += 1;
                }
                match (fuzzy, named.as_deref()) {
                    (Some(amount), _) => leaf(Find::Fuzzy(word, amount)),
                    (None, Some("_exists_")) => Node::Leaf(Leaf { field: None, what: Find::Exists(word) }),
                    (None, Some(_)) => leaf(one_sided(&word).unwrap_or_else(|| words(word))),
                    (None, None) => leaf(words(word)),
                }
            }
            Token::Quoted(text) => {
                let mut slop = None;
                if let Some(Token::Fuzzy(amount)) = self.peek(0) {
                    #[expect(
                        clippy::cast_possible_truncation,
                        clippy::cast_sign_loss,
                        reason = "no sign can be written"
                    )]
                    if let Some(amount) = amount {
                        slop = Some(*amount as u32);
                    }
                    self.at += 1;
                }
                match named.as_deref() {
                    Some("_exists_") => Node::Leaf(Leaf { field: None, what: Find::Exists(text) }),
                    _ => leaf(Find::Phrase(text, slop)),
                }
            }
            Token::Prefix(text) => leaf(Find::Prefix(text)),
            Token::Wildcard(text) => leaf(Find::Wildcard(text)),
            Token::Regex(text) => leaf(Find::Regex(text)),
            Token::Range(low, high) => leaf(Find::Range(low, high)),
            Token::Star => leaf(Find::Wildcard("*".into())),
            Token::Bare => leaf(words("-".into())),
            _ => {
                self.at -= 1;
                return self.unexpected();
            }
        };
        Ok(self.boosted(node))
    }

    fn boosted(&mut self, node: Node) -> Node {
        match self.peek(0) {
            Some(Token::Boost(boost)) => {
                let boost = *boost;
                self.at += 1;
                Node::Boost(Box::new(node), boost)
            }
            _ => node,
        }
    }
}

/// `>5`, `>=5`, `<5`, `<=5` after a field.
fn one_sided(word: &str) -> Option<Find> {
    let range = |low, high| Some(Find::Range(low, high));
    if let Some(value) = word.strip_prefix(">=").filter(|value| !value.is_empty()) {
        return range(Bound::Included(value.to_owned()), Bound::Unbounded);
    }
    if let Some(value) = word.strip_prefix("<=").filter(|value| !value.is_empty()) {
        return range(Bound::Unbounded, Bound::Included(value.to_owned()));
    }
    if let Some(value) = word.strip_prefix('>').filter(|value| !value.is_empty()) {
        return range(Bound::Excluded(value.to_owned()), Bound::Unbounded);
    }
    let value = word.strip_prefix('<').filter(|value| !value.is_empty())?;
    range(Bound::Unbounded, Bound::Excluded(value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Node {
        let several = text.contains(' ');
        Node::Leaf(Leaf { field: None, what: Find::Words { text: text.into(), several } })
    }

    #[test]
    fn operators_bind_as_in_lucene() {
        use Occur::{Must, MustNot, Should};
        let or = |text| parse(text, Operator::Or).unwrap();
        assert_eq!(or("a"), words("a"));
        assert_eq!(or("a b"), Node::Bool(vec![(Should, words("a b"))]));
        assert_eq!(or("a AND b"), Node::Bool(vec![(Must, words("a")), (Must, words("b"))]));
        assert_eq!(or("a && !b"), Node::Bool(vec![(Must, words("a")), (MustNot, words("b"))]));
        assert_eq!(
            or("a b AND c"),
            Node::Bool(vec![(Should, words("a")), (Must, words("b")), (Must, words("c"))])
        );
        assert_eq!(
            or("+a -b c"),
            Node::Bool(vec![(Must, words("a")), (MustNot, words("b")), (Should, words("c"))])
        );
        assert_eq!(
            parse("a OR b c", Operator::And).unwrap(),
            Node::Bool(vec![(Should, words("a")), (Should, words("b")), (Must, words("c"))])
        );
        assert_eq!(or("NOT a"), Node::Bool(vec![(MustNot, words("a"))]));
    }

    #[test]
    fn leaves() {
        let find = |text: &str| match parse(text, Operator::Or).unwrap() {
            Node::Leaf(leaf) => (leaf.field.unwrap_or_default(), leaf.what),
            other => panic!("{text}: {other:?}"),
        };
        let at = |field: &str, what: Find| (field.to_owned(), what);
        assert_eq!(find("t:\"a b\"~3"), at("t", Find::Phrase("a b".into(), Some(3))));
        assert_eq!(find("ab*"), at("", Find::Prefix("ab".into())));
        assert_eq!(find("a?b\\*"), at("", Find::Wildcard("a?b\\*".into())));
        assert_eq!(find("t:/a\\/b.*/"), at("t", Find::Regex("a/b.*".into())));
        assert_eq!(find("roam~1"), at("", Find::Fuzzy("roam".into(), Some(1.0))));
        assert_eq!(
            find("n:[1 TO 5}"),
            at("n", Find::Range(Bound::Included("1".into()), Bound::Excluded("5".into())))
        );
        assert_eq!(find("n:>=10"), at("n", Find::Range(Bound::Included("10".into()), Bound::Unbounded)));
        assert_eq!(find("_exists_:n"), at("", Find::Exists("n".into())));
        assert_eq!(find("a\\:b"), at("", Find::Words { text: "a:b".into(), several: false }));
        assert_eq!(find("o.\\*:x"), at("o.*", Find::Words { text: "x".into(), several: false }));
        assert_eq!(find("d:2024\\-01"), at("d", Find::Words { text: "2024-01".into(), several: false }));
        assert_eq!(parse("*:*", Operator::Or).unwrap(), Node::All);
        for text in ["(a", "a)", "\"a", "a AND", "AND a", "n:[1 TO", "n:[1 5]", "a^", "a:", "()", "/a", "a\\"]
        {
            assert!(parse(text, Operator::Or).is_err(), "{text}");
        }
    }

    #[test]
    fn no_depth_of_parentheses_ends_the_process() {
        assert!(parse(&"(".repeat(1_000_000), Operator::Or).is_err());
        let nested = format!("{}a{}", "(".repeat(90), ")".repeat(90));
        assert_eq!(parse(&nested, Operator::Or).unwrap(), words("a"));
    }
}
