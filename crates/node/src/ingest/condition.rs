//! `if`: the comparisons that pipelines for search use, in Painless's syntax and nothing more of it.
//!
//! ```text
//! or      = and { "||" and }
//! and     = term { "&&" term }
//! term    = "(" or ")" | path ("==" | "!=") literal
//! path    = "ctx" { ("." | "?.") name | "[" text "]" }
//! literal = true | false | null | number | 'text' | "text"
//! ```

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::document::Fields;
use crate::error::{ApiError, Result};

/// A compiled condition.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    text: String,
    root: Node,
}

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Any(Vec<Node>),
    All(Vec<Node>),
    Compare { path: Vec<Step>, equal: bool, literal: Value },
}

/// One member access; a safe one gives null on null, an unsafe one fails as in Java.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    name: String,
    safe: bool,
}

impl Condition {
    /// Reads a condition.
    ///
    /// # Errors
    /// 400 naming the text and what is supported.
    pub fn compile(text: &str) -> Result<Self> {
        let tokens = tokens(text).ok_or_else(|| unsupported(text))?;
        let mut parser = Parser { tokens: &tokens, at: 0 };
        let root = parser.any(0).filter(|_| parser.at == tokens.len()).ok_or_else(|| unsupported(text))?;
        Ok(Self { text: text.to_owned(), root })
    }

    /// The condition as written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds for a document.
    ///
    /// # Errors
    /// 400 `script_exception` when an unsafe access meets null, as Painless.
    pub fn holds(&self, fields: &Fields) -> Result<bool> {
        self.root.holds(fields).map_err(|step| {
            let reason = format!("cannot access method/field [{step}] from a null def reference");
            ApiError::new(StatusCode::BAD_REQUEST, "script_exception", "runtime error")
                .with("script", json!(self.text))
                .with("lang", json!("painless"))
                .with("caused_by", json!({ "type": "null_pointer_exception", "reason": reason }))
        })
    }
}

impl Node {
    fn holds(&self, fields: &Fields) -> Result<bool, String> {
        match self {
            Self::Any(nodes) => {
                for node in nodes {
                    if node.holds(fields)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            Self::All(nodes) => {
                for node in nodes {
                    if !node.holds(fields)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            Self::Compare { path, equal, literal } => {
                let mut at = fields.source();
                for (depth, step) in path.iter().enumerate() {
                    at = match at {
                        Value::Null if step.safe => &Value::Null,
                        Value::Null => return Err(step.name.clone()),
                        // `ctx` also has the metadata.
                        Value::Object(members) => members
                            .get(&step.name)
                            .or_else(|| if depth == 0 { fields.metadata().get(&step.name) } else { None })
                            .unwrap_or(&Value::Null),
                        _ => &Value::Null,
                    };
                }
                Ok(same(at, literal) == *equal)
            }
        }
    }
}

/// Numbers are equal by value, whatever their type.
fn same(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => left.as_f64() == right.as_f64(),
        _ => left == right,
    }
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Name(String),
    Literal(Value),
    Symbol(&'static str),
}

const SYMBOLS: [&str; 10] = ["?.", "==", "!=", "&&", "||", ".", "(", ")", "[", "]"];

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    // A statement's end and `return` in front are what people write in longer scripts.
    rest = rest.strip_prefix("return ").unwrap_or(rest);
    rest = rest.trim().trim_end_matches(';');
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() {
            rest = rest.trim_start();
        } else if let Some(symbol) = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol)) {
            tokens.push(Token::Symbol(symbol));
            rest = &rest[symbol.len()..];
        } else if matches!(first, '\'' | '"') {
            let mut value = String::new();
            let mut chars = rest[1..].char_indices();
            loop {
                match chars.next()? {
                    (_, '\\') => match chars.next()?.1 {
                        'n' => value.push('\n'),
                        char @ ('\\' | '\'' | '"') => value.push(char),
                        _ => return None,
                    },
                    (at, char) if char == first => {
                        rest = &rest[1 + at + 1..];
                        break;
                    }
                    (_, char) => value.push(char),
                }
            }
            tokens.push(Token::Literal(Value::String(value)));
        } else if first.is_ascii_digit() || first == '-' {
            let end = rest[1..]
                .find(|char: char| !char.is_ascii_digit() && char != '.')
                .map_or(rest.len(), |at| at + 1);
            tokens.push(Token::Literal(serde_json::from_str(&rest[..end]).ok()?));
            rest = &rest[end..];
        } else if first.is_alphabetic() || first == '_' {
            let end = rest.find(|char: char| !char.is_alphanumeric() && char != '_').unwrap_or(rest.len());
            tokens.push(match &rest[..end] {
                "true" => Token::Literal(Value::Bool(true)),
                "false" => Token::Literal(Value::Bool(false)),
                "null" => Token::Literal(Value::Null),
                name => Token::Name(name.to_owned()),
            });
            rest = &rest[end..];
        } else {
            return None;
        }
    }
    Some(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

/// Parentheses deeper than this are no condition a person wrote.
const MAX_DEPTH: usize = 50;

impl Parser<'_> {
    fn eat(&mut self, symbol: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Symbol(other)) if *other == symbol);
        self.at += usize::from(found);
        found
    }

    fn any(&mut self, depth: usize) -> Option<Node> {
        let mut nodes = vec![self.all(depth)?];
        while self.eat("||") {
            nodes.push(self.all(depth)?);
        }
        Some(Node::Any(nodes))
    }

    fn all(&mut self, depth: usize) -> Option<Node> {
        let mut nodes = vec![self.term(depth)?];
        while self.eat("&&") {
            nodes.push(self.term(depth)?);
        }
        Some(Node::All(nodes))
    }

    fn term(&mut self, depth: usize) -> Option<Node> {
        if self.eat("(") {
            if depth >= MAX_DEPTH {
                return None;
            }
            let inner = self.any(depth + 1)?;
            return self.eat(")").then_some(inner);
        }
        let path = self.path()?;
        let equal = self.eat("==");
        if !equal && !self.eat("!=") {
            return None;
        }
        let Some(Token::Literal(literal)) = self.tokens.get(self.at) else { return None };
        self.at += 1;
        Some(Node::Compare { path, equal, literal: literal.clone() })
    }

    fn path(&mut self) -> Option<Vec<Step>> {
        let Some(Token::Name(name)) = self.tokens.get(self.at) else { return None };
        if name != "ctx" {
            return None;
        }
        self.at += 1;
        let mut path = Vec::new();
        loop {
            let (safe, bracket) = if self.eat("?.") {
                (true, false)
            } else if self.eat(".") {
                (false, false)
            } else if self.eat("[") {
                (false, true)
            } else {
                break;
            };
            let name = match self.tokens.get(self.at) {
                Some(Token::Name(name)) if !bracket => name.clone(),
                Some(Token::Literal(Value::String(name))) if bracket => name.clone(),
                _ => return None,
            };
            self.at += 1;
            if bracket && !self.eat("]") {
                return None;
            }
            path.push(Step { name, safe });
        }
        (!path.is_empty()).then_some(path)
    }
}

fn unsupported(text: &str) -> ApiError {
    ApiError::illegal_argument(format!(
        "[if] condition [{text}] is not supported: this node compares fields with literals \
         (ctx?.field == 'text', ctx?.a?.b != null) joined by && and || and grouped by parentheses; it has no scripts"
    ))
}
