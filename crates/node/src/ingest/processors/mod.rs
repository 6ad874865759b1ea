//! The processors, one file per group.

mod attachment;
mod control;
mod convert;
mod date;
mod fields;
mod json;
mod pattern;
mod strings;

use super::config::Config;
use super::document::Fields;
use super::pipeline::{Failure, Fate, Run};
use crate::error::{ApiError, Result};

/// What one processor does to a document.
pub trait Step: std::fmt::Debug + Send + Sync {
    /// Changes the document.
    fn run(&self, fields: &mut Fields, run: &mut Run<'_>) -> Result<Fate, Failed>;
}

/// Who failed.
#[derive(Debug)]
pub enum Failed {
    /// This processor.
    Here(ApiError),
    /// A processor of a pipeline that this processor runs.
    Inside(Box<Failure>),
}

impl From<ApiError> for Failed {
    fn from(error: ApiError) -> Self {
        Self::Here(error)
    }
}

/// A processor that always lets the document go on.
trait Change: std::fmt::Debug + Send + Sync {
    fn change(&self, fields: &mut Fields) -> Result<()>;
}

impl<T: Change> Step for T {
    fn run(&self, fields: &mut Fields, _run: &mut Run<'_>) -> Result<Fate, Failed> {
        self.change(fields)?;
        Ok(Fate::Continue)
    }
}

/// Reads a processor's configuration.
pub type Compile = fn(&mut Config) -> Result<Box<dyn Step>>;

const COMPILERS: &[(&str, Compile)] = &[
    ("append", fields::append),
    ("attachment", attachment::attachment),
    ("convert", convert::convert),
    ("date", date::date),
    ("drop", control::drop),
    ("fail", control::fail),
    ("gsub", strings::gsub),
    ("join", strings::join),
    ("json", json::json),
    ("lowercase", strings::lowercase),
    ("pipeline", control::pipeline),
    ("remove", fields::remove),
    ("rename", fields::rename),
    ("set", fields::set),
    ("split", strings::split),
    ("trim", strings::trim),
    ("uppercase", strings::uppercase),
];

/// The compiler of a processor type.
pub fn compiler(kind: &str) -> Option<Compile> {
    COMPILERS.iter().find(|(name, _)| *name == kind).map(|(_, compile)| *compile)
}

/// All processor types, in order.
pub fn names() -> impl Iterator<Item = &'static str> {
    COMPILERS.iter().map(|(name, _)| *name)
}
