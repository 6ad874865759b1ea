//! `word_delimiter_graph` and `word_delimiter`: words inside tokens.

use super::Token;
use super::filter::TokenFilter;

/// Parameters, named as in the settings.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "one per parameter of the filter")]
pub struct WordDelimiter {
    /// Letters become tokens.
    pub generate_word_parts: bool,
    /// Digits become tokens.
    pub generate_number_parts: bool,
    /// Neighbouring letter parts joined too.
    pub catenate_words: bool,
    /// Neighbouring digit parts joined too.
    pub catenate_numbers: bool,
    /// All parts joined too.
    pub catenate_all: bool,
    /// A change from lower to upper case is a boundary.
    pub split_on_case_change: bool,
    /// A change between letters and digits is a boundary.
    pub split_on_numerics: bool,
    /// The token itself too.
    pub preserve_original: bool,
    /// A final `'s` is dropped.
    pub stem_english_possessive: bool,
}

impl Default for WordDelimiter {
    fn default() -> Self {
        Self {
            generate_word_parts: true,
            generate_number_parts: true,
            catenate_words: false,
            catenate_numbers: false,
            catenate_all: false,
            split_on_case_change: true,
            split_on_numerics: true,
            preserve_original: false,
            stem_english_possessive: true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Lower,
    Upper,
    Digit,
    Other,
}

fn class(c: char) -> Class {
    if c.is_uppercase() {
        Class::Upper
    } else if c.is_alphabetic() {
        Class::Lower
    } else if c.is_numeric() {
        Class::Digit
    } else {
        Class::Other
    }
}

/// A part of a token: bytes from, bytes to, whether it is digits.
#[derive(Debug, Clone, Copy)]
struct Part {
    start: usize,
    end: usize,
    number: bool,
}

impl WordDelimiter {
    fn parts(&self, text: &str) -> Vec<Part> {
        let mut parts: Vec<Part> = Vec::new();
        let mut current: Option<(usize, Class, bool)> = None;
        let chars: Vec<(usize, char)> = text.char_indices().collect();
        for (index, &(offset, c)) in chars.iter().enumerate() {
            let class = class(c);
            if let Some((start, last, number)) = current {
                let boundary = match (last, class) {
                    (_, Class::Other) => true,
                    (Class::Lower, Class::Upper) => self.split_on_case_change,
                    (Class::Digit, Class::Lower | Class::Upper)
                    | (Class::Lower | Class::Upper, Class::Digit) => self.split_on_numerics,
                    _ => false,
                };
                if boundary {
                    parts.push(Part { start, end: offset, number });
                    current = None;
                }
            }
            if class == Class::Other {
                if self.stem_english_possessive && c == '\'' {
                    drop_possessive(&mut parts, &chars, index);
                }
                continue;
            }
            current = match current {
                None => Some((offset, class, class == Class::Digit)),
                Some((start, _, number)) => Some((start, class, number && class == Class::Digit)),
            };
        }
        if let Some((start, _, number)) = current {
            parts.push(Part { start, end: text.len(), number });
        }
        // A possessive `s` was marked by an empty part; it goes with the part that follows it.
        let mut kept = Vec::with_capacity(parts.len());
        let mut skip = false;
        for part in parts {
            if part.start == part.end {
                skip = true;
            } else if std::mem::take(&mut skip) {
            } else {
                kept.push(part);
            }
        }
        kept
    }
}

/// Marks the `s` of `'s` at the end of a word by an empty part before it.
fn drop_possessive(parts: &mut Vec<Part>, chars: &[(usize, char)], quote: usize) {
    let after = chars.get(quote + 1).map(|&(_, c)| c);
    let beyond = chars.get(quote + 2).map(|&(_, c)| class(c));
    if matches!(after, Some('s' | 'S')) && matches!(beyond, None | Some(Class::Other)) && !parts.is_empty() {
        let at = chars[quote].0;
        parts.push(Part { start: at, end: at, number: false });
    }
}

impl TokenFilter for WordDelimiter {
    fn apply(&self, tokens: Vec<Token>) -> Vec<Token> {
        let mut out = Vec::with_capacity(tokens.len());
        // Parts take positions of their own, so that what follows moves on.
        let mut shift = 0;
        for token in tokens {
            let parts = self.parts(&token.text);
            if let [only] = parts[..]
                && only.start == 0
                && only.end == token.text.len()
            {
                out.push(Token { position: token.position + shift, ..token });
                continue;
            }
            let used = self.emit(&token, &parts, token.position + shift, &mut out);
            shift += used.saturating_sub(1);
        }
        out
    }
}

impl WordDelimiter {
    /// Puts out what one token becomes; the result says how many positions it takes.
    fn emit(&self, token: &Token, parts: &[Part], position: usize, out: &mut Vec<Token>) -> usize {
        let exact_offsets = token.end - token.start == token.text.len();
        let piece = |text: String, position: usize, length: usize, from: usize, to: usize| Token {
            text,
            position,
            position_length: length,
            start: if exact_offsets { token.start + from } else { token.start },
            end: if exact_offsets { token.start + to } else { token.end },
            kind: token.kind,
        };
        let joined =
            |parts: &[Part]| parts.iter().map(|part| &token.text[part.start..part.end]).collect::<String>();
        let span = |parts: &[Part]| (parts[0].start, parts[parts.len() - 1].end);
        let mut emitted: Vec<Token> = Vec::new();
        if self.preserve_original && !parts.is_empty() {
            emitted.push(piece(token.text.clone(), position, parts.len(), 0, token.text.len()));
        }
        if self.catenate_all && parts.len() > 1 {
            let (from, to) = span(parts);
            emitted.push(piece(joined(parts), position, parts.len(), from, to));
        }
        let mut start = 0;
        while start < parts.len() {
            let number = parts[start].number;
            let length = parts[start..].iter().take_while(|part| part.number == number).count();
            let group = &parts[start..start + length];
            let catenate = if number { self.catenate_numbers } else { self.catenate_words };
            let whole = self.catenate_all && group.len() == parts.len();
            if catenate && group.len() > 1 && !whole {
                let (from, to) = span(group);
                emitted.push(piece(joined(group), position + start, length, from, to));
            }
            let generate = if number { self.generate_number_parts } else { self.generate_word_parts };
            let catenated_single = catenate && group.len() == 1;
            if generate || catenated_single || (self.catenate_all && parts.len() == 1) {
                for (index, part) in group.iter().enumerate() {
                    let text = token.text[part.start..part.end].to_owned();
                    emitted.push(piece(text, position + start + index, 1, part.start, part.end));
                }
            }
            start += length;
        }
        emitted.sort_by_key(|token| (token.position, std::cmp::Reverse(token.position_length)));
        out.extend(emitted);
        parts.len()
    }
}
