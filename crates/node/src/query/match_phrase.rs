//! `match_phrase` and `match_phrase_prefix`.

use serde_json::Value;
use tantivy::query::Query;

use super::body::{Body, single_field};
use super::match_query::query_text;
use super::text::{Phrase, ZeroTerms};
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::Result;

#[derive(Debug)]
struct MatchPhrase {
    field: String,
    text: Value,
    phrase: Phrase,
    boost: f32,
}

/// `{"match_phrase": {"field": "text"}}` or with `query`, `slop`, `analyzer`, `zero_terms_query`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    clause("match_phrase", value, false)
}

/// `{"match_phrase_prefix": {"field": "text"}}`, also with `max_expansions`.
pub fn parse_prefix(value: &Value) -> Result<Box<dyn Clause>> {
    clause("match_phrase_prefix", value, true)
}

fn clause(query: &'static str, value: &Value, prefix: bool) -> Result<Box<dyn Clause>> {
    let (field, inner) = single_field(query, value)?;
    let mut phrase = Phrase { prefix_expansions: prefix.then_some(50), ..Phrase::default() };
    let Value::Object(_) = inner else {
        let text = query_text(query, Some(inner))?;
        return Ok(Box::new(MatchPhrase { field: field.to_owned(), text, phrase, boost: 1.0 }));
    };
    let mut body = Body::of(query, inner)?;
    let text = body.take("query");
    phrase.slop = body.count("slop")?.unwrap_or(0);
    phrase.analyzer = body.text("analyzer")?;
    if let Some(zero_terms) = body.text("zero_terms_query")? {
        phrase.zero_terms = ZeroTerms::parse(&zero_terms)?;
    }
    if prefix {
        phrase.prefix_expansions = Some(body.count("max_expansions")?.unwrap_or(50) as usize);
    }
    let boost = body.boost()?;
    body.finish()?;
    let text = query_text(query, text)?;
    Ok(Box::new(MatchPhrase { field: field.to_owned(), text, phrase, boost }))
}

impl Clause for MatchPhrase {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        Ok(scoring::boosted(self.phrase.compile(context, &self.field, &self.text)?, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        self.phrase.marks(context, &self.field, &self.text, marks)
    }
}
