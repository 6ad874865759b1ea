//! `Accept` and `Content-Type` as Elasticsearch 9 reads them.

use axum::http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::response::{Refusal, Response};
use crate::error::ApiError;

/// How the answer is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Negotiated {
    /// API version the client asked for with `compatible-with`.
    pub compatible_with: Option<u8>,
    /// The client prefers JSON to a text table.
    pub json: bool,
}

#[derive(Debug)]
struct MediaType {
    essence: String,
    compatible_with: Option<u8>,
}

impl Negotiated {
    /// Content type of a JSON answer.
    pub(super) fn json_type(self) -> String {
        match self.compatible_with {
            None => "application/json".to_owned(),
            Some(version) => format!("application/vnd.elasticsearch+json;compatible-with={version}"),
        }
    }
}

/// Reads both headers; `has_body` says whether `Content-Type` matters.
///
/// # Errors
/// The answer to send: 406 for a body type nobody can read, 400 for a malformed or wrongly versioned media type.
pub(super) fn negotiate(headers: &HeaderMap, has_body: bool) -> Result<Negotiated, Refusal> {
    if headers.get_all(header::CONTENT_TYPE).iter().count() > 1 {
        return Err(invalid_header(
            "Content-Type",
            "Incorrect header [Content-Type]. Only one value should be provided",
        ));
    }
    let text = |name| headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let accept_text = text(header::ACCEPT);
    let content_text = text(header::CONTENT_TYPE).filter(|text| !text.trim().is_empty());

    let accept = match accept_text.as_deref().map(str::trim) {
        None | Some("" | "*/*") => None,
        // A list: Elasticsearch does not read it; text tables stay text.
        Some(list) if list.contains(',') => None,
        Some(one) => match parse(one) {
            Some(media_type) => Some(media_type),
            None => return Err(invalid("Accept", one)),
        },
    };
    let mut content_version = None;
    if has_body {
        let Some(given) = content_text.as_deref() else { return Err(unsupported("")) };
        let Some(media_type) = parse(given) else { return Err(invalid("Content-Type", given)) };
        if !is_readable(&media_type.essence) {
            return Err(unsupported(given));
        }
        content_version = media_type.compatible_with;
    }
    let accept_version = accept.as_ref().and_then(|accept| accept.compatible_with);
    check_versions(
        accept_version,
        content_version,
        accept_text.as_deref(),
        content_text.as_deref(),
        has_body,
    )?;
    let json = accept.as_ref().is_some_and(|accept| {
        matches!(accept.essence.as_str(), "application/json" | "application/vnd.elasticsearch+json")
    });
    Ok(Negotiated { compatible_with: accept_version, json })
}

fn check_versions(
    accept: Option<u8>,
    content: Option<u8>,
    accept_text: Option<&str>,
    content_text: Option<&str>,
    has_body: bool,
) -> Result<(), Refusal> {
    for (name, version, text) in [("Accept", accept, accept_text), ("Content-Type", content, content_text)] {
        if let Some(version) = version.filter(|version| !matches!(version, 8 | 9)) {
            return Err(version_error(&format!(
                "{name} version must be either version 9 or 8, but found {version}. {name}={}",
                text.unwrap_or("null")
            )));
        }
    }
    if has_body && accept != content {
        return Err(version_error(&format!(
            "A compatible version is required on both Content-Type and Accept headers if either one has requested a \
             compatible version and the compatible versions must match. Accept={}, Content-Type={}",
            accept_text.unwrap_or("null"),
            content_text.unwrap_or("null"),
        )));
    }
    Ok(())
}

/// JSON and newline-delimited JSON; Elasticsearch also reads YAML, CBOR and Smile, which no official client sends.
fn is_readable(essence: &str) -> bool {
    matches!(
        essence,
        "application/json"
            | "application/vnd.elasticsearch+json"
            | "application/*"
            | "application/x-ndjson"
            | "application/vnd.elasticsearch+x-ndjson"
    )
}

fn parse(text: &str) -> Option<MediaType> {
    let mut parts = text.split(';').map(str::trim);
    let essence = parts.next()?.to_ascii_lowercase();
    let (kind, subtype) = essence.split_once('/')?;
    if kind.is_empty() || subtype.is_empty() || subtype.contains('/') || essence.contains(char::is_whitespace)
    {
        return None;
    }
    let mut compatible_with = None;
    for parameter in parts.filter(|part| !part.is_empty()) {
        let (name, value) = parameter.split_once('=')?;
        if name.trim().eq_ignore_ascii_case("compatible-with") {
            compatible_with = Some(value.trim().parse().ok()?);
        }
    }
    Some(MediaType { essence, compatible_with })
}

fn unsupported(text: &str) -> Refusal {
    let body = json!({ "error": format!("Content-Type header [{text}] is not supported"), "status": 406 });
    Response::json(StatusCode::NOT_ACCEPTABLE, body).into()
}

fn invalid(header: &str, text: &str) -> Refusal {
    invalid_header(header, &format!("invalid media-type [{text}]"))
}

fn invalid_header(header: &str, reason: &str) -> Refusal {
    let error = ApiError::new(
        StatusCode::BAD_REQUEST,
        "media_type_header_exception",
        format!("Invalid media-type value on headers [{header}]"),
    )
    .with("caused_by", json!({ "type": "illegal_argument_exception", "reason": reason }));
    error.into()
}

fn version_error(reason: &str) -> Refusal {
    let error = ApiError::new(
        StatusCode::BAD_REQUEST,
        "media_type_header_exception",
        "Invalid media-type value on headers [Content-Type, Accept]",
    )
    .with("caused_by", json!({ "type": "status_exception", "reason": reason }));
    error.into()
}
