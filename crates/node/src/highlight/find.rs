//! Where the things a query looks for stand in a text.

use std::sync::Arc;

use super::passages::Found;
use crate::analysis::{Analyzer, Token};
use crate::query::What;

/// The matches of `whats` in one value, as characters, in order and without repetition.
pub fn find(value: &str, analyzer: Option<&Arc<Analyzer>>, whats: &[What]) -> Vec<Found> {
    let tokens = match analyzer {
        Some(analyzer) => analyzer.tokens(value),
        None => vec![Token::new(value, 0, 0, value.len(), "word")],
    };
    let mut found = Vec::new();
    for (number, what) in whats.iter().enumerate() {
        match what {
            What::Phrase(words, slop) => {
                found.extend(
                    phrases(&tokens, words, *slop).into_iter().map(|(start, end)| (start, end, number)),
                );
            }
            single => found.extend(
                tokens
                    .iter()
                    .filter(|token| single.fits(&token.text))
                    .map(|token| (token.start, token.end, number)),
            ),
        }
    }
    found.sort_unstable_by_key(|&(start, end, number)| (start, end, number));
    found.dedup_by_key(|&mut (start, end, _)| (start, end));
    to_characters(value, found)
}

/// Bytes to characters; `found` is in order of starts.
fn to_characters(value: &str, found: Vec<(usize, usize, usize)>) -> Vec<Found> {
    let ascii = value.is_ascii();
    let starts: Vec<usize> =
        if ascii { Vec::new() } else { value.char_indices().map(|(offset, _)| offset).collect() };
    let character =
        |offset: usize| if ascii { offset } else { starts.partition_point(|&start| start < offset) };
    found
        .into_iter()
        .map(|(start, end, what)| Found { start: character(start), end: character(end), what })
        .collect()
}

/// Stretches of bytes that hold all words of a phrase within `slop` moves.
fn phrases(tokens: &[Token], words: &[(u32, Vec<What>)], slop: u32) -> Vec<(usize, usize)> {
    // Each word's occurrences: where the phrase would begin if the word stood in its place, and the token.
    let mut places: Vec<Vec<(i64, &Token)>> = Vec::with_capacity(words.len());
    for (offset, whats) in words {
        let fits = |token: &&Token| whats.iter().any(|what| what.fits(&token.text));
        let at = |token: &Token| i64::try_from(token.position).unwrap_or(i64::MAX) - i64::from(*offset);
        let occurrences: Vec<(i64, &Token)> =
            tokens.iter().filter(fits).map(|token| (at(token), token)).collect();
        if occurrences.is_empty() {
            return Vec::new();
        }
        places.push(occurrences);
    }
    let slop = i64::from(slop);
    let mut found = Vec::new();
    let mut last_end = 0;
    for (start, first) in &places[0] {
        let mut low = *start;
        let mut high = *start;
        let (mut from, mut to) = (first.start, first.end);
        let mut complete = true;
        for others in &places[1..] {
            // The occurrence that strains the phrase least.
            let best =
                others.iter().min_by_key(|(other, token)| (high.max(*other) - low.min(*other), token.start));
            match best {
                Some((other, token)) if high.max(*other) - low.min(*other) <= slop => {
                    low = low.min(*other);
                    high = high.max(*other);
                    from = from.min(token.start);
                    to = to.max(token.end);
                }
                _ => {
                    complete = false;
                    break;
                }
            }
        }
        if complete && from >= last_end {
            found.push((from, to));
            last_end = to;
        }
    }
    found
}
