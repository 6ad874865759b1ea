//! N-grams and shingles.

use super::Token;
use super::filter::TokenFilter;

/// Shortest and longest gram, in characters.
#[derive(Debug, Clone, Copy)]
pub struct GramSize {
    /// `min_gram`.
    pub min: usize,
    /// `max_gram`.
    pub max: usize,
}

/// `ngram` and `edge_ngram` token filters; the grams of a token share its position and offsets.
#[derive(Debug)]
pub struct Grams {
    /// Sizes.
    pub size: GramSize,
    /// Only from the token's start.
    pub edge: bool,
    /// Keep tokens that are shorter or longer too.
    pub preserve_original: bool,
}

impl TokenFilter for Grams {
    fn apply(&self, tokens: Vec<Token>) -> Vec<Token> {
        let mut out = Vec::with_capacity(tokens.len() * 4);
        for token in tokens {
            let mut bounds: Vec<usize> = token.text.char_indices().map(|(offset, _)| offset).collect();
            bounds.push(token.text.len());
            let length = bounds.len() - 1;
            let starts = if self.edge { 1.min(length) } else { length };
            for from in 0..starts {
                for size in self.size.min..=self.size.max.min(length - from) {
                    out.push(Token {
                        text: token.text[bounds[from]..bounds[from + size]].to_owned(),
                        ..token.clone()
                    });
                }
            }
            let outside = length < self.size.min || length > self.size.max;
            if self.preserve_original && outside {
                out.push(token);
            }
        }
        out
    }
}

/// `shingle`: word n-grams.
#[derive(Debug)]
pub struct Shingles {
    /// Words in the shortest shingle.
    pub min: usize,
    /// Words in the longest.
    pub max: usize,
    /// Put the words themselves out too.
    pub output_unigrams: bool,
    /// `output_unigrams_if_no_shingles`: at least when there is no shingle.
    pub unigrams_if_none: bool,
    /// Between the words.
    pub separator: String,
    /// In the place of a hole that a stop filter left.
    pub filler: String,
}

impl TokenFilter for Shingles {
    fn apply(&self, tokens: Vec<Token>) -> Vec<Token> {
        let words = self.with_fillers(tokens);
        let mut out = Vec::with_capacity(words.len() * 2);
        let mut shingles = 0;
        for (index, word) in words.iter().enumerate() {
            if self.output_unigrams
                && let Some(token) = word
            {
                out.push(token.clone());
            }
            for size in self.min..=self.max {
                let Some(part) = words.get(index..index + size) else { break };
                let (Some(first), Some(last)) =
                    (part.iter().flatten().next(), part.iter().flatten().next_back())
                else {
                    continue;
                };
                let texts: Vec<&str> = part
                    .iter()
                    .map(|token| token.as_ref().map_or(self.filler.as_str(), |token| &token.text))
                    .collect();
                let position = word.as_ref().map_or(first.position.saturating_sub(1), |token| token.position);
                out.push(Token {
                    text: texts.join(&self.separator),
                    position,
                    position_length: size,
                    start: first.start,
                    end: last.end,
                    kind: "shingle",
                });
                shingles += 1;
            }
        }
        if !self.output_unigrams && self.unigrams_if_none && shingles == 0 {
            return words.into_iter().flatten().collect();
        }
        // Without the words, positions count shingle starts.
        if !self.output_unigrams {
            let mut starts: Vec<usize> = out.iter().map(|token| token.position).collect();
            starts.dedup();
            for token in &mut out {
                token.position = starts.binary_search(&token.position).unwrap_or(token.position);
                token.position_length = 1;
            }
        }
        out
    }
}

impl Shingles {
    /// The words in order, one per position, `None` for holes.
    fn with_fillers(&self, tokens: Vec<Token>) -> Vec<Option<Token>> {
        let mut words: Vec<Option<Token>> = Vec::with_capacity(tokens.len());
        let mut next = 0;
        for token in tokens {
            let holes = token.position.saturating_sub(next).min(self.max.saturating_sub(1));
            words.extend(std::iter::repeat_n(None, holes));
            next = token.position + 1;
            words.push(Some(token));
        }
        words
    }
}
