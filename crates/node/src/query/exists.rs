//! `exists`: documents with any value in a field or below an object.

use serde_json::Value;
use tantivy::query::{Query, TermQuery};
use tantivy::schema::IndexRecordOption;

use super::body::Body;
use super::field::wildcard_fits;
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};

#[derive(Debug)]
struct Exists {
    field: String,
    boost: f32,
}

/// `{"exists": {"field": "name"}}`; the name may have `*`.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("exists", value)?;
    let field = body.text("field")?;
    let boost = body.boost()?;
    body.finish()?;
    let field = field.filter(|field| !field.is_empty());
    let Some(field) = field else {
        return Err(ApiError::parsing("[exists] must be provided with a [field]"));
    };
    Ok(Box::new(Exists { field, boost }))
}

/// Documents that have `name` (a field, an object, a pattern); score 1.
pub fn exists_query(context: &QueryContext<'_>, name: &str) -> Box<dyn Query> {
    if matches!(name, "_id" | "_index" | "_seq_no" | "_source" | "_version") {
        return scoring::all();
    }
    let mut paths: Vec<&str> = Vec::new();
    if name.contains('*') {
        let known = context.table.fields.keys().chain(&context.table.objects);
        paths.extend(known.filter(|path| wildcard_fits(name, path)).map(String::as_str));
    } else if let Some(field) = context.table.get(name) {
        paths.push(&field.path);
    } else if context.table.objects.contains(name) {
        paths.push(name);
    }
    let queries = paths
        .into_iter()
        .map(|path| -> Box<dyn Query> {
            Box::new(TermQuery::new(context.presence(path), IndexRecordOption::Basic))
        })
        .collect();
    scoring::constant(scoring::any_of(queries, 1))
}

impl Clause for Exists {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        Ok(scoring::boosted(exists_query(context, &self.field), self.boost))
    }

    fn marks(&self, _: &QueryContext<'_>, _: &mut Marks) -> Result<()> {
        Ok(())
    }
}
