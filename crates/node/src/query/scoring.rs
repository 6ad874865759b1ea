//! Queries that only set scores.

use tantivy::query::{AllQuery, BooleanQuery, BoostQuery, ConstScoreQuery, EmptyQuery, Occur, Query};

/// Matches nothing.
pub fn none() -> Box<dyn Query> {
    Box::new(EmptyQuery)
}

/// Matches everything, score 1.
pub fn all() -> Box<dyn Query> {
    Box::new(AllQuery)
}

/// A boolean query of which at least `minimum` of the optional clauses match.
pub fn boolean(clauses: Vec<(Occur, Box<dyn Query>)>, minimum: usize) -> Box<dyn Query> {
    let clauses = clauses.into_iter().map(|(occur, query)| (occur, clause(query))).collect();
    Box::new(BooleanQuery::with_minimum_required_clauses(clauses, minimum))
}

/// `query` as a clause of a boolean query, which drops the score of a bare [`AllQuery`] beside other clauses.
fn clause(query: Box<dyn Query>) -> Box<dyn Query> {
    if query.is::<AllQuery>() { constant(query) } else { query }
}

/// The documents of `query`, all with score 1.
pub fn constant(query: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, 1.0))
}

/// The documents of `query`, adding nothing to scores.
pub fn unscored(query: Box<dyn Query>) -> Box<dyn Query> {
    Box::new(ConstScoreQuery::new(query, 0.0))
}

/// Scores multiplied by `boost`.
pub fn boosted(query: Box<dyn Query>, boost: f32) -> Box<dyn Query> {
    if (boost - 1.0).abs() < f32::EPSILON { query } else { Box::new(BoostQuery::new(query, boost)) }
}

/// At least `minimum` of `queries`, scores added up.
pub fn any_of(mut queries: Vec<Box<dyn Query>>, minimum: usize) -> Box<dyn Query> {
    if queries.len() == 1 && minimum <= 1 {
        return queries.remove(0);
    }
    if queries.is_empty() || minimum > queries.len() {
        return none();
    }
    boolean(queries.into_iter().map(|query| (Occur::Should, query)).collect(), minimum.max(1))
}

/// All of `queries`, scores added up.
pub fn all_of(mut queries: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    match queries.len() {
        0 => none(),
        1 => queries.remove(0),
        _ => boolean(queries.into_iter().map(|query| (Occur::Must, query)).collect(), 0),
    }
}
