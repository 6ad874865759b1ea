//! `prefix`.

use std::ops::Bound;

use serde_json::Value;
use tantivy::query::{InvertedIndexRangeQuery, Query};

use super::automaton::{Dictionary, StringField, regex_query, string_field};
use super::body::{Body, single_field};
use super::field::wildcard_fits;
use super::marks::What;
use super::{Clause, Marks, QueryContext, lucene_regex, scoring};
use crate::error::{ApiError, Result};
use crate::mapping::FieldMapping;

#[derive(Debug)]
struct Prefix {
    field: String,
    value: String,
    case_insensitive: bool,
    boost: f32,
}

/// `rewrite` of the clauses that expand to terms: only what is done anyway is accepted.
pub fn check_rewrite(body: &mut Body<'_>) -> Result<()> {
    match body.text("rewrite")?.as_deref() {
        None | Some("constant_score" | "constant_score_blended" | "constant_score_boolean") => Ok(()),
        Some(other) => Err(ApiError::parsing(format!(
            "[{}] rewrite [{other}] is not supported by this node",
            body.query()
        ))),
    }
}

/// `{"prefix": {"field": "text"}}` or with `value`, `case_insensitive`, `rewrite`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let (field, inner) = single_field("prefix", value)?;
    let missing = || ApiError::illegal_argument("value cannot be null");
    let (value, case_insensitive, boost) = match inner {
        Value::Object(_) => {
            let mut body = Body::of("prefix", inner)?;
            let value = body.text("value")?;
            let case_insensitive = body.boolean("case_insensitive")?.unwrap_or(false);
            check_rewrite(&mut body)?;
            let boost = body.boost()?;
            body.finish()?;
            (value, case_insensitive, boost)
        }
        value => (super::body::text(value), false, 1.0),
    };
    Ok(Box::new(Prefix {
        field: field.to_owned(),
        value: value.ok_or_else(missing)?,
        case_insensitive,
        boost,
    }))
}

/// Documents with a term of `field` that starts with `prefix`; score 1.
pub fn prefix_of_field(context: &QueryContext<'_>, field: &FieldMapping, prefix: &str) -> Box<dyn Query> {
    let dictionary = Dictionary::of(context, field);
    let lower = Bound::Included(dictionary.term(prefix));
    let upper = dictionary.end_of_prefix(prefix).map_or(Bound::Unbounded, Bound::Excluded);
    scoring::constant(Box::new(InvertedIndexRangeQuery::new(lower, upper)))
}

/// As [`prefix_of_field`], whatever `name` is.
pub fn prefix_query(
    context: &QueryContext<'_>,
    name: &str,
    prefix: &str,
    case_insensitive: bool,
) -> Result<Box<dyn Query>> {
    match string_field(context, "prefix", name)? {
        StringField::Unmapped => Ok(scoring::none()),
        StringField::Index => Ok(if wildcard_fits(&format!("{prefix}*"), context.index) {
            scoring::all()
        } else {
            scoring::none()
        }),
        StringField::Field(field) if case_insensitive => {
            let pattern = lucene_regex::ignoring_case(&lucene_regex::literal(prefix));
            regex_query(context, &field, &format!("{pattern}(?s:.*)"))
        }
        StringField::Field(field) => Ok(prefix_of_field(context, &field, prefix)),
    }
}

impl Clause for Prefix {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        let query = prefix_query(context, &self.field, &self.value, self.case_insensitive)?;
        Ok(scoring::boosted(query, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        let value = self.value.clone();
        let what = if self.case_insensitive {
            let value = value.to_lowercase();
            What::matching(move |token| token.to_lowercase().starts_with(&value))
        } else {
            What::matching(move |token| token.starts_with(&value))
        };
        marks.add(context, &self.field, what);
        Ok(())
    }
}
