//! Analysis: text to tokens.

/// The analyzers an index can name.
#[derive(Debug, Default)]
pub struct Analyzers {}
