//! `drop`, `fail`, `pipeline`.

use axum::http::StatusCode;

use super::{Failed, Step};
use crate::error::{ApiError, Result};
use crate::ingest::config::Config;
use crate::ingest::document::Fields;
use crate::ingest::pipeline::{Fate, Run};
use crate::ingest::template::Template;

#[derive(Debug)]
struct Drop;

// The signature of all compilers.
#[allow(clippy::unnecessary_wraps)]
pub fn drop(_config: &mut Config) -> Result<Box<dyn Step>> {
    Ok(Box::new(Drop))
}

impl Step for Drop {
    fn run(&self, _fields: &mut Fields, _run: &mut Run<'_>) -> Result<Fate, Failed> {
        Ok(Fate::Drop)
    }
}

#[derive(Debug)]
struct Fail {
    message: Template,
}

pub fn fail(config: &mut Config) -> Result<Box<dyn Step>> {
    Ok(Box::new(Fail { message: config.template("message")? }))
}

impl Step for Fail {
    fn run(&self, fields: &mut Fields, _run: &mut Run<'_>) -> Result<Fate, Failed> {
        let message = self.message.render(fields);
        Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, "fail_processor_exception", message).into())
    }
}

#[derive(Debug)]
struct Pipeline {
    name: Template,
    ignore_missing: bool,
}

pub fn pipeline(config: &mut Config) -> Result<Box<dyn Step>> {
    Ok(Box::new(Pipeline {
        name: config.template("name")?,
        ignore_missing: config.boolean("ignore_missing_pipeline", false)?,
    }))
}

impl Step for Pipeline {
    fn run(&self, fields: &mut Fields, run: &mut Run<'_>) -> Result<Fate, Failed> {
        let name = self.name.render(fields);
        match run.find(&name) {
            Some(pipeline) => run.pipeline(&pipeline, fields).map_err(Failed::Inside),
            None if self.ignore_missing => Ok(Fate::Continue),
            None => Err(ApiError::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "illegal_state_exception",
                format!("Pipeline processor configured for non-existent pipeline [{name}]"),
            )
            .into()),
        }
    }
}
