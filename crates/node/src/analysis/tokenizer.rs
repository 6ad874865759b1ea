//! Tokenizers other than `standard`.

use regex::Regex;

use super::Token;
use super::grams::GramSize;
use super::standard::{self, lowercase_into};

/// How text is cut into tokens.
#[derive(Debug, Clone)]
pub enum Tokenizer {
    /// UAX #29 words.
    Standard {
        /// `max_token_length`.
        max_length: usize,
    },
    /// Runs between white space.
    Whitespace {
        /// `max_token_length`.
        max_length: usize,
    },
    /// The whole text.
    Keyword,
    /// Runs of letters; with `lowercase` for the tokenizer of that name.
    Letter {
        /// Lower-case the tokens.
        lowercase: bool,
    },
    /// Character n-grams.
    Ngram {
        /// Shortest and longest gram.
        size: GramSize,
        /// Characters that belong to tokens; empty means all.
        classes: Vec<CharClass>,
        /// Only grams at the start of a run.
        edge: bool,
    },
    /// Text between matches of a pattern, or a group of each match.
    Pattern {
        /// The pattern.
        pattern: Regex,
        /// −1: between matches; else the group that is the token.
        group: Option<usize>,
    },
    /// Paths: `a/b/c` to `a`, `a/b`, `a/b/c`.
    PathHierarchy {
        /// Character between the parts.
        delimiter: char,
    },
}

/// `token_chars` of the n-gram tokenizers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CharClass {
    /// Letters.
    Letter,
    /// Digits.
    Digit,
    /// White space.
    Whitespace,
    /// Punctuation.
    Punctuation,
    /// Symbols.
    Symbol,
    /// Exactly these.
    Custom(String),
}

impl CharClass {
    fn contains(&self, c: char) -> bool {
        match self {
            Self::Letter => c.is_alphabetic(),
            Self::Digit => c.is_numeric(),
            Self::Whitespace => c.is_whitespace(),
            Self::Punctuation => c.is_ascii_punctuation() && !"$+<=>^`|~".contains(c),
            Self::Symbol => {
                "$+<=>^`|~".contains(c) || (!c.is_ascii() && !c.is_alphanumeric() && !c.is_whitespace())
            }
            Self::Custom(chars) => chars.contains(c),
        }
    }
}

impl Tokenizer {
    /// The tokens of `text`.
    pub fn tokens(&self, text: &str) -> Vec<Token> {
        match self {
            Self::Standard { max_length } => standard::tokens(text, *max_length),
            Self::Whitespace { max_length } => runs(text, *max_length, |c| !c.is_whitespace()),
            Self::Keyword => vec![Token::new(text, 0, 0, text.len(), "word")],
            Self::Letter { lowercase } => {
                let mut tokens = runs(text, standard::MAX_TOKEN_LENGTH, char::is_alphabetic);
                if *lowercase {
                    for token in &mut tokens {
                        let written = std::mem::take(&mut token.text);
                        lowercase_into(&written, &mut token.text);
                    }
                }
                tokens
            }
            Self::Ngram { size, classes, edge } => ngrams(text, *size, classes, *edge),
            Self::Pattern { pattern, group } => by_pattern(text, pattern, *group),
            Self::PathHierarchy { delimiter } => path_hierarchy(text, *delimiter),
        }
    }
}

/// Maximal runs of characters that `keep`, cut at `max_length` characters.
fn runs(text: &str, max_length: usize, keep: impl Fn(char) -> bool) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = None;
    let mut length = 0;
    let mut close = |start: &mut Option<usize>, end: usize| {
        if let Some(from) = start.take() {
            tokens.push(Token::new(&text[from..end], tokens.len(), from, end, "word"));
        }
    };
    for (offset, c) in text.char_indices() {
        if !keep(c) || length == max_length {
            close(&mut start, offset);
            length = 0;
        }
        if keep(c) {
            start.get_or_insert(offset);
            length += 1;
        }
    }
    close(&mut start, text.len());
    tokens
}

fn ngrams(text: &str, size: GramSize, classes: &[CharClass], edge: bool) -> Vec<Token> {
    let keep = |c: char| classes.is_empty() || classes.iter().any(|class| class.contains(c));
    let mut tokens = Vec::new();
    for run in runs(text, usize::MAX, keep) {
        let mut bounds: Vec<usize> = run.text.char_indices().map(|(offset, _)| run.start + offset).collect();
        bounds.push(run.end);
        let last = bounds.len() - 1;
        for from in 0..last {
            if edge && from > 0 {
                break;
            }
            for length in size.min..=size.max.min(last - from) {
                let (start, end) = (bounds[from], bounds[from + length]);
                tokens.push(Token::new(&text[start..end], tokens.len(), start, end, "word"));
            }
        }
    }
    tokens
}

fn by_pattern(text: &str, pattern: &Regex, group: Option<usize>) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut push = |start: usize, end: usize| {
        if start < end {
            tokens.push(Token::new(&text[start..end], tokens.len(), start, end, "word"));
        }
    };
    if let Some(group) = group {
        for captures in pattern.captures_iter(text) {
            if let Some(found) = captures.get(group) {
                push(found.start(), found.end());
            }
        }
    } else {
        let mut from = 0;
        for found in pattern.find_iter(text) {
            push(from, found.start());
            from = found.end();
        }
        push(from, text.len());
    }
    tokens
}

fn path_hierarchy(text: &str, delimiter: char) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut ends: Vec<usize> = text
        .char_indices()
        .filter(|&(offset, c)| c == delimiter && offset > 0)
        .map(|(offset, _)| offset)
        .collect();
    ends.push(text.len());
    for end in ends {
        if end > 0 {
            tokens.push(Token::new(&text[..end], 0, 0, end, "word"));
        }
    }
    tokens
}
