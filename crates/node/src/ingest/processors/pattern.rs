//! Java's regular expressions and replacements, as far as a linear-time engine has them.

use axum::http::StatusCode;
use regex::{Captures, Regex, RegexBuilder};

use crate::error::{ApiError, Result};

/// Largest compiled pattern, in bytes.
const MAX_SIZE: usize = 4 * 1024 * 1024;

/// Compiles a Java pattern. `\s`, `\d` and `\w` are ASCII as in Java; look-around and back references are refused.
///
/// # Errors
/// What is wrong with it, in one line.
pub fn compile(pattern: &str) -> std::result::Result<Regex, String> {
    RegexBuilder::new(&ascii_classes(pattern)).size_limit(MAX_SIZE).build().map_err(|error| match error {
        regex::Error::Syntax(text) => {
            let reason = text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned();
            format!("{reason}: {pattern}")
        }
        other => format!("{other}: {pattern}"),
    })
}

/// Writes the classes out; in brackets a nested class means the same.
fn ascii_classes(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len());
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        if char != '\\' {
            out.push(char);
            continue;
        }
        match chars.next() {
            Some('s') => out.push_str(r"[ \t\n\x0B\f\r]"),
            Some('S') => out.push_str(r"[^ \t\n\x0B\f\r]"),
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('w') => out.push_str("[a-zA-Z_0-9]"),
            Some('W') => out.push_str("[^a-zA-Z_0-9]"),
            Some('h') => {
                out.push_str(r"[ \t\u{a0}\u{1680}\u{180e}\u{2000}-\u{200a}\u{202f}\u{205f}\u{3000}]");
            }
            Some('R') => out.push_str(r"(?:\r\n|[\n\x0B\f\r\u{85}\u{2028}\u{2029}])"),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    out
}

/// A Java replacement: `$1`, `${name}`, `\` before a character meant as it is.
#[derive(Debug, Clone, PartialEq)]
pub struct Replacement {
    parts: std::result::Result<Vec<Part>, String>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Number(String),
    Name(String),
}

impl Replacement {
    /// Reads a replacement. As in Java, a malformed one fails when it is used.
    pub fn parse(text: &str) -> Self {
        Self { parts: parts(text) }
    }

    /// Replaces every match.
    ///
    /// # Errors
    /// As Java: a malformed replacement, or a group that the pattern does not have, once there is a match.
    pub fn replace_all(&self, pattern: &Regex, text: &str) -> Result<String> {
        if !pattern.is_match(text) {
            return Ok(text.to_owned());
        }
        let parts = self.parts.as_ref().map_err(ApiError::illegal_argument)?;
        let mut out = String::with_capacity(text.len());
        let mut last = 0;
        for captures in pattern.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            out.push_str(&text[last..whole.start()]);
            for part in parts {
                match part {
                    Part::Text(text) => out.push_str(text),
                    Part::Number(digits) => group(&captures, digits, &mut out)?,
                    Part::Name(name) => {
                        if !pattern.capture_names().flatten().any(|other| other == name) {
                            return Err(ApiError::illegal_argument(format!("No group with name {{{name}}}")));
                        }
                        out.push_str(captures.name(name).map_or("", |found| found.as_str()));
                    }
                }
            }
            last = whole.end();
        }
        out.push_str(&text[last..]);
        Ok(out)
    }
}

/// The longest run of digits that names a group is the group, the rest is text.
fn group(captures: &Captures<'_>, digits: &str, out: &mut String) -> Result<()> {
    for length in (1..=digits.len()).rev() {
        let Ok(number) = digits[..length].parse::<usize>() else { continue };
        if number < captures.len() {
            out.push_str(captures.get(number).map_or("", |found| found.as_str()));
            out.push_str(&digits[length..]);
            return Ok(());
        }
    }
    let first = &digits[..1];
    let reason = format!("No group {first}");
    Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "index_out_of_bounds_exception", reason))
}

fn parts(text: &str) -> std::result::Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut chars = text.chars().peekable();
    while let Some(char) = chars.next() {
        match char {
            '\\' => literal.push(chars.next().ok_or("character to be escaped is missing")?),
            '$' => {
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal)));
                }
                if chars.next_if_eq(&'{').is_some() {
                    let mut name = String::new();
                    loop {
                        match chars.next() {
                            Some('}') => break,
                            Some(char) => name.push(char),
                            None => return Err("named capturing group is missing trailing '}'".to_owned()),
                        }
                    }
                    parts.push(Part::Name(name));
                } else {
                    let mut digits = String::new();
                    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                        digits.push(digit);
                    }
                    if digits.is_empty() {
                        return Err("Illegal group reference".to_owned());
                    }
                    parts.push(Part::Number(digits));
                }
            }
            other => literal.push(other),
        }
    }
    if !literal.is_empty() {
        parts.push(Part::Text(literal));
    }
    Ok(parts)
}
