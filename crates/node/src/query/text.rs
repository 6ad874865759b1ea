//! Queries from analysed text: what `match`, `match_phrase`, `multi_match` and the query strings share.

use std::collections::BTreeMap;
use std::sync::Arc;

use tantivy::query::Query;

use super::automaton::Dictionary;
use super::expansion::{Fuzzy, PrefixTerms, edit_distance, fuzzy_query};
use super::marks::What;
use super::minimum_should_match::MinimumShouldMatch;
use super::phrase::{PhraseMatch, Slot};
use super::statistics::FieldScored;
use super::{Marks, QueryContext, scoring};
use crate::analysis::{Analyzer, Token};
use crate::error::{ApiError, Result};
use crate::mapping::{FieldMapping, FieldType};

/// How the words of a text must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Operator {
    /// One of them.
    #[default]
    Or,
    /// All of them.
    And,
}

impl Operator {
    /// `and`, `or`, in any case.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "or" => Ok(Self::Or),
            "and" => Ok(Self::And),
            _ => Err(ApiError::illegal_argument(format!(
                "operator needs to be either OR or AND, but not [{text}]"
            ))),
        }
    }
}

/// What a text without any token (stop words only) matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ZeroTerms {
    /// Nothing.
    #[default]
    None,
    /// Everything.
    All,
}

impl ZeroTerms {
    /// `none`, `all`.
    pub fn parse(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "none" => Ok(Self::None),
            "all" => Ok(Self::All),
            other => Err(ApiError::parsing(format!("Unsupported zero_terms_query value [{other}]"))),
        }
    }

    fn query(self) -> Box<dyn Query> {
        match self {
            Self::None => scoring::none(),
            Self::All => scoring::all(),
        }
    }
}

/// How a text is looked for in a field.
#[derive(Debug, Clone, Default)]
pub struct Matching {
    /// `operator`.
    pub operator: Operator,
    /// `minimum_should_match`.
    pub minimum_should_match: Option<MinimumShouldMatch>,
    /// `fuzziness` and its parameters.
    pub fuzzy: Option<Fuzzy>,
    /// `analyzer`: instead of the field's search analyzer.
    pub analyzer: Option<String>,
    /// `zero_terms_query`.
    pub zero_terms: ZeroTerms,
    /// `lenient`: values that do not fit the field's type match nothing.
    pub lenient: bool,
    /// The last word is a prefix (`match_bool_prefix`).
    pub last_is_prefix: bool,
}

impl Matching {
    fn analyzer(&self, context: &QueryContext<'_>, field: &FieldMapping) -> Result<Arc<Analyzer>> {
        match &self.analyzer {
            Some(name) => context.analyzer_named("match", name),
            None => context.search_analyzer(field),
        }
    }

    /// The query for `text` in the field called `name`.
    pub fn compile(
        &self,
        context: &QueryContext<'_>,
        name: &str,
        text: &serde_json::Value,
    ) -> Result<Box<dyn Query>> {
        let mapped = context.table.get(name);
        let Some(field) = mapped.filter(|field| matches!(field.kind, FieldType::Text | FieldType::Keyword))
        else {
            // Anything but strings is one value to look up.
            let found = context.term_query(name, text, false);
            return if self.lenient { Ok(found.unwrap_or_else(|_| scoring::none())) } else { found };
        };
        context.check_searchable(field)?;
        let text = super::field::string_value(text);
        let words = positions(self.analyzer(context, field)?.tokens(&text));
        if words.is_empty() {
            return Ok(self.zero_terms.query());
        }
        let last = words.len() - 1;
        let mut queries = Vec::with_capacity(words.len());
        for (index, (_, tokens)) in words.iter().enumerate() {
            queries.push(if self.last_is_prefix && index == last {
                super::prefix::prefix_of_field(context, field, &tokens[0])
            } else {
                self.word(context, field, tokens)?
            });
        }
        let count = queries.len();
        if self.operator == Operator::And && count > 1 {
            // None of the words is optional, so a minimum of optional ones cannot be met.
            let minimum = self.minimum_should_match.as_ref().map_or(0, |minimum| minimum.of(0));
            return Ok(if minimum > 0 { scoring::none() } else { scoring::all_of(queries) });
        }
        let minimum = match &self.minimum_should_match {
            // With a single word Elasticsearch builds no bool query, so there is nothing to apply the minimum to.
            Some(minimum) if count > 1 => minimum.of(count),
            _ => 1,
        };
        Ok(scoring::any_of(queries, minimum))
    }

    /// The words of `text` in a text field, each as a query of its own.
    pub fn words(&self, context: &QueryContext<'_>, name: &str, text: &str) -> Result<Vec<Box<dyn Query>>> {
        let Some(field) = context.table.get(name) else { return Ok(Vec::new()) };
        context.check_searchable(field)?;
        let words = positions(self.analyzer(context, field)?.tokens(text));
        words.iter().map(|(_, tokens)| self.word(context, field, tokens)).collect()
    }

    fn word(
        &self,
        context: &QueryContext<'_>,
        field: &FieldMapping,
        tokens: &[String],
    ) -> Result<Box<dyn Query>> {
        match (tokens, &self.fuzzy) {
            ([token], Some(fuzzy)) => fuzzy_query(context, field, token, fuzzy),
            ([token], None) => Ok(context.scored_term(field, context.string_term(field, token))),
            (tokens, Some(fuzzy)) => {
                let queries = tokens
                    .iter()
                    .map(|token| fuzzy_query(context, field, token, fuzzy))
                    .collect::<Result<_>>()?;
                Ok(scoring::any_of(queries, 1))
            }
            (tokens, None) => {
                let terms = tokens.iter().map(|token| context.string_term(field, token)).collect();
                let query = PhraseMatch { slots: vec![(0, Slot::Terms(terms))], slop: 0, synonyms: true };
                Ok(Box::new(FieldScored::new(Box::new(query), context.scoring_source(field))))
            }
        }
    }

    /// What highlighting looks for.
    pub fn marks(
        &self,
        context: &QueryContext<'_>,
        name: &str,
        text: &serde_json::Value,
        marks: &mut Marks,
    ) -> Result<()> {
        let Some(field) = context.table.get(name) else { return Ok(()) };
        let text = super::field::string_value(text);
        if field.kind != FieldType::Text {
            marks.add(context, name, What::Term(text));
            return Ok(());
        }
        let words = positions(self.analyzer(context, field)?.tokens(&text));
        let last = words.len().saturating_sub(1);
        for (index, (_, tokens)) in words.into_iter().enumerate() {
            for token in tokens {
                let what = if self.last_is_prefix && index == last {
                    What::matching(move |other| other.starts_with(&token))
                } else if let Some(fuzzy) = self.fuzzy {
                    fuzzy_mark(token, fuzzy)
                } else {
                    What::Term(token)
                };
                marks.add(context, name, what);
            }
        }
        Ok(())
    }
}

/// Tokens as close as a fuzzy query allows.
pub fn fuzzy_mark(word: String, fuzzy: Fuzzy) -> What {
    let edits = usize::from(fuzzy.fuzziness.edits(&word));
    let prefix: String = word.chars().take(fuzzy.prefix_length).collect();
    What::matching(move |token| {
        token.starts_with(&prefix) && edit_distance(&word, token, fuzzy.transpositions) <= edits
    })
}

/// How a phrase is looked for.
#[derive(Debug, Clone, Default)]
pub struct Phrase {
    /// `slop`.
    pub slop: u32,
    /// `analyzer`.
    pub analyzer: Option<String>,
    /// `zero_terms_query`.
    pub zero_terms: ZeroTerms,
    /// The last word is a prefix of at most so many terms.
    pub prefix_expansions: Option<usize>,
    /// `lenient`.
    pub lenient: bool,
}

impl Phrase {
    fn analyzer(&self, context: &QueryContext<'_>, field: &FieldMapping) -> Result<Arc<Analyzer>> {
        match &self.analyzer {
            Some(name) => context.analyzer_named("match_phrase", name),
            None => context.search_analyzer(field),
        }
    }

    /// The query for the phrase in the field called `name`.
    pub fn compile(
        &self,
        context: &QueryContext<'_>,
        name: &str,
        text: &serde_json::Value,
    ) -> Result<Box<dyn Query>> {
        let mapped = context.table.get(name);
        let Some(field) = mapped.filter(|field| field.kind == FieldType::Text) else {
            if let (Some(field), Some(_)) = (mapped, self.prefix_expansions) {
                if self.lenient {
                    return Ok(scoring::none());
                }
                return Err(context.failed(&ApiError::illegal_argument(format!(
                    "Can only use phrase prefix queries on text fields - not on [{}] which is of type [{}]",
                    field.path, field.type_name
                ))));
            }
            let found = context.term_query(name, text, false);
            return if self.lenient { Ok(found.unwrap_or_else(|_| scoring::none())) } else { found };
        };
        context.check_searchable(field)?;
        let text = super::field::string_value(text);
        let words = positions(self.analyzer(context, field)?.tokens(&text));
        match words.as_slice() {
            [] => return Ok(self.zero_terms.query()),
            [(_, tokens)] if self.prefix_expansions.is_none() => {
                return Matching::default().word(context, field, tokens);
            }
            [(_, tokens)] => {
                return Ok(Box::new(PrefixTerms {
                    dictionary: Dictionary::of(context, field),
                    source: context.scoring_source(field),
                    prefix: tokens[0].clone(),
                    limit: self.prefix_expansions.unwrap_or(50),
                }));
            }
            _ => {}
        }
        let first = words[0].0;
        let last = words.len() - 1;
        let slots = words
            .iter()
            .enumerate()
            .map(|(index, (position, tokens))| {
                let slot = match self.prefix_expansions {
                    Some(limit) if index == last => {
                        Slot::Prefix(Dictionary::of(context, field), tokens[0].clone(), limit)
                    }
                    _ => Slot::Terms(tokens.iter().map(|token| context.string_term(field, token)).collect()),
                };
                (position - first, slot)
            })
            .collect();
        let query = PhraseMatch { slots, slop: self.slop, synonyms: false };
        Ok(Box::new(FieldScored::new(Box::new(query), context.scoring_source(field))))
    }

    /// What highlighting looks for.
    pub fn marks(
        &self,
        context: &QueryContext<'_>,
        name: &str,
        text: &serde_json::Value,
        marks: &mut Marks,
    ) -> Result<()> {
        let Some(field) = context.table.get(name) else { return Ok(()) };
        let text = super::field::string_value(text);
        let prefix = |start: String| What::matching(move |token| token.starts_with(&start));
        if field.kind != FieldType::Text {
            let what = if self.prefix_expansions.is_some() { prefix(text) } else { What::Term(text) };
            marks.add(context, name, what);
            return Ok(());
        }
        let words = positions(self.analyzer(context, field)?.tokens(&text));
        let Some(&(first, _)) = words.first() else { return Ok(()) };
        let last = words.len() - 1;
        let mut phrase: Vec<(u32, Vec<What>)> = words
            .into_iter()
            .enumerate()
            .map(|(index, (position, tokens))| {
                let whats = tokens
                    .into_iter()
                    .map(|token| {
                        if index == last && self.prefix_expansions.is_some() {
                            prefix(token)
                        } else {
                            What::Term(token)
                        }
                    })
                    .collect();
                (position - first, whats)
            })
            .collect();
        if phrase.len() == 1 {
            for what in phrase.remove(0).1 {
                marks.add(context, name, what);
            }
        } else {
            marks.add(context, name, What::Phrase(phrase, self.slop));
        }
        Ok(())
    }
}

/// Tokens by position.
pub fn positions(tokens: Vec<Token>) -> Vec<(u32, Vec<String>)> {
    let mut words: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for token in tokens {
        let at = words.entry(token.position).or_default();
        if !at.contains(&token.text) {
            at.push(token.text);
        }
    }
    words
        .into_iter()
        .map(|(position, tokens)| (u32::try_from(position).unwrap_or(u32::MAX), tokens))
        .collect()
}
