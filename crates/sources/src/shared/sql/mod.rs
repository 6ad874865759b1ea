//! What the sources of relational databases share: which tables are read, how pages follow each other, how rows are named,
//! and the advanced sync rules. Text of SQL is made here of quoted names and placeholders only; values are always bound.

pub(crate) mod decimal;
pub(crate) mod id;
pub(crate) mod json;
pub(crate) mod keyset;
pub(crate) mod ranges;
pub(crate) mod repeated;
pub(crate) mod rules;
pub(crate) mod selection;
pub(crate) mod types;
pub(crate) mod written;
