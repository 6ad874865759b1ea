//! `match`.

use serde_json::Value;
use tantivy::query::Query;

use super::body::{Body, single_field};
use super::expansion::{Fuzziness, Fuzzy};
use super::minimum_should_match::MinimumShouldMatch;
use super::text::{Matching, Operator, ZeroTerms};
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};

#[derive(Debug)]
struct Match {
    field: String,
    text: Value,
    matching: Matching,
    boost: f32,
}

/// The value of `query`: a string, number or boolean.
pub fn query_text(query: &'static str, value: Option<&Value>) -> Result<Value> {
    match value {
        Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => Ok(value.clone()),
        Some(_) => Err(ApiError::parsing(format!("[{query}] unknown token [START_OBJECT] after [query]"))),
        None => Err(ApiError::parsing("No text specified for text query")),
    }
}

/// The members that all queries over analysed words share.
pub fn matching(body: &mut Body<'_>) -> Result<Matching> {
    let operator = body.text("operator")?.map(|text| Operator::parse(&text)).transpose()?.unwrap_or_default();
    let minimum_should_match =
        body.take("minimum_should_match").map(MinimumShouldMatch::parse).transpose()?;
    let fuzzy = fuzzy(body, 50)?;
    let analyzer = body.text("analyzer")?;
    Ok(Matching { operator, minimum_should_match, fuzzy, analyzer, ..Matching::default() })
}

/// `fuzziness`, `prefix_length`, `max_expansions`, `fuzzy_transpositions`.
pub fn fuzzy(body: &mut Body<'_>, max_expansions: u32) -> Result<Option<Fuzzy>> {
    let fuzziness = body.take("fuzziness").map(Fuzziness::parse).transpose()?;
    let prefix_length = body.count("prefix_length")?.unwrap_or(0) as usize;
    let max_expansions = body.count("max_expansions")?.unwrap_or(max_expansions) as usize;
    let transpositions = body.boolean("fuzzy_transpositions")?.unwrap_or(true);
    Ok(fuzziness.map(|fuzziness| Fuzzy { fuzziness, prefix_length, max_expansions, transpositions }))
}

/// `{"match": {"field": "text"}}` or the long form.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    if value.as_object().is_some_and(serde_json::Map::is_empty) {
        return Err(ApiError::parsing("No text specified for text query"));
    }
    let (field, inner) = single_field("match", value)?;
    let Value::Object(_) = inner else {
        let text = query_text("match", Some(inner))?;
        return Ok(Box::new(Match {
            field: field.to_owned(),
            text,
            matching: Matching::default(),
            boost: 1.0,
        }));
    };
    let mut body = Body::of("match", inner)?;
    let text = body.take("query");
    let mut matching = matching(&mut body)?;
    if let Some(zero_terms) = body.text("zero_terms_query")? {
        matching.zero_terms = ZeroTerms::parse(&zero_terms)?;
    }
    matching.lenient = body.boolean("lenient")?.unwrap_or(false);
    body.boolean("auto_generate_synonyms_phrase_query")?;
    let boost = body.boost()?;
    body.finish()?;
    let text = query_text("match", text)?;
    Ok(Box::new(Match { field: field.to_owned(), text, matching, boost }))
}

impl Clause for Match {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        Ok(scoring::boosted(self.matching.compile(context, &self.field, &self.text)?, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        self.matching.marks(context, &self.field, &self.text, marks)
    }
}
