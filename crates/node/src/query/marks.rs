//! What highlighting looks for: collected from the clauses, per field.

use std::fmt;
use std::sync::Arc;

use super::QueryContext;

type Predicate = Arc<dyn Fn(&str) -> bool + Send + Sync>;

/// Something to find among the tokens of a field.
#[derive(Clone)]
pub enum What {
    /// This token.
    Term(String),
    /// Tokens that fit.
    Matching(Predicate),
    /// Tokens in a row: offset within the phrase and what fits there; moves allowed.
    Phrase(Vec<(u32, Vec<What>)>, u32),
}

impl What {
    /// Tokens for which `fits` holds.
    pub fn matching(fits: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self::Matching(Arc::new(fits))
    }

    /// Whether one token fits; never for phrases.
    pub fn fits(&self, token: &str) -> bool {
        match self {
            Self::Term(term) => term == token,
            Self::Matching(predicate) => predicate(token),
            Self::Phrase(..) => false,
        }
    }
}

impl fmt::Debug for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Term(term) => f.debug_tuple("Term").field(term).finish(),
            Self::Matching(_) => f.write_str("Matching"),
            Self::Phrase(words, slop) => f.debug_tuple("Phrase").field(words).field(slop).finish(),
        }
    }
}

/// One thing to find in one field.
#[derive(Debug, Clone)]
pub struct Mark {
    /// Full path of the field.
    pub field: String,
    /// What to find.
    pub what: What,
}

/// All a query looks for.
#[derive(Debug, Clone, Default)]
pub struct Marks {
    /// In the order of the clauses.
    pub list: Vec<Mark>,
}

impl Marks {
    /// Adds one, if `field` is mapped.
    pub fn add(&mut self, context: &QueryContext<'_>, field: &str, what: What) {
        if let Some(field) = context.table.get(field) {
            self.list.push(Mark { field: field.path.clone(), what });
        }
    }
}
