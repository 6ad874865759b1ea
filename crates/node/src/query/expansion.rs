//! Terms close to a word, looked up in the index and scored as Elasticsearch scores them: each by its closeness, all
//! with the document frequency of the most frequent one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use tantivy::query::{
    BooleanQuery, BoostQuery, DfaWrapper, EnableScoring, FuzzyTermQuery, Occur, Query, TermQuery,
    TermSetQuery, Weight,
};
use tantivy::schema::IndexRecordOption;
use tantivy::{Searcher, Term};
use tantivy_fst::Automaton;

use super::automaton::{Dictionary, Prefixed};
use super::statistics::{FieldScored, Source};
use super::{QueryContext, scoring};
use crate::error::{ApiError, Result};
use crate::mapping::FieldMapping;

/// How far terms may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fuzziness {
    /// So many edits.
    Edits(u8),
    /// By length: below the first none, below the second one, else two.
    Auto(usize, usize),
}

impl Fuzziness {
    /// `AUTO`, `AUTO:3,6`, `0`, `1`, `2`.
    pub fn parse(value: &serde_json::Value) -> Result<Self> {
        let text = super::field::string_value(value);
        let upper = text.to_uppercase();
        if upper == "AUTO" {
            return Ok(Self::Auto(3, 6));
        }
        if let Some(bounds) = upper.strip_prefix("AUTO:") {
            let bounds = bounds
                .split_once(',')
                .and_then(|(low, high)| Some((low.trim().parse().ok()?, high.trim().parse().ok()?)));
            return match bounds {
                Some((low, high)) if low <= high => Ok(Self::Auto(low, high)),
                _ => Err(ApiError::illegal_argument(format!(
                    "failed to find low and high distance values in [{text}]"
                ))),
            };
        }
        match text.parse::<f64>() {
            Ok(0.0) => Ok(Self::Edits(0)),
            Ok(1.0) => Ok(Self::Edits(1)),
            Ok(2.0) => Ok(Self::Edits(2)),
            Ok(_) => Err(ApiError::illegal_argument(format!(
                "Valid edit distances are [0, 1, 2] but was [{text}]"
            ))),
            Err(_) => Err(ApiError::illegal_argument(format!("fuzziness cannot be [{text}]."))),
        }
    }

    /// Edits allowed in `text`.
    pub fn edits(self, text: &str) -> u8 {
        match self {
            Self::Edits(edits) => edits,
            Self::Auto(low, high) => {
                let length = text.chars().count();
                if length < low {
                    0
                } else if length < high {
                    1
                } else {
                    2
                }
            }
        }
    }
}

/// Parameters of fuzzy matching.
#[derive(Debug, Clone, Copy)]
pub struct Fuzzy {
    /// Edits.
    pub fuzziness: Fuzziness,
    /// Characters that must be the same.
    pub prefix_length: usize,
    /// Most terms looked for.
    pub max_expansions: usize,
    /// A swap of neighbours is one edit.
    pub transpositions: bool,
}

/// The automaton of a longer word would take too much memory.
const LONGEST_FUZZY: usize = 255;

/// Documents with a term close to `text` in `field`.
pub fn fuzzy_query(
    context: &QueryContext<'_>,
    field: &FieldMapping,
    text: &str,
    fuzzy: &Fuzzy,
) -> Result<Box<dyn Query>> {
    let edits = fuzzy.fuzziness.edits(text);
    if edits == 0 {
        return Ok(context.scored_term(field, context.string_term(field, text)));
    }
    if text.chars().count() > LONGEST_FUZZY {
        return Err(context.failed(&ApiError::illegal_argument(format!(
            "fuzzy queries take words of at most {LONGEST_FUZZY} characters"
        ))));
    }
    // Any text field will do: the automaton is over the word alone.
    let word = Term::from_field_text(context.fields.id, text);
    let automaton = FuzzyTermQuery::new(word, edits, fuzzy.transpositions).automaton()?;
    Ok(Box::new(FuzzyTerms {
        dictionary: Dictionary::of(context, field),
        source: context.scoring_source(field),
        text: text.to_owned(),
        automaton: Arc::new(automaton),
        fuzzy: *fuzzy,
    }))
}

#[derive(Clone)]
struct FuzzyTerms {
    dictionary: Dictionary,
    source: Source,
    text: String,
    automaton: Arc<DfaWrapper>,
    fuzzy: Fuzzy,
}

impl fmt::Debug for FuzzyTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FuzzyTerms")
            .field("text", &self.text)
            .field("fuzzy", &self.fuzzy)
            .finish_non_exhaustive()
    }
}

impl FuzzyTerms {
    /// The closest terms with their boosts and document frequencies.
    fn expand(&self, searcher: &Searcher) -> tantivy::Result<Vec<(String, f32, u64)>> {
        let found = matching_terms(searcher, &self.dictionary, &self.automaton)?;
        let length = self.text.chars().count();
        let prefix: String = self.text.chars().take(self.fuzzy.prefix_length).collect();
        let allowed = usize::from(self.fuzzy.fuzziness.edits(&self.text));
        let mut terms: Vec<(String, f32, u64)> = found
            .into_iter()
            .filter(|(term, _)| term.starts_with(&prefix))
            .filter_map(|(term, doc_freq)| {
                let edits = edit_distance(
                    &self.text[prefix.len()..],
                    &term[prefix.len()..],
                    self.fuzzy.transpositions,
                );
                if edits > allowed {
                    return None;
                }
                let shorter = term.chars().count().min(length).max(1);
                let boost = 1.0 - edits as f32 / shorter as f32;
                // A term may be so far away that it adds nothing.
                (boost >= 0.0).then_some((term, boost, doc_freq))
            })
            .collect();
        terms.sort_by(|a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        terms.truncate(self.fuzzy.max_expansions);
        Ok(terms)
    }
}

impl Query for FuzzyTerms {
    fn weight(&self, enable_scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        let Some(searcher) = enable_scoring.searcher() else {
            return Err(tantivy::TantivyError::InvalidArgument("fuzzy queries need a searcher".into()));
        };
        let terms = self.expand(searcher)?;
        let doc_freq = terms.iter().map(|(.., doc_freq)| *doc_freq).max().unwrap_or(0);
        let clauses: Vec<(Occur, Box<dyn Query>)> = terms
            .into_iter()
            .map(|(term, boost, _)| -> (Occur, Box<dyn Query>) {
                let query =
                    Box::new(TermQuery::new(self.dictionary.term(&term), IndexRecordOption::WithFreqs));
                let query = FieldScored::with_doc_freq(query, self.source.clone(), doc_freq);
                (Occur::Should, Box::new(BoostQuery::new(Box::new(query), boost)))
            })
            .collect();
        if clauses.is_empty() {
            return scoring::none().weight(enable_scoring);
        }
        BooleanQuery::with_minimum_required_clauses(clauses, 1).weight(enable_scoring)
    }
}

/// The strings of a dictionary that an automaton accepts, with their document frequencies over all segments.
pub fn matching_terms<A>(
    searcher: &Searcher,
    dictionary: &Dictionary,
    automaton: &Arc<A>,
) -> tantivy::Result<BTreeMap<String, u64>>
where
    A: Automaton,
    A::State: Clone,
{
    let mut found = BTreeMap::new();
    for reader in searcher.segment_readers() {
        let inverted_index = reader.inverted_index(dictionary.field)?;
        let prefixed = Prefixed::new(dictionary, automaton.clone());
        let mut stream = inverted_index.terms().search(prefixed).into_stream()?;
        while stream.advance() {
            if let Ok(term) = std::str::from_utf8(&stream.key()[dictionary.prefix.len()..]) {
                *found.entry(term.to_owned()).or_insert(0) += u64::from(stream.value().doc_freq);
            }
        }
    }
    Ok(found)
}

/// The first `limit` strings of a dictionary that start with `prefix`, in order.
pub fn terms_with_prefix(
    searcher: &Searcher,
    dictionary: &Dictionary,
    prefix: &str,
    limit: usize,
) -> tantivy::Result<Vec<String>> {
    let mut found = std::collections::BTreeSet::new();
    let start = dictionary.term(prefix);
    for reader in searcher.segment_readers() {
        let inverted_index = reader.inverted_index(dictionary.field)?;
        let mut range = inverted_index.terms().range().ge(start.serialized_value_bytes());
        if let Some(end) = dictionary.end_of_prefix(prefix) {
            range = range.lt(end.serialized_value_bytes());
        }
        let mut stream = range.into_stream()?;
        let mut taken = 0;
        while taken < limit && stream.advance() {
            if let Ok(term) = std::str::from_utf8(&stream.key()[dictionary.prefix.len()..]) {
                found.insert(term.to_owned());
                taken += 1;
            }
        }
    }
    Ok(found.into_iter().take(limit).collect())
}

/// Edits between two words; with `transpositions` a swap of neighbours is one. Counts to 2; more is 3.
pub fn edit_distance(a: &str, b: &str, transpositions: bool) -> usize {
    /// Only cells that near the diagonal can hold 2 or less.
    const BAND: usize = 2;
    const MANY: usize = BAND + 1;
    const WIDTH: usize = 2 * BAND + 1;
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > BAND {
        return MANY;
    }
    // Row i holds the columns i - BAND ..= i + BAND.
    let column =
        |row: usize, index: usize| (row + index).checked_sub(BAND).filter(|&column| column <= b.len());
    let mut before = [MANY; WIDTH];
    let mut last = [MANY; WIDTH];
    for (index, cell) in last.iter_mut().enumerate() {
        *cell = column(0, index).map_or(MANY, |column| column.min(MANY));
    }
    for i in 1..=a.len() {
        let mut row = [MANY; WIDTH];
        for index in 0..WIDTH {
            let Some(j) = column(i, index) else { continue };
            let above = last.get(index + 1).map_or(MANY, |cell| cell + 1);
            let left = if index > 0 { row[index - 1] + 1 } else { MANY };
            let mut best = above.min(left);
            if j == 0 {
                best = best.min(i);
            } else {
                best = best.min(last[index] + usize::from(a[i - 1] != b[j - 1]));
                if transpositions && i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best = best.min(before[index] + 1);
                }
            }
            row[index] = best.min(MANY);
        }
        before = last;
        last = row;
    }
    last[b.len() + BAND - a.len()]
}

/// Whether a term is meant.
pub type TermPredicate = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// All terms of a dictionary for which a predicate holds, found by looking at each.
#[derive(Clone)]
pub struct TermsWhere {
    dictionary: Dictionary,
    fits: TermPredicate,
}

impl TermsWhere {
    /// A query for the documents with such a term.
    pub fn new(dictionary: Dictionary, fits: TermPredicate) -> Self {
        Self { dictionary, fits }
    }
}

impl fmt::Debug for TermsWhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TermsWhere").field("dictionary", &self.dictionary).finish_non_exhaustive()
    }
}

impl Query for TermsWhere {
    fn weight(&self, enable_scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        let Some(searcher) = enable_scoring.searcher() else {
            return Err(tantivy::TantivyError::InvalidArgument("term expansion needs a searcher".into()));
        };
        let all = terms_with_prefix(searcher, &self.dictionary, "", usize::MAX)?;
        let terms = all.into_iter().filter(|term| (self.fits)(term)).map(|term| self.dictionary.term(&term));
        TermSetQuery::new(terms).weight(enable_scoring)
    }
}

/// The terms of a field that start with a prefix, at most so many, scored each for itself.
#[derive(Debug, Clone)]
pub struct PrefixTerms {
    /// Where the terms are.
    pub dictionary: Dictionary,
    /// What they are scored by.
    pub source: Source,
    /// The prefix.
    pub prefix: String,
    /// Most terms looked for.
    pub limit: usize,
}

impl Query for PrefixTerms {
    fn weight(&self, enable_scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        let Some(searcher) = enable_scoring.searcher() else {
            return Err(tantivy::TantivyError::InvalidArgument("term expansion needs a searcher".into()));
        };
        let queries = terms_with_prefix(searcher, &self.dictionary, &self.prefix, self.limit)?
            .iter()
            .map(|term| -> Box<dyn Query> {
                let query = TermQuery::new(self.dictionary.term(term), IndexRecordOption::WithFreqs);
                Box::new(FieldScored::new(Box::new(query), self.source.clone()))
            })
            .collect();
        scoring::any_of(queries, 1).weight(enable_scoring)
    }
}

#[cfg(test)]
mod tests {
    use super::edit_distance;

    #[test]
    fn distances_up_to_two() {
        for (a, b, swaps, plain) in [
            ("", "", 0, 0),
            ("abc", "abc", 0, 0),
            ("abc", "acb", 1, 2),
            ("abc", "ab", 1, 1),
            ("ab", "abc", 1, 1),
            ("abc", "xbc", 1, 1),
            ("abcd", "badc", 2, 3),
            ("abc", "xyz", 3, 3),
            ("a", "abcd", 3, 3),
            ("fox", "ofx", 1, 2),
            ("grün", "grun", 1, 1),
            ("abcdef", "bcdefg", 2, 2),
        ] {
            assert_eq!(edit_distance(a, b, true), swaps, "{a} {b}");
            assert_eq!(edit_distance(a, b, false), plain, "{a} {b}");
        }
    }
}
