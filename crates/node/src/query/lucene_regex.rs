//! Lucene's regular expressions and wildcards in Rust's syntax.

use std::fmt::Write;

use crate::error::{ApiError, Result};

/// Escapes a text so that it stands for itself.
pub fn literal(text: &str) -> String {
    regex::escape(text)
}

/// Makes a pattern ignore case.
pub fn ignoring_case(pattern: &str) -> String {
    format!("(?i:{pattern})")
}

/// `*`, `?` and `\` escapes.
pub fn wildcard(pattern: &str) -> String {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' => out.push_str("(?s:.*)"),
            '?' => out.push_str("(?s:.)"),
            '\\' => out.push_str(&regex::escape(&chars.next().unwrap_or('\\').to_string())),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    out
}

/// Optional operators, by the `flags` of a `regexp` query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "one per flag")]
pub struct Flags {
    /// `a&b`.
    pub intersection: bool,
    /// `~a`.
    pub complement: bool,
    /// `<1-5>`.
    pub interval: bool,
    /// `@`.
    pub any_string: bool,
    /// `#`.
    pub empty: bool,
}

impl Flags {
    /// `ALL`, the default.
    pub const ALL: Self =
        Self { intersection: true, complement: true, interval: true, any_string: true, empty: true };

    /// `ALL`, `NONE`, or names joined by `|`.
    pub fn parse(text: &str) -> Result<Self> {
        let mut flags =
            Self { intersection: false, complement: false, interval: false, any_string: false, empty: false };
        for flag in text.split('|').filter(|flag| !flag.is_empty()) {
            match flag.to_uppercase().as_str() {
                "ALL" => flags = Self::ALL,
                "NONE" => {}
                "INTERSECTION" => flags.intersection = true,
                "COMPLEMENT" => flags.complement = true,
                "INTERVAL" => flags.interval = true,
                "ANYSTRING" => flags.any_string = true,
                "EMPTY" => flags.empty = true,
                other => return Err(ApiError::illegal_argument(format!("Unknown regexp flag [{other}]"))),
            }
        }
        Ok(flags)
    }
}

/// Most numbers an interval may stand for.
const WIDEST_INTERVAL: u64 = 1000;

/// Lucene's syntax to Rust's. Lucene's patterns fit whole terms; `^` and `$` are plain characters.
///
/// # Errors
/// 400 for what cannot be read, and for complement and intersection, which this node does not have.
pub fn translate(pattern: &str, flags: Flags) -> Result<String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '.' => out.push_str("(?s:.)"),
            '|' | '?' | '*' | '+' | ')' => out.push(c),
            '(' => out.push_str("(?:"),
            '{' => {
                out.push('{');
                loop {
                    match chars.next() {
                        Some('}') => break,
                        Some(c) if c.is_ascii_digit() || c == ',' => out.push(c),
                        _ => return Err(invalid(pattern, "expected '}'")),
                    }
                }
                out.push('}');
            }
            '[' => class(pattern, &mut chars, &mut out)?,
            '"' => loop {
                match chars.next() {
                    Some('"') => break,
                    Some(c) => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                    None => return Err(invalid(pattern, "expected '\"'")),
                }
            },
            '\\' => match chars.next() {
                Some(c @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => out.push_str(ascii_class(c)),
                Some(c) => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
                None => return Err(invalid(pattern, "unexpected end-of-string")),
            },
            '@' if flags.any_string => out.push_str("(?s:.*)"),
            '<' if flags.interval => interval(pattern, &mut chars, &mut out)?,
            '~' if flags.complement => return Err(unsupported(pattern, "~ (complement)")),
            '&' if flags.intersection => return Err(unsupported(pattern, "& (intersection)")),
            '#' if flags.empty => return Err(unsupported(pattern, "# (empty language)")),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    Ok(out)
}

fn ascii_class(letter: char) -> &'static str {
    match letter {
        'd' => "[0-9]",
        'D' => "[^0-9]",
        'w' => "[0-9A-Za-z_]",
        'W' => "[^0-9A-Za-z_]",
        's' => r"[\t\n\r ]",
        _ => r"[^\t\n\r ]",
    }
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn class(pattern: &str, chars: &mut Chars<'_>, out: &mut String) -> Result<()> {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut empty = true;
    loop {
        match chars.next() {
            Some(']') if !empty => break,
            Some('-') if !empty && chars.peek() != Some(&']') => out.push('-'),
            Some('\\') => match chars.next() {
                Some(c @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => out.push_str(ascii_class(c)),
                Some(c) => escape_in_class(c, out),
                None => return Err(invalid(pattern, "expected ']'")),
            },
            Some(c) => escape_in_class(c, out),
            None => return Err(invalid(pattern, "expected ']'")),
        }
        empty = false;
    }
    out.push(']');
    Ok(())
}

fn escape_in_class(c: char, out: &mut String) {
    if c.is_ascii_punctuation() {
        out.push('\\');
    }
    out.push(c);
}

fn interval(pattern: &str, chars: &mut Chars<'_>, out: &mut String) -> Result<()> {
    let mut inner = String::new();
    loop {
        match chars.next() {
            Some('>') => break,
            Some(c) => inner.push(c),
            None => return Err(invalid(pattern, "expected '>'")),
        }
    }
    let Some((from, to)) = inner.split_once('-') else { return Err(unsupported(pattern, "named automata")) };
    let (Ok(low), Ok(high)) = (from.parse::<u64>(), to.parse::<u64>()) else {
        return Err(invalid(pattern, "interval syntax error"));
    };
    let (low, high) = (low.min(high), low.max(high));
    if high - low >= WIDEST_INTERVAL {
        return Err(unsupported(pattern, "an interval of more than 1000 numbers"));
    }
    let digits = if from.len() == to.len() { from.len() } else { 0 };
    out.push_str("(?:");
    for number in low..=high {
        if number > low {
            out.push('|');
        }
        // Writing to a string cannot fail.
        let _ = write!(out, "{number:0digits$}");
    }
    out.push(')');
    Ok(())
}

fn invalid(pattern: &str, why: &str) -> ApiError {
    // All of these are found missing at the end of the pattern.
    ApiError::illegal_argument(format!("{why} at position {}", pattern.chars().count()))
}

fn unsupported(pattern: &str, what: &str) -> ApiError {
    ApiError::illegal_argument(format!(
        "regular expression [{pattern}]: {what} is not supported by this node"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, text: &str) -> bool {
        let pattern = format!("^(?:{})$", translate(pattern, Flags::ALL).unwrap());
        regex::Regex::new(&pattern).unwrap().is_match(text)
    }

    #[test]
    fn lucene_patterns() {
        for (pattern, text, expected) in [
            ("ab.*", "abc", true),
            ("ab.*", "xabc", false),
            ("a{2,3}", "aa", true),
            ("^a$", "^a$", true),
            ("^a$", "a", false),
            ("[a-c]+-[^x]", "abc-y", true),
            ("\"a.b\"", "a.b", true),
            ("\"a.b\"", "axb", false),
            ("x@", "xyz", true),
            ("v<8-11>", "v10", true),
            ("v<08-11>", "v9", false),
            ("v<08-11>", "v09", true),
            (r"\d+\.\w", "12.x", true),
            ("a|b", "b", true),
            ("(a|b)c", "bc", true),
        ] {
            assert_eq!(fits(pattern, text), expected, "{pattern} {text}");
        }
        for pattern in ["~a", "a&b", "#", "[a", "a{2", "<1-9999>"] {
            assert!(translate(pattern, Flags::ALL).is_err(), "{pattern}");
        }
        assert_eq!(translate("a&b", Flags::parse("NONE").unwrap()).unwrap(), r"a\&b");
    }

    #[test]
    fn wildcards() {
        assert_eq!(wildcard(r"a*b?\*."), r"a(?s:.*)b(?s:.)\*\.");
    }
}
