//! `bool`.

use serde_json::Value;
use tantivy::query::{Occur, Query};

use super::body::Body;
use super::minimum_should_match::MinimumShouldMatch;
use super::{Clause, Marks, QueryContext, scoring};
use crate::error::{ApiError, Result};

#[derive(Debug)]
struct Bool {
    must: Vec<Box<dyn Clause>>,
    filter: Vec<Box<dyn Clause>>,
    should: Vec<Box<dyn Clause>>,
    must_not: Vec<Box<dyn Clause>>,
    minimum_should_match: Option<MinimumShouldMatch>,
    boost: f32,
}

/// `{"bool": {"must", "filter", "should", "must_not", "minimum_should_match", "boost"}}`; each a query or a list.
pub fn parse(value: &Value) -> Result<Box<dyn Clause>> {
    let mut body = Body::of("bool", value)?;
    let must = clauses(&mut body, "must")?;
    let filter = clauses(&mut body, "filter")?;
    let should = clauses(&mut body, "should")?;
    let mut must_not = clauses(&mut body, "must_not")?;
    must_not.extend(clauses(&mut body, "mustNot")?);
    let minimum_should_match =
        body.take("minimum_should_match").map(MinimumShouldMatch::parse).transpose()?;
    let boost = body.boost()?;
    body.finish_object().map_err(as_object_error)?;
    Ok(Box::new(Bool { must, filter, should, must_not, minimum_should_match, boost }))
}

fn as_object_error(mut error: ApiError) -> ApiError {
    error.kind = "x_content_parse_exception";
    error
}

fn clauses(body: &mut Body<'_>, key: &'static str) -> Result<Vec<Box<dyn Clause>>> {
    match body.take(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(queries)) => queries.iter().map(nested).collect(),
        Some(query @ Value::Object(_)) => Ok(vec![nested(query)?]),
        Some(other) => {
            let kind = match other {
                Value::String(_) => "VALUE_STRING",
                Value::Number(_) => "VALUE_NUMBER",
                _ => "VALUE_BOOLEAN",
            };
            Err(as_object_error(ApiError::parsing(format!(
                "[bool] {key} doesn't support values of type: {kind}"
            ))))
        }
    }
}

fn nested(query: &Value) -> Result<Box<dyn Clause>> {
    super::parse(query)
}

impl Clause for Bool {
    fn compile(&self, context: &QueryContext<'_>) -> Result<Box<dyn Query>> {
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for clause in &self.must {
            clauses.push((Occur::Must, clause.compile(context)?));
        }
        for clause in &self.filter {
            clauses.push((Occur::Must, scoring::unscored(clause.compile(context)?)));
        }
        for clause in &self.should {
            clauses.push((Occur::Should, clause.compile(context)?));
        }
        for clause in &self.must_not {
            clauses.push((Occur::MustNot, clause.compile(context)?));
        }
        if clauses.is_empty() {
            return Ok(scoring::boosted(scoring::all(), self.boost));
        }
        let required = !self.must.is_empty() || !self.filter.is_empty();
        let mut minimum =
            self.minimum_should_match.as_ref().map_or(0, |minimum| minimum.of(self.should.len()));
        if !self.should.is_empty() && !required {
            minimum = minimum.max(1);
        }
        if minimum > self.should.len() {
            return Ok(scoring::none());
        }
        if !required && self.should.is_empty() {
            // Only exclusions: everything else, with score 0.
            clauses.push((Occur::Must, scoring::unscored(scoring::all())));
        }
        let query = scoring::boolean(clauses, minimum);
        Ok(scoring::boosted(query, self.boost))
    }

    fn marks(&self, context: &QueryContext<'_>, marks: &mut Marks) -> Result<()> {
        for clause in self.must.iter().chain(&self.filter).chain(&self.should) {
            clause.marks(context, marks)?;
        }
        Ok(())
    }
}
