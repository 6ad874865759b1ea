//! `terms`: one of several exact values.

use serde_json::Value;
use tantivy::query::{Query, TermSetQuery};

use super::body::Body;
use super::field::{Named, string_value};
use super::marks::What;
use super::number::{self, Wanted};
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};
use crate::mapping::{FieldMapping, FieldType};

/// Elasticsearch's `index.max_terms_count`.
const MOST_TERMS: usize = 65_536;

#[derive(Debug)]
struct Terms {
    field: String,
    values: Vec<Value>,
    boost: f32,
}

/// `{"terms": {"field": [..], "boost": ..}}`. The lookup of terms in another index is refused.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("terms", value)?;
    let boost = body.boost()?;
    let mut found: Option<(String, Vec<Value>)> = None;
    let Some(members) = value.as_object() else {
        return Err(ApiError::parsing("[terms] query malformed, no start_object after query name"));
    };
    for (field, values) in members.iter().filter(|(key, _)| *key != "boost" && *key != "_name") {
        match values {
            Value::Array(values) => {
                if found.is_some() {
                    return Err(ApiError::parsing("[terms] query does not support multiple fields"));
                }
                found = Some((field.clone(), values.clone()));
            }
            Value::Object(_) => {
                return Err(ApiError::parsing(
                    "[terms] query: the terms lookup is not supported by this node",
                ));
            }
            _ => return Err(ApiError::parsing(format!("[terms] query does not support [{field}]"))),
        }
    }
    let Some((field, values)) = found else {
        return Err(ApiError::parsing(
            "[terms] query requires a field name, followed by array of terms or a document lookup specification",
        ));
    };
    if values.iter().any(Value::is_null) {
        return Err(ApiError::parsing("No value specified for terms query"));
    }
    if values.iter().any(|value| value.is_array() || value.is_object()) {
        return Err(ApiError::parsing("[terms] query does not support arrays or objects as values"));
    }
    Ok(Box::new(Terms { field, values, boost }))
}

/// Documents with one of these whole numbers, found in one pass over the dictionary.
fn whole_numbers(
    context: &QueryContext<'_>,
    field: &FieldMapping,
    values: &[Value],
) -> Result<Box<dyn Query>> {
    let FieldType::Integer { min, max } = field.kind else { return Ok(scoring::none()) };
    let mut terms = Vec::with_capacity(values.len());
    for value in values {
        let wanted = number::whole(value, min, max).map_err(|error| context.failed(&error))?;
        if let Wanted::Value(value) = wanted {
            let mut term = context.value_path(&field.path);
            term.append_type_and_fast_value(value);
            terms.push(term);
        }
    }
    if terms.is_empty() {
        return Ok(scoring::none());
    }
    Ok(scoring::constant(Box::new(TermSetQuery::new(terms))))
}

impl Clause for Terms {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        if self.values.len() > MOST_TERMS {
            return Err(context.failed(&ApiError::illegal_argument(format!(
                "The number of terms [{}] used in the Terms Query request has exceeded the allowed maximum of [{MOST_TERMS}]. This maximum can be set by changing the [index.max_terms_count] index level setting.",
                self.values.len()
            ))));
        }
        let query = match context.named(&self.field) {
            Named::Id => context.ids(&self.values.iter().map(string_value).collect::<Vec<_>>()),
            Named::Mapped(field) if matches!(field.kind, FieldType::Text | FieldType::Keyword) => {
                context.check_searchable(&field)?;
                if self.values.is_empty() {
                    return Ok(scoring::none());
                }
                let terms = self.values.iter().map(|value| context.string_term(&field, &string_value(value)));
                scoring::constant(Box::new(TermSetQuery::new(terms)))
            }
            Named::Mapped(field) if matches!(field.kind, FieldType::Integer { .. }) => {
                context.check_searchable(&field)?;
                whole_numbers(context, &field, &self.values)?
            }
            _ => {
                let queries = self
                    .values
                    .iter()
                    .map(|value| context.term_query(&self.field, value, false))
                    .collect::<Result<Vec<_>>>()?;
                scoring::constant(scoring::any_of(queries, 1))
            }
        };
        Ok(scoring::boosted(query, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        for value in &self.values {
            marks.add(context, &self.field, What::Term(string_value(value)));
        }
        Ok(())
    }
}
