//! `wildcard`.

use serde_json::Value;
use tantivy::query::Query;

use super::automaton::{StringField, regex_query, string_field};
use super::body::{Body, single_field, text};
use super::marks::What;
use super::prefix::check_rewrite;
use super::{Clause, Marks, QueryContext, lucene_regex, scoring};
use crate::error::{ApiError, Result};

#[derive(Debug)]
struct Wildcard {
    field: String,
    pattern: String,
    case_insensitive: bool,
    boost: f32,
}

/// `{"wildcard": {"field": "a*b?"}}` or with `value`/`wildcard`, `case_insensitive`, `rewrite`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let (field, inner) = single_field("wildcard", value)?;
    let (pattern, case_insensitive, boost) = match inner {
        Value::Object(_) => {
            let mut body = Body::of("wildcard", inner)?;
            let pattern = body.text("value")?;
            let pattern = pattern.or(body.text("wildcard")?);
            let case_insensitive = body.boolean("case_insensitive")?.unwrap_or(false);
            check_rewrite(&mut body)?;
            let boost = body.boost()?;
            body.finish()?;
            (pattern, case_insensitive, boost)
        }
        value => (text(value), false, 1.0),
    };
    let pattern = pattern.ok_or_else(|| ApiError::illegal_argument("value cannot be null"))?;
    Ok(Box::new(Wildcard { field: field.to_owned(), pattern, case_insensitive, boost }))
}

/// Documents with a term that fits the wildcard; score 1.
pub fn wildcard_query(
    context: &QueryContext<'_>,
    name: &str,
    pattern: &str,
    case_insensitive: bool,
) -> Result<Box<dyn Query>> {
    let pattern = translated(pattern, case_insensitive);
    match string_field(context, "wildcard", name)? {
        StringField::Unmapped => Ok(scoring::none()),
        StringField::Index => Ok(if whole(&pattern).is_some_and(|regex| regex.is_match(context.index)) {
            scoring::all()
        } else {
            scoring::none()
        }),
        StringField::Field(field) => regex_query(context, &field, &pattern),
    }
}

fn translated(pattern: &str, case_insensitive: bool) -> String {
    let pattern = lucene_regex::wildcard(pattern);
    if case_insensitive { lucene_regex::ignoring_case(&pattern) } else { pattern }
}

/// A regex over whole strings.
pub fn whole(pattern: &str) -> Option<regex::Regex> {
    regex::Regex::new(&format!("^(?:{pattern})$")).ok()
}

/// Tokens that fit the wildcard.
pub fn wildcard_mark(pattern: &str, case_insensitive: bool) -> Option<What> {
    let regex = whole(&translated(pattern, case_insensitive))?;
    Some(What::matching(move |token| regex.is_match(token)))
}

impl Clause for Wildcard {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        let query = wildcard_query(context, &self.field, &self.pattern, self.case_insensitive)?;
        Ok(scoring::boosted(query, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        if let Some(what) = wildcard_mark(&self.pattern, self.case_insensitive) {
            marks.add(context, &self.field, what);
        }
        Ok(())
    }
}
