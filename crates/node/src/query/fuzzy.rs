//! `fuzzy`: terms within an edit distance.

use serde_json::Value;
use tantivy::query::Query;

use super::automaton::{StringField, string_field};
use super::body::{Body, single_field, text};
use super::expansion::{Fuzziness, Fuzzy, fuzzy_query};
use super::text::fuzzy_mark;
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};

#[derive(Debug)]
struct FuzzyTerm {
    field: String,
    value: String,
    fuzzy: Fuzzy,
    boost: f32,
}

/// `{"fuzzy": {"field": "word"}}` or with `value`, `fuzziness`, `prefix_length`, `max_expansions`, `transpositions`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let (field, inner) = single_field("fuzzy", value)?;
    let mut fuzzy = Fuzzy {
        fuzziness: Fuzziness::Auto(3, 6),
        prefix_length: 0,
        max_expansions: 50,
        transpositions: true,
    };
    let mut boost = 1.0;
    let value = match inner {
        Value::Object(_) => {
            let mut body = Body::of("fuzzy", inner)?;
            let value = body.text("value")?;
            if let Some(fuzziness) = body.take("fuzziness") {
                fuzzy.fuzziness = Fuzziness::parse(fuzziness)?;
            }
            fuzzy.prefix_length = body.count("prefix_length")?.unwrap_or(0) as usize;
            fuzzy.max_expansions = body.count("max_expansions")?.unwrap_or(50) as usize;
            fuzzy.transpositions = body.boolean("transpositions")?.unwrap_or(true);
            boost = body.boost()?;
            body.finish()?;
            value
        }
        Value::Array(_) => return Err(ApiError::parsing("[fuzzy] query does not support array of values")),
        value => text(value),
    };
    let value = value.ok_or_else(|| ApiError::illegal_argument("query value cannot be null"))?;
    Ok(Box::new(FuzzyTerm { field: field.to_owned(), value, fuzzy, boost }))
}

impl Clause for FuzzyTerm {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        let query = match string_field(context, "fuzzy", &self.field)? {
            StringField::Field(field) => fuzzy_query(context, &field, &self.value, &self.fuzzy)?,
            StringField::Index | StringField::Unmapped => scoring::none(),
        };
        Ok(scoring::boosted(query, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        marks.add(context, &self.field, fuzzy_mark(self.value.clone(), self.fuzzy));
        Ok(())
    }
}
