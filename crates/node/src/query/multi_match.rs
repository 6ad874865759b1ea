//! `multi_match`: one text over several fields.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use tantivy::query::{BoostQuery, EnableScoring, Query, TermQuery, Weight};
use tantivy::schema::IndexRecordOption;
use tantivy::{Searcher, Term};

use super::body::Body;
use super::dis_max::best_of;
use super::match_query::{matching, query_text};
use super::statistics::{FieldScored, Source};
use super::text::{Matching, Operator, Phrase, ZeroTerms, positions};
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};
use crate::mapping::{FieldMapping, FieldType};

/// `type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// The best field counts.
    #[default]
    BestFields,
    /// All fields add up.
    MostFields,
    /// Each word in any of the fields.
    CrossFields,
    /// As a phrase in the best field.
    Phrase,
    /// As a phrase whose last word is a prefix.
    PhrasePrefix,
    /// The last word a prefix, fields add up.
    BoolPrefix,
}

impl Kind {
    /// By its name.
    pub fn parse(text: &str) -> Result<Self> {
        Ok(match text.to_ascii_lowercase().as_str() {
            "best_fields" => Self::BestFields,
            "most_fields" => Self::MostFields,
            "cross_fields" => Self::CrossFields,
            "phrase" => Self::Phrase,
            "phrase_prefix" => Self::PhrasePrefix,
            "bool_prefix" => Self::BoolPrefix,
            other => {
                let mut error = ApiError::parsing(format!(
                    "failed to parse [multi_match] query type [{other}]. unknown type."
                ));
                error.kind = "parse_exception";
                return Err(error);
            }
        })
    }

    fn tie_breaker(self) -> f32 {
        if matches!(self, Self::MostFields | Self::BoolPrefix) { 1.0 } else { 0.0 }
    }
}

/// Names with boosts, as in `title^2`, with `*`.
#[derive(Debug, Clone, Default)]
pub struct FieldList(Vec<(String, f32)>);

impl FieldList {
    /// From `name^boost` texts.
    pub fn parse(texts: &[String]) -> Result<Self> {
        let mut fields = Vec::new();
        for text in texts {
            let (name, boost) = match text.split_once('^') {
                Some((name, boost)) => {
                    let boost = boost
                        .parse()
                        .map_err(|_| ApiError::illegal_argument(format!("For input string: \"{boost}\"")))?;
                    (name, boost)
                }
                None => (text.as_str(), 1.0),
            };
            fields.push((name.to_owned(), boost));
        }
        Ok(Self(fields))
    }

    /// True for no list and for `*`: then values that do not fit a field's type are passed over.
    pub fn is_all(&self) -> bool {
        self.0.is_empty() || self.0.iter().any(|(name, _)| name == "*")
    }

    /// The fields of the mapping, with boosts; patterns leave out what cannot be searched.
    pub fn resolve(&self, context: &QueryContext<'_>) -> Vec<(String, f32)> {
        let all = [("*".to_owned(), 1.0)];
        let list: &[(String, f32)] = if self.0.is_empty() { &all } else { &self.0 };
        let mut found: BTreeMap<String, f32> = BTreeMap::new();
        for (name, boost) in list {
            if name.contains('*') {
                for field in context.fields_like(name) {
                    if context.check_searchable(&field).is_ok() {
                        *found.entry(field.path.clone()).or_insert(1.0) *= boost;
                    }
                }
            } else {
                *found.entry(name.clone()).or_insert(1.0) *= boost;
            }
        }
        found.into_iter().collect()
    }
}

#[derive(Debug)]
struct MultiMatch {
    text: Value,
    fields: FieldList,
    kind: Kind,
    matching: Matching,
    phrase: Phrase,
    tie_breaker: Option<f32>,
    boost: f32,
}

/// `{"multi_match": {"query": "text", "fields": ["title^2", "body"], "type": ..}}`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("multi_match", value)?;
    let text = body.take("query");
    let fields = FieldList::parse(&body.texts("fields")?.unwrap_or_default())?;
    let kind = body.text("type")?.map(|kind| Kind::parse(&kind)).transpose()?.unwrap_or_default();
    let expansions = body.count("max_expansions")?.unwrap_or(50) as usize;
    let mut matching = matching(&mut body)?;
    let slop = body.count("slop")?;
    matching.zero_terms = match body.text("zero_terms_query")? {
        Some(text) => ZeroTerms::parse(&text)?,
        None => ZeroTerms::None,
    };
    let lenient = body.boolean("lenient")?;
    body.boolean("auto_generate_synonyms_phrase_query")?;
    let tie_breaker = body.number("tie_breaker")?;
    #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
    let tie_breaker = tie_breaker.map(|value| value as f32);
    let boost = body.boost()?;
    body.finish()?;
    let text = match text {
        None => return Err(ApiError::parsing("No text specified for multi_match query")),
        text => query_text("multi_match", text)?,
    };
    if matching.fuzzy.is_some() && matches!(kind, Kind::CrossFields | Kind::Phrase | Kind::PhrasePrefix) {
        let name = match kind {
            Kind::CrossFields => "cross_fields",
            Kind::Phrase => "phrase",
            _ => "phrase_prefix",
        };
        return Err(ApiError::parsing(format!("Fuzziness not allowed for type [{name}]")));
    }
    if slop.is_some() && kind == Kind::BoolPrefix {
        return Err(ApiError::parsing("[slop] not allowed for type [bool_prefix]"));
    }
    matching.lenient = lenient.unwrap_or_else(|| fields.is_all());
    matching.last_is_prefix = kind == Kind::BoolPrefix;
    let phrase = Phrase {
        slop: slop.unwrap_or(0),
        analyzer: matching.analyzer.clone(),
        zero_terms: matching.zero_terms,
        prefix_expansions: (kind == Kind::PhrasePrefix).then_some(expansions),
        lenient: matching.lenient,
    };
    Ok(Box::new(MultiMatch { text, fields, kind, matching, phrase, tie_breaker, boost }))
}

impl Clause for MultiMatch {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        let fields = self.fields.resolve(context);
        let query = over_fields(
            context,
            &fields,
            &self.text,
            self.kind,
            &self.matching,
            &self.phrase,
            self.tie_breaker,
        )?;
        Ok(scoring::boosted(query, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        for (name, _) in self.fields.resolve(context) {
            match self.kind {
                Kind::Phrase | Kind::PhrasePrefix => self.phrase.marks(context, &name, &self.text, marks)?,
                _ => self.matching.marks(context, &name, &self.text, marks)?,
            }
        }
        Ok(())
    }
}

/// The text in each of the fields, combined as `kind` says.
pub fn over_fields(
    context: &QueryContext<'_>,
    fields: &[(String, f32)],
    text: &Value,
    kind: Kind,
    matching: &Matching,
    phrase: &Phrase,
    tie_breaker: Option<f32>,
) -> Result<Box<dyn Query>> {
    let tie_breaker = tie_breaker.unwrap_or(kind.tie_breaker());
    if kind == Kind::CrossFields {
        return cross_fields(context, fields, text, matching, tie_breaker);
    }
    let mut queries = Vec::with_capacity(fields.len());
    for (name, boost) in fields {
        let query = match kind {
            Kind::Phrase | Kind::PhrasePrefix => phrase.compile(context, name, text)?,
            _ => matching.compile(context, name, text)?,
        };
        queries.push(scoring::boosted(query, *boost));
    }
    Ok(best_of(queries, tie_breaker))
}

/// Each word in any of the fields, as if they were one field: fields with the same analyzer form a group, and within
/// it a word has the document frequency it has in the field where it is most frequent.
fn cross_fields(
    context: &QueryContext<'_>,
    fields: &[(String, f32)],
    text: &Value,
    matching: &Matching,
    tie_breaker: f32,
) -> Result<Box<dyn Query>> {
    let mut groups: BTreeMap<String, Vec<(Arc<FieldMapping>, f32)>> = BTreeMap::new();
    let mut queries = Vec::new();
    for (name, boost) in fields {
        let field = context.table.get(name).filter(|field| field.kind == FieldType::Text);
        match field {
            Some(field) => {
                let analyzer = matching.analyzer.clone().unwrap_or_else(|| field.search_analyzer.clone());
                groups.entry(analyzer).or_default().push((field.clone(), *boost));
            }
            None => queries.push(scoring::boosted(matching.compile(context, name, text)?, *boost)),
        }
    }
    let text = super::field::string_value(text);
    for (analyzer, fields) in groups {
        let words = positions(context.analyzer_named("multi_match", &analyzer)?.tokens(&text));
        let words: Vec<Box<dyn Query>> = words
            .iter()
            .map(|(_, tokens)| {
                let alternatives = tokens
                    .iter()
                    .map(|token| -> Box<dyn Query> {
                        let terms = fields
                            .iter()
                            .map(|(field, boost)| BlendedTerm {
                                term: context.string_term(field, token),
                                source: context.scoring_source(field),
                                boost: *boost,
                            })
                            .collect();
                        Box::new(Blended { terms, tie_breaker })
                    })
                    .collect();
                scoring::any_of(alternatives, 1)
            })
            .collect();
        let count = words.len();
        let minimum = matching.minimum_should_match.as_ref().map_or(1, |minimum| minimum.of(count));
        queries.push(match (count, matching.operator) {
            (0, _) => scoring::none(),
            (_, Operator::And) => scoring::all_of(words),
            _ => scoring::any_of(words, minimum),
        });
    }
    Ok(best_of(queries, tie_breaker))
}

#[derive(Debug, Clone)]
struct BlendedTerm {
    term: Term,
    source: Source,
    boost: f32,
}

#[derive(Debug, Clone)]
struct Blended {
    terms: Vec<BlendedTerm>,
    tie_breaker: f32,
}

impl Blended {
    /// The document frequency each term is given: that of the most frequent one; each step down in frequency adds one,
    /// so that the field where the word is usual still wins.
    fn doc_freqs(&self, searcher: &Searcher) -> tantivy::Result<Vec<u64>> {
        let documents =
            searcher.segment_readers().iter().map(|reader| u64::from(reader.max_doc())).sum::<u64>();
        let own = self
            .terms
            .iter()
            .map(|blended| searcher.doc_freq(&blended.term))
            .collect::<tantivy::Result<Vec<u64>>>()?;
        let mut order: Vec<usize> = (0..own.len()).collect();
        order.sort_by_key(|&index| std::cmp::Reverse(own[index]));
        let mut given = own.clone();
        let mut actual = order.first().map_or(0, |&index| own[index].min(documents));
        let mut before = order.first().map_or(0, |&index| own[index]);
        for index in order {
            if before > own[index] {
                actual += 1;
            }
            before = own[index];
            given[index] = actual.min(documents);
        }
        Ok(given)
    }
}

impl Query for Blended {
    fn weight(&self, enable_scoring: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        let doc_freqs = match enable_scoring.searcher() {
            Some(searcher) => self.doc_freqs(searcher)?,
            None => vec![0; self.terms.len()],
        };
        let queries = self
            .terms
            .iter()
            .zip(doc_freqs)
            .map(|(blended, doc_freq)| -> Box<dyn Query> {
                let query = Box::new(TermQuery::new(blended.term.clone(), IndexRecordOption::WithFreqs));
                let query = FieldScored::with_doc_freq(query, blended.source.clone(), doc_freq);
                Box::new(BoostQuery::new(Box::new(query), blended.boost))
            })
            .collect();
        best_of(queries, self.tie_breaker).weight(enable_scoring)
    }
}
