//! `regexp`: Lucene's regular expressions over whole terms.

use serde_json::Value;
use tantivy::query::Query;

use super::automaton::{StringField, regex_query, string_field};
use super::body::{Body, single_field, text};
use super::lucene_regex::{self, Flags};
use super::marks::What;
use super::prefix::check_rewrite;
use super::wildcard::whole;
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};

/// Elasticsearch's `index.max_regex_length`.
const LONGEST: usize = 1000;

#[derive(Debug)]
struct Regexp {
    field: String,
    pattern: String,
    flags: Flags,
    case_insensitive: bool,
    boost: f32,
}

/// `{"regexp": {"field": "a.*"}}` or with `value`, `flags`, `case_insensitive`, `rewrite`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let (field, inner) = single_field("regexp", value)?;
    let (pattern, flags, case_insensitive, boost) = match inner {
        Value::Object(_) => {
            let mut body = Body::of("regexp", inner)?;
            let pattern = body.text("value")?;
            let flags =
                body.text("flags")?.map(|flags| Flags::parse(&flags)).transpose()?.unwrap_or(Flags::ALL);
            let case_insensitive = body.boolean("case_insensitive")?.unwrap_or(false);
            check_rewrite(&mut body)?;
            let boost = body.boost()?;
            body.finish()?;
            (pattern, flags, case_insensitive, boost)
        }
        value => (text(value), Flags::ALL, false, 1.0),
    };
    let pattern = pattern.ok_or_else(|| ApiError::illegal_argument("value cannot be null"))?;
    Ok(Box::new(Regexp { field: field.to_owned(), pattern, flags, case_insensitive, boost }))
}

/// Documents with a term that Lucene's pattern fits; score 1.
pub fn regexp_query(
    context: &QueryContext<'_>,
    name: &str,
    pattern: &str,
    flags: Flags,
    case_insensitive: bool,
) -> Result<Box<dyn Query>> {
    if pattern.len() > LONGEST {
        return Err(context.failed(&ApiError::illegal_argument(format!(
            "The length of regex [{}] used in the Regexp Query request has exceeded the allowed maximum of [{LONGEST}]. This maximum can be set by changing the [index.max_regex_length] index level setting.",
            pattern.len()
        ))));
    }
    match string_field(context, "regexp", name)? {
        StringField::Unmapped => Ok(scoring::none()),
        StringField::Index => Err(context.refused(
            "Can only use regexp queries on keyword and text fields - not on [_index] which is of type [_index]",
        )),
        StringField::Field(field) => {
            let translated = lucene_regex::translate(pattern, flags).map_err(|error| context.failed(&error))?;
            let translated = if case_insensitive { lucene_regex::ignoring_case(&translated) } else { translated };
            regex_query(context, &field, &translated)
        }
    }
}

/// Tokens that fit the pattern.
pub fn regexp_mark(pattern: &str, flags: Flags, case_insensitive: bool) -> Result<Option<What>> {
    let translated = lucene_regex::translate(pattern, flags)?;
    let translated = if case_insensitive { lucene_regex::ignoring_case(&translated) } else { translated };
    Ok(whole(&translated).map(|regex| What::matching(move |token| regex.is_match(token))))
}

impl Clause for Regexp {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        let query = regexp_query(context, &self.field, &self.pattern, self.flags, self.case_insensitive)?;
        Ok(scoring::boosted(query, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        if let Some(what) = regexp_mark(&self.pattern, self.flags, self.case_insensitive)? {
            marks.add(context, &self.field, what);
        }
        Ok(())
    }
}
