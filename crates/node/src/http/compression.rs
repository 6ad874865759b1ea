//! gzip in both directions.

use std::io::{Read, Write};

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Why a compressed body cannot be used.
#[derive(Debug, PartialEq)]
pub(super) enum DecodeError {
    /// More bytes than allowed come out.
    TooLarge,
    /// Not gzip, or damaged.
    Invalid(String),
}

/// Unpacks a gzip body of at most `limit` bytes unpacked.
pub(super) fn gunzip(body: &[u8], limit: usize) -> Result<Bytes, DecodeError> {
    let mut out = Vec::with_capacity((body.len() * 4).min(limit));
    let mut decoder = MultiGzDecoder::new(body).take(limit as u64 + 1);
    decoder.read_to_end(&mut out).map_err(|error| DecodeError::Invalid(error.to_string()))?;
    if out.len() > limit {
        return Err(DecodeError::TooLarge);
    }
    Ok(out.into())
}

/// Packs an answer. Level 3 is Elasticsearch's default.
pub(super) fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 3), Compression::new(3));
    encoder.write_all(body)?;
    encoder.finish()
}

/// Whether the client asked for gzip (and did not refuse it with `q=0`).
pub(super) fn accepts_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("gzip"));
            named
                && !parts.any(|part| {
                    matches!(part.replace(' ', "").as_str(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
                })
        })
    })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn round_trip_and_limits() {
        let text = "abc".repeat(1000);
        let packed = gzip(text.as_bytes()).unwrap();
        assert_eq!(gunzip(&packed, 3000).unwrap(), text.as_bytes());
        assert_eq!(gunzip(&packed, 2999), Err(DecodeError::TooLarge));
        assert!(matches!(gunzip(b"plain", 100), Err(DecodeError::Invalid(_))));
        assert!(matches!(gunzip(&packed[..packed.len() - 4], 3000), Err(DecodeError::Invalid(_))));
    }

    #[test]
    fn only_those_who_ask_get_gzip() {
        let accepts = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(text));
            accepts_gzip(&headers)
        };
        assert!(accepts("gzip") && accepts("deflate, GZIP;q=0.5"));
        assert!(!accepts("deflate") && !accepts("gzip;q=0, br") && !accepts_gzip(&HeaderMap::new()));
    }
}
