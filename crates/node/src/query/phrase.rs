//! Phrases as Lucene matches and scores them: several terms at a position, slop with its sloppy frequency, a last
//! word that may be a prefix. tantivy's phrase query counts a sloppy match as a full one.

use std::sync::Arc;

use tantivy::fieldnorm::FieldNormReader;
use tantivy::postings::{Postings, SegmentPostings};
use tantivy::query::{
    Bm25StatisticsProvider, EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight,
};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet, Score, Searcher, SegmentReader, TERMINATED, Term};

use super::automaton::Dictionary;
use super::expansion::terms_with_prefix;

/// One position of a phrase.
#[derive(Debug, Clone)]
pub enum Slot {
    /// One of these terms.
    Terms(Vec<Term>),
    /// A term that starts so; at most so many of them.
    Prefix(Dictionary, String, usize),
}

/// Terms in order, with room for `slop` moves.
#[derive(Debug, Clone)]
pub struct PhraseMatch {
    /// Offset within the phrase, and what stands there.
    pub slots: Vec<(u32, Slot)>,
    /// Moves allowed.
    pub slop: u32,
    /// Terms at one position count as one word (the highest document frequency), not as several.
    pub synonyms: bool,
}

impl PhraseMatch {
    fn resolve(&self, searcher: &Searcher) -> tantivy::Result<Vec<(u32, Vec<Term>)>> {
        self.slots
            .iter()
            .map(|(offset, slot)| {
                let terms = match slot {
                    Slot::Terms(terms) => terms.clone(),
                    Slot::Prefix(dictionary, prefix, limit) => {
                        terms_with_prefix(searcher, dictionary, prefix, *limit)?
                            .iter()
                            .map(|term| dictionary.term(term))
                            .collect()
                    }
                };
                Ok((*offset, terms))
            })
            .collect()
    }
}

impl Query for PhraseMatch {
    fn weight(&self, enable_scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        let Some(searcher) = enable_scoring.searcher() else {
            return Err(tantivy::TantivyError::InvalidArgument("phrase queries need a searcher".into()));
        };
        let slots = self.resolve(searcher)?;
        let scoring = match enable_scoring {
            EnableScoring::Enabled { statistics_provider, .. } => {
                Some(Arc::new(Bm25::new(statistics_provider, &slots, self.synonyms)?))
            }
            EnableScoring::Disabled { .. } => None,
        };
        Ok(Box::new(PhraseMatchWeight { slots, slop: self.slop, scoring }))
    }

    fn query_terms<'a>(&'a self, visitor: &mut dyn FnMut(&'a Term, bool)) {
        for (_, slot) in &self.slots {
            if let Slot::Terms(terms) = slot {
                for term in terms {
                    visitor(term, true);
                }
            }
        }
    }
}

const K1: Score = 1.2;
const B: Score = 0.75;

/// BM25 with a fractional frequency.
#[derive(Debug)]
struct Bm25 {
    weight: Score,
    average_length: Score,
}

impl Bm25 {
    fn new(
        statistics: &dyn Bm25StatisticsProvider,
        slots: &[(u32, Vec<Term>)],
        synonyms: bool,
    ) -> tantivy::Result<Self> {
        let documents = statistics.total_num_docs()?;
        let idf = |doc_freq: u64| {
            let rest = documents.saturating_sub(doc_freq) as Score;
            (1.0 + (rest + 0.5) / (doc_freq as Score + 0.5)).ln()
        };
        let mut sum = 0.0;
        let mut tokens = 0;
        for (_, terms) in slots {
            let mut highest = 0;
            for term in terms {
                tokens = statistics.total_num_tokens(term.field())?;
                let doc_freq = statistics.doc_freq(term)?;
                highest = highest.max(doc_freq);
                // Alternatives that no document has do not count, a phrase's only word does.
                if !synonyms && (doc_freq > 0 || terms.len() == 1) {
                    sum += idf(doc_freq);
                }
            }
            if synonyms && !terms.is_empty() {
                sum += idf(highest);
            }
        }
        let average_length = tokens as Score / documents.max(1) as Score;
        Ok(Self { weight: sum * (1.0 + K1), average_length })
    }

    fn score(&self, length: u32, frequency: Score) -> Score {
        let norm = K1 * (1.0 - B + B * length as Score / self.average_length.max(f32::MIN_POSITIVE));
        self.weight * frequency / (frequency + norm)
    }
}

struct PhraseMatchWeight {
    slots: Vec<(u32, Vec<Term>)>,
    slop: u32,
    scoring: Option<Arc<Bm25>>,
}

impl PhraseMatchWeight {
    fn phrase_scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Option<PhraseScorer>> {
        let mut words = Vec::with_capacity(self.slots.len());
        let mut norms = None;
        for (offset, terms) in &self.slots {
            let mut postings = Vec::new();
            for term in terms {
                let inverted_index = reader.inverted_index(term.field())?;
                postings
                    .extend(inverted_index.read_postings(term, IndexRecordOption::WithFreqsAndPositions)?);
                if norms.is_none() {
                    norms = reader.fieldnorms_readers().get_field(term.field())?;
                }
            }
            if postings.is_empty() {
                return Ok(None);
            }
            words.push(Word { offset: *offset, postings, terms: terms.clone(), positions: Vec::new() });
        }
        let norms = norms.unwrap_or_else(|| FieldNormReader::constant(reader.max_doc(), 1));
        let mut scorer = PhraseScorer {
            words,
            slop: self.slop,
            scoring: self.scoring.clone(),
            norms,
            boost,
            doc: TERMINATED,
            frequency: 0.0,
            buffer: Vec::new(),
        };
        let first = scorer.words.iter().map(Word::doc).max().unwrap_or(TERMINATED);
        scorer.settle(first);
        Ok(Some(scorer))
    }
}

impl Weight for PhraseMatchWeight {
    fn scorer(&self, reader: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        match self.phrase_scorer(reader, boost)? {
            Some(scorer) => Ok(Box::new(scorer)),
            None => Ok(Box::new(EmptyScorer)),
        }
    }

    fn explain(&self, reader: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        let mut scorer = self.scorer(reader, 1.0)?;
        if scorer.doc() > doc || scorer.seek(doc) != doc {
            return Err(tantivy::TantivyError::InvalidArgument(format!("Document #({doc}) does not match")));
        }
        Ok(Explanation::new("Phrase", scorer.score()))
    }
}

/// One position of the phrase in one segment.
struct Word {
    offset: u32,
    postings: Vec<SegmentPostings>,
    terms: Vec<Term>,
    /// Positions in the current document less the offset; may be negative.
    positions: Vec<i64>,
}

impl Word {
    fn doc(&self) -> DocId {
        self.postings.iter().map(DocSet::doc).min().unwrap_or(TERMINATED)
    }

    fn seek(&mut self, target: DocId) -> DocId {
        for postings in &mut self.postings {
            if postings.doc() < target {
                postings.seek(target);
            }
        }
        self.doc()
    }

    fn read_positions(&mut self, doc: DocId, buffer: &mut Vec<u32>) {
        self.positions.clear();
        for postings in &mut self.postings {
            if postings.doc() == doc {
                postings.positions(buffer);
                self.positions
                    .extend(buffer.iter().map(|&position| i64::from(position) - i64::from(self.offset)));
            }
        }
        if self.postings.len() > 1 {
            self.positions.sort_unstable();
        }
    }
}

struct PhraseScorer {
    words: Vec<Word>,
    slop: u32,
    scoring: Option<Arc<Bm25>>,
    norms: FieldNormReader,
    boost: Score,
    doc: DocId,
    frequency: Score,
    buffer: Vec<u32>,
}

impl PhraseScorer {
    /// Moves to the first document from `candidate` on that has the phrase.
    fn settle(&mut self, mut candidate: DocId) {
        'documents: while candidate != TERMINATED {
            for word in &mut self.words {
                let doc = word.seek(candidate);
                if doc > candidate {
                    candidate = doc;
                    continue 'documents;
                }
            }
            self.frequency = self.phrase_frequency(candidate);
            if self.frequency > 0.0 {
                break;
            }
            candidate += 1;
        }
        self.doc = candidate;
    }

    fn phrase_frequency(&mut self, doc: DocId) -> Score {
        if self.words.len() == 1 {
            // The terms of one position: no order to check, but all occurrences count.
            let frequencies = self.words[0].postings.iter().filter(|postings| postings.doc() == doc);
            return frequencies.map(|postings| postings.term_freq() as Score).sum();
        }
        for word in &mut self.words {
            word.read_positions(doc, &mut self.buffer);
        }
        if self.slop == 0 {
            exact_frequency(&self.words)
        } else {
            sloppy_frequency(&self.words, i64::from(self.slop))
        }
    }
}

/// Starting points that all words share.
fn exact_frequency(words: &[Word]) -> Score {
    let Some((first, others)) = words.split_first() else { return 0.0 };
    let mut starts = first.positions.clone();
    starts.dedup();
    starts.retain(|start| others.iter().all(|word| word.positions.binary_search(start).is_ok()));
    starts.len() as Score
}

/// Lucene's sloppy frequency: each match weighs `1 / (1 + distance)`, where the distance is that between the first and
/// the last word once the phrase's own offsets are taken off.
fn sloppy_frequency(words: &[Word], slop: i64) -> Score {
    let Some(mut state) = Sloppy::start(words) else { return 0.0 };
    let mut frequency = 0.0;
    let mut count = |length: i64| {
        if length <= slop {
            frequency += 1.0 / (1.0 + length as Score);
        }
    };
    let (mut word, mut next) = state.first_and_next();
    let mut length = state.end - state.position(word);
    while state.advance(word) && state.resolve(word) {
        if state.position(word) > next {
            count(length);
            (word, next) = state.first_and_next();
            length = state.end - state.position(word);
        } else {
            length = length.min(state.end - state.position(word));
        }
    }
    count(length);
    frequency
}

/// Where each word of a sloppy phrase stands at the moment.
struct Sloppy<'a> {
    words: &'a [Word],
    at: Vec<usize>,
    end: i64,
}

impl<'a> Sloppy<'a> {
    /// First positions, words that share a term moved apart.
    fn start(words: &'a [Word]) -> Option<Self> {
        let mut state = Self { words, at: vec![0; words.len()], end: i64::MIN };
        for word in 1..words.len() {
            while let Some(other) = state.colliding(word) {
                if !state.advance(state.lesser(word, other)) {
                    return None;
                }
            }
        }
        state.end = (0..words.len()).map(|word| state.position(word)).max()?;
        Some(state)
    }

    fn position(&self, word: usize) -> i64 {
        self.words[word].positions[self.at[word]]
    }

    fn advance(&mut self, word: usize) -> bool {
        if self.at[word] + 1 >= self.words[word].positions.len() {
            return false;
        }
        self.at[word] += 1;
        self.end = self.end.max(self.position(word));
        true
    }

    /// The word that comes first, and the position of the one after it.
    fn first_and_next(&self) -> (usize, i64) {
        let key = |&word: &usize| (self.position(word), self.words[word].offset, word);
        let first = (0..self.words.len()).min_by_key(key).unwrap_or(0);
        let others = (0..self.words.len()).filter(|&word| word != first);
        (first, others.map(|word| self.position(word)).min().unwrap_or(i64::MAX))
    }

    /// Another word with a term in common that stands on the same occurrence.
    fn colliding(&self, word: usize) -> Option<usize> {
        let occurrence = |word: usize| self.position(word) + i64::from(self.words[word].offset);
        (0..self.words.len()).find(|&other| {
            other != word
                && occurrence(other) == occurrence(word)
                && self.words[other].terms.iter().any(|term| self.words[word].terms.contains(term))
        })
    }

    fn lesser(&self, a: usize, b: usize) -> usize {
        let key = |word: usize| (self.position(word), self.words[word].offset);
        if key(a) < key(b) { a } else { b }
    }

    /// After `word` has moved: moves whichever of two words on one occurrence is the lesser, until none are.
    fn resolve(&mut self, mut word: usize) -> bool {
        while let Some(other) = self.colliding(word) {
            word = self.lesser(word, other);
            if !self.advance(word) {
                return false;
            }
        }
        true
    }
}

impl DocSet for PhraseScorer {
    fn advance(&mut self) -> DocId {
        if self.doc != TERMINATED {
            self.settle(self.doc + 1);
        }
        self.doc
    }

    fn seek(&mut self, target: DocId) -> DocId {
        if self.doc < target {
            self.settle(target);
        }
        self.doc
    }

    fn doc(&self) -> DocId {
        self.doc
    }

    fn size_hint(&self) -> u32 {
        self.words
            .iter()
            .map(|word| word.postings.iter().map(DocSet::size_hint).sum::<u32>())
            .min()
            .unwrap_or(0)
    }
}

impl Scorer for PhraseScorer {
    fn score(&mut self) -> Score {
        let Some(scoring) = &self.scoring else { return 1.0 };
        self.boost * scoring.score(self.norms.fieldnorm(self.doc), self.frequency)
    }
}
