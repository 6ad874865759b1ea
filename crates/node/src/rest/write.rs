//! Parameters that all writes share.

use axum::http::StatusCode;

use crate::cluster::{Refresh, validation};
use crate::error::{ApiError, Result};
use crate::http::Params;
use crate::store::Condition;

/// `refresh`.
pub(super) fn refresh(params: &mut Params) -> Result<Refresh> {
    Refresh::parse(params.get("refresh"))
}

/// `timeout` and `wait_for_active_shards`: one copy is always there at once.
pub(super) fn ack_params(params: &mut Params) -> Result<()> {
    params.duration("timeout")?;
    if let Some(text) = params.get("wait_for_active_shards")
        && text != "all"
        && text.parse::<u32>().is_err()
    {
        return Err(ApiError::illegal_argument(format!("cannot parse ActiveShardCount[{text}]")));
    }
    Ok(())
}

/// `if_seq_no` with `if_primary_term`, or `version` with `version_type`.
pub(super) fn condition(params: &mut Params) -> Result<Condition> {
    let seq_no = params.long("if_seq_no")?;
    let term = params.long("if_primary_term")?;
    // Not known unless given, for Elasticsearch suggests only parameters it has looked at.
    let version = if params.contains("version") { params.long("version")? } else { None };
    let version_type = params.string("version_type");
    conditions(seq_no, term, version, version_type.as_deref())
}

/// The same from the values themselves.
pub(super) fn conditions(
    seq_no: Option<i64>,
    term: Option<i64>,
    version: Option<i64>,
    version_type: Option<&str>,
) -> Result<Condition> {
    let external = match version_type {
        None | Some("internal") => None,
        Some("external") => Some(false),
        Some("external_gte") => Some(true),
        Some(other) => return Err(ApiError::illegal_argument(format!("No version type match [{other}]"))),
    };
    match (seq_no, term) {
        (None, None) => {}
        (Some(seq_no), Some(term)) => {
            if version.is_some() {
                return Err(validation("compare and write operations can not use versioning"));
            }
            let negative = |what: &str, value: i64| {
                ApiError::illegal_argument(format!("{what} must be non negative. got [{value}]."))
            };
            let seq_no = u64::try_from(seq_no).map_err(|_| {
                ApiError::illegal_argument(format!("sequence numbers must be non negative. got [{seq_no}]."))
            })?;
            let primary_term = u64::try_from(term).map_err(|_| negative("primary term", term))?;
            if primary_term == 0 {
                return Err(validation("ifSeqNo is set, but primary term is [0]"));
            }
            return Ok(Condition::At { seq_no, primary_term });
        }
        (Some(_), None) => return Err(validation("ifSeqNo is set, but primary term is [0]")),
        (None, Some(term)) => {
            return Err(validation(&format!("ifSeqNo is unassigned, but primary term is [{term}]")));
        }
    }
    match (external, version) {
        (None, None) => Ok(Condition::Any),
        (None, Some(_)) => Err(validation(
            "internal versioning can not be used for optimistic concurrency control. Please use `if_seq_no` and \
             `if_primary_term` instead",
        )),
        (Some(or_equal), Some(version)) => match u64::try_from(version) {
            Ok(version) => Ok(Condition::External { version, or_equal }),
            Err(_) => {
                Err(validation(&format!("illegal version value [{version}] for version type [EXTERNAL]")))
            }
        },
        (Some(_), None) => Err(validation("illegal version value [-3] for version type [EXTERNAL]")),
    }
}

/// 400 `action_request_validation_exception` with several problems.
pub(super) fn validations(problems: &[String]) -> ApiError {
    use std::fmt::Write as _;
    let mut reason = "Validation Failed: ".to_owned();
    for (at, problem) in problems.iter().enumerate() {
        // Writing to a string cannot fail.
        let _ = write!(reason, "{}: {problem};", at + 1);
    }
    ApiError::new(StatusCode::BAD_REQUEST, "action_request_validation_exception", reason)
}
