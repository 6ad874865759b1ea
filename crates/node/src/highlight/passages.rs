//! From matches in a text to fragments: Lucene's unified highlighter with Elasticsearch's bounded sentences.

use std::collections::BTreeMap;

use super::breaks;

/// A match: characters from, to, and which thing was found (for the score).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Found {
    /// First character.
    pub start: usize,
    /// Character after the last.
    pub end: usize,
    /// Number of the thing searched for.
    pub what: usize,
}

/// How a text is cut into fragments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Not at all: `number_of_fragments: 0`.
    Whole,
    /// Sentences, filled up and cut to about so many characters.
    Sentences(usize),
    /// Each word by itself: `boundary_scanner: word`.
    Words,
}

/// A fragment with its matches.
#[derive(Debug, Clone)]
pub struct Passage {
    /// Value of the field.
    pub value: usize,
    /// First character within the value.
    pub start: usize,
    /// Character after the last.
    pub end: usize,
    /// Matches, in order.
    pub found: Vec<Found>,
    /// Lucene's passage score.
    pub score: f32,
}

/// Boundaries of one value, made when first asked for.
struct Scanner<'a> {
    chars: &'a [char],
    cut: Cut,
    main: Vec<usize>,
    window: (usize, usize),
    inner: (usize, usize),
}

impl<'a> Scanner<'a> {
    fn new(chars: &'a [char], cut: Cut) -> Self {
        let main = match cut {
            Cut::Whole => vec![0, chars.len()],
            Cut::Sentences(_) => breaks::sentences(chars),
            Cut::Words => breaks::words(&chars.iter().collect::<String>()),
        };
        Self { chars, cut, main, window: (0, 0), inner: (0, 0) }
    }

    /// The fragment around `start`, given as `start + 1` the way Lucene asks.
    fn around(&mut self, start: usize) -> (usize, usize) {
        let offset = start + 1;
        let Cut::Sentences(longest) = self.cut else {
            let from = breaks::preceding(&self.main, offset).unwrap_or(0);
            return (from, breaks::following(&self.main, start).unwrap_or(self.chars.len()));
        };
        if offset > self.window.0 && offset < self.window.1 {
            self.inner = (self.inner.1, self.window.1);
        } else {
            let from = breaks::preceding(&self.main, offset).unwrap_or(0);
            let mut to = breaks::following(&self.main, offset - 1).unwrap_or(self.chars.len());
            while to - from < longest {
                match breaks::following(&self.main, to) {
                    Some(next) if next - from <= longest => to = next,
                    _ => break,
                }
            }
            self.window = (from, to);
            self.inner = (from, to);
        }
        if self.inner.1.saturating_sub(self.inner.0) > longest {
            if offset > self.inner.0 + longest {
                let from = self.word_before(offset - longest + 1);
                self.inner.0 = self.inner.0.max(from);
            }
            let remaining = longest.saturating_sub(offset.saturating_sub(self.inner.0));
            if offset + remaining < self.window.1 {
                self.inner.1 = self.window.1.min(self.word_after(offset + remaining));
            }
        }
        self.inner
    }

    /// The stretch between blanks around `offset`, large enough to hold the word boundaries next to it.
    fn neighbourhood(&self, offset: usize) -> (usize, Vec<usize>) {
        let blank = |c: &char| c.is_whitespace();
        let mut from = offset.saturating_sub(1).min(self.chars.len());
        while from > 0 && !blank(&self.chars[from - 1]) {
            from -= 1;
        }
        // One blank more, whose own boundary may be the one wanted.
        from = from.saturating_sub(1);
        let mut to = (offset + 1).min(self.chars.len());
        while to < self.chars.len() && !blank(&self.chars[to]) {
            to += 1;
        }
        let to = (to + 1).min(self.chars.len());
        let text: String = self.chars[from..to].iter().collect();
        (from, breaks::words(&text))
    }

    fn word_before(&self, offset: usize) -> usize {
        let (from, boundaries) = self.neighbourhood(offset);
        breaks::preceding(&boundaries, offset - from).map_or(0, |boundary| from + boundary)
    }

    fn word_after(&self, offset: usize) -> usize {
        let (from, boundaries) = self.neighbourhood(offset);
        breaks::following(&boundaries, offset - from).map_or(self.chars.len(), |boundary| from + boundary)
    }
}

/// The best `limit` fragments of a field's values in the order of the text.
pub fn passages(values: &[Vec<char>], found: &[Vec<Found>], cut: Cut, limit: usize) -> Vec<Passage> {
    // Values count as one text with a separator between them.
    let length = values.iter().map(|value| value.len() + 1).sum::<usize>().saturating_sub(1);
    let mut all: Vec<Passage> = Vec::new();
    let mut base = 0;
    for (index, (value, found)) in values.iter().zip(found).enumerate() {
        let mut scanner = None;
        let mut last_end = 0;
        let mut current: Option<Passage> = None;
        for one in found {
            if current.as_ref().is_none_or(|passage| one.start >= passage.end) {
                all.extend(current.take());
                let scanner = scanner.get_or_insert_with(|| Scanner::new(value, cut));
                let (from, to) = scanner.around(one.start);
                let start = from.max(last_end);
                let end = to.min(value.len());
                last_end = last_end.max(end);
                current = Some(Passage { value: index, start, end, found: Vec::new(), score: 0.0 });
            }
            if let Some(passage) = &mut current {
                passage.found.push(*one);
            }
        }
        all.extend(current);
        for passage in all.iter_mut().filter(|passage| passage.value == index) {
            passage.score = score(passage, base, length);
        }
        base += value.len() + 1;
    }
    if all.len() > limit {
        // The earlier one wins a tie.
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by(|&a, &b| all[b].score.total_cmp(&all[a].score).then(a.cmp(&b)));
        let mut keep = vec![false; all.len()];
        order.iter().take(limit).for_each(|&index| keep[index] = true);
        let mut keep = keep.into_iter();
        all.retain(|_| keep.next().unwrap_or(false));
    }
    all
}

/// Lucene's `PassageScorer` (k1 1.2, b 0.75, pivot 87).
fn score(passage: &Passage, base: usize, length: usize) -> f32 {
    const K1: f32 = 1.2;
    const B: f32 = 0.75;
    const PIVOT: f32 = 87.0;
    let mut frequencies: BTreeMap<usize, f32> = BTreeMap::new();
    for found in &passage.found {
        *frequencies.entry(found.what).or_insert(0.0) += 1.0;
    }
    // Matches come without their frequency in the whole text, which then counts as 1.
    let documents = 1.0 + length as f32 / PIVOT;
    let weight = (K1 + 1.0) * (1.0 + (documents + 0.5) / 1.5).ln();
    let norm = K1 * ((1.0 - B) + B * ((passage.end - passage.start) as f32 / PIVOT));
    let sum: f32 = frequencies.values().map(|frequency| frequency / (frequency + norm) * weight).sum();
    sum * (1.0 + 1.0 / (PIVOT + (base + passage.start) as f32).ln())
}
