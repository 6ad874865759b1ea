//! Char filters: changes to the text before it is cut into tokens, with a way back to the original offsets.

use std::fmt;

use regex::Regex;

/// Text after char filters, and where its pieces came from.
#[derive(Debug, Clone)]
pub struct Filtered {
    /// The text the tokenizer sees.
    pub text: String,
    /// One layer per filter that changed something, the first filter first.
    layers: Vec<Vec<Piece>>,
}

/// A stretch of a filter's output and the stretch of its input it came from: the same text, or a replacement.
#[derive(Debug, Clone, Copy)]
struct Piece {
    new_start: usize,
    new_end: usize,
    old_start: usize,
    old_end: usize,
}

impl Filtered {
    /// The text as it is.
    pub fn unchanged(text: &str) -> Self {
        Self { text: text.to_owned(), layers: Vec::new() }
    }

    /// Applies one more filter.
    #[must_use]
    pub fn then(mut self, filter: &dyn CharFilter) -> Self {
        let edits = filter.edits(&self.text);
        if edits.is_empty() {
            return self;
        }
        let mut text = String::with_capacity(self.text.len());
        let mut pieces = Vec::with_capacity(edits.len() * 2 + 1);
        let mut push = |part: &str, old_start: usize, old_end: usize| {
            let new_start = text.len();
            text.push_str(part);
            pieces.push(Piece { new_start, new_end: text.len(), old_start, old_end });
        };
        let mut from = 0;
        for edit in edits {
            push(&self.text[from..edit.start], from, edit.start);
            push(&edit.with, edit.start, edit.end);
            from = edit.end;
        }
        push(&self.text[from..], from, self.text.len());
        self.text = text;
        self.layers.push(pieces);
        self
    }

    /// Original offset of the first byte of a token that starts at `offset`.
    pub fn original_start(&self, offset: usize) -> usize {
        self.layers.iter().rev().fold(offset, |offset, pieces| {
            let index = pieces.partition_point(|piece| piece.new_end <= offset);
            let Some(piece) = pieces.get(index).or_else(|| pieces.last()) else { return offset };
            (piece.old_start + offset.saturating_sub(piece.new_start)).min(piece.old_end)
        })
    }

    /// Original offset after the last byte of a token that ends at `offset`.
    pub fn original_end(&self, offset: usize) -> usize {
        self.layers.iter().rev().fold(offset, |offset, pieces| {
            let index = pieces.partition_point(|piece| piece.new_end < offset);
            let Some(piece) = pieces.get(index).or_else(|| pieces.last()) else { return offset };
            if offset == piece.new_end {
                piece.old_end
            } else {
                (piece.old_start + offset.saturating_sub(piece.new_start)).min(piece.old_end)
            }
        })
    }
}

/// One replacement in a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Edit {
    /// First byte replaced.
    pub start: usize,
    /// Byte after the last one replaced.
    pub end: usize,
    /// What stands there instead.
    pub with: String,
}

/// Finds what to replace in a text.
pub trait CharFilter: fmt::Debug + Send + Sync {
    /// Replacements in order, not overlapping.
    fn edits(&self, text: &str) -> Vec<Edit>;
}

/// `mapping`: fixed strings, the longest first.
#[derive(Debug)]
pub struct Mapping {
    /// From, to; sorted by length of from, longest first.
    pub pairs: Vec<(String, String)>,
}

impl CharFilter for Mapping {
    fn edits(&self, text: &str) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut at = 0;
        while at < text.len() {
            let rest = &text[at..];
            if let Some((from, to)) = self.pairs.iter().find(|(from, _)| rest.starts_with(from.as_str())) {
                edits.push(Edit { start: at, end: at + from.len(), with: to.clone() });
                at += from.len();
            } else {
                at += rest.chars().next().map_or(1, char::len_utf8);
            }
        }
        edits
    }
}

/// `pattern_replace`.
#[derive(Debug)]
pub struct PatternReplace {
    /// What is replaced.
    pub pattern: Regex,
    /// Replacement with `$1` groups.
    pub replacement: String,
}

impl CharFilter for PatternReplace {
    fn edits(&self, text: &str) -> Vec<Edit> {
        self.pattern
            .captures_iter(text)
            .filter_map(|captures| {
                let found = captures.get(0)?;
                let mut with = String::new();
                captures.expand(&self.replacement, &mut with);
                Some(Edit { start: found.start(), end: found.end(), with })
            })
            .collect()
    }
}

/// `html_strip`: tags and comments go, block elements become line breaks, entities become their characters.
#[derive(Debug)]
pub struct HtmlStrip {
    /// Tags that stay, lower case.
    pub escaped_tags: Vec<String>,
}

/// Elements that stand in a line: their tags vanish without a line break.
const INLINE: &[&str] = &[
    "a", "abbr", "acronym", "b", "basefont", "bdo", "big", "cite", "code", "dfn", "em", "font", "i", "img",
    "input", "kbd", "label", "q", "s", "samp", "select", "small", "span", "strike", "strong", "sub", "sup",
    "textarea", "tt", "u", "var",
];

impl CharFilter for HtmlStrip {
    fn edits(&self, text: &str) -> Vec<Edit> {
        let mut edits = Vec::new();
        let mut at = 0;
        while let Some(offset) = text[at..].find(['<', '&']) {
            let start = at + offset;
            let edit =
                if text.as_bytes()[start] == b'<' { self.tag(text, start) } else { entity(text, start) };
            at = edit.as_ref().map_or(start + 1, |edit| edit.end);
            edits.extend(edit);
        }
        edits
    }
}

impl HtmlStrip {
    fn tag(&self, text: &str, start: usize) -> Option<Edit> {
        let rest = &text[start..];
        if rest.starts_with("<!--") {
            let end = rest.find("-->").map_or(text.len(), |offset| start + offset + 3);
            return Some(Edit { start, end, with: String::new() });
        }
        let inner = rest.get(1..)?.trim_start_matches('/');
        let first = inner.chars().next()?;
        if !first.is_ascii_alphabetic() && first != '!' && first != '?' {
            return None;
        }
        let name: String =
            inner.chars().take_while(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect();
        let mut end = start + end_of_tag(rest)?;
        if self.escaped_tags.contains(&name) {
            return None;
        }
        if (name == "script" || name == "style") && !rest.starts_with("</") {
            let lower = text[end..].to_ascii_lowercase();
            let closing = lower.find(&format!("</{name}")).map_or(text.len(), |offset| end + offset);
            end = text[closing..].find('>').map_or(text.len(), |offset| closing + offset + 1);
        }
        let with = if INLINE.contains(&name.as_str()) { String::new() } else { "\n".to_owned() };
        Some(Edit { start, end, with })
    }
}

/// Bytes of the tag that `rest` starts with; quotes may hold `>`.
fn end_of_tag(rest: &str) -> Option<usize> {
    let mut quote = None;
    for (offset, c) in rest.char_indices() {
        match (quote, c) {
            (None, '>') => return Some(offset + 1),
            (None, '"' | '\'') => quote = Some(c),
            (Some(open), c) if open == c => quote = None,
            _ => {}
        }
    }
    None
}

fn entity(text: &str, start: usize) -> Option<Edit> {
    let rest = &text[start + 1..];
    let length = rest.find(';').filter(|&length| (2..=8).contains(&length))?;
    let name = &rest[..length];
    let with = if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(hex) => u32::from_str_radix(hex, 16).ok()?,
            None => number.parse().ok()?,
        };
        char::from_u32(code)?
    } else {
        match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "apos" => '\'',
            "nbsp" => ' ',
            "copy" => '©',
            "reg" => '®',
            "euro" => '€',
            "hellip" => '…',
            "mdash" => '—',
            "ndash" => '–',
            "laquo" => '«',
            "raquo" => '»',
            "auml" => 'ä',
            "ouml" => 'ö',
            "uuml" => 'ü',
            "Auml" => 'Ä',
            "Ouml" => 'Ö',
            "Uuml" => 'Ü',
            "szlig" => 'ß',
            "eacute" => 'é',
            "egrave" => 'è',
            "agrave" => 'à',
            "ccedil" => 'ç',
            _ => return None,
        }
    };
    Some(Edit { start, end: start + 1 + length + 1, with: with.to_string() })
}
