//! gzip bodies, both ways, for `compress: true`.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::GzEncoder;

/// Bodies below this gain nothing: they fit one packet either way.
const WORTHWHILE: usize = 1024;

/// Above this, compressing takes long enough (over a millisecond) to hold up the other tasks of the thread.
const BLOCKING: usize = 64 << 10;

/// Compresses a body if that is worthwhile.
pub(crate) async fn compress(body: &Bytes) -> io::Result<Option<Bytes>> {
    match body.len() {
        0..WORTHWHILE => Ok(None),
        WORTHWHILE..BLOCKING => encode(body).map(Some),
        _ => {
            let body = body.clone();
            tokio::task::spawn_blocking(move || encode(&body)).await.map_err(io::Error::other)?.map(Some)
        }
    }
}

/// Level 1: a bulk body shrinks to about a fifth already, and the network is not as slow as the higher levels are.
fn encode(body: &[u8]) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    Ok(encoder.finish()?.into())
}

/// Decompresses an answer of at most `limit` bytes; an error when it would be larger or is not gzip.
pub(crate) fn decompress(body: &[u8], limit: usize) -> io::Result<Bytes> {
    let mut decoded = Vec::with_capacity(body.len().saturating_mul(4).min(limit));
    let read = MultiGzDecoder::new(body).take(limit as u64 + 1).read_to_end(&mut decoded)?;
    if read > limit {
        return Err(io::Error::other(format!("the answer has more than {limit} bytes")));
    }
    Ok(decoded.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn small_bodies_stay_as_they_are_and_large_ones_come_back() {
        assert!(compress(&Bytes::from_static(b"{}")).await.unwrap().is_none());
        for size in [2000, 500_000] {
            let body = Bytes::from("text ".repeat(size / 5));
            let small = compress(&body).await.unwrap().unwrap();
            assert!(small.len() < body.len() / 10);
            assert_eq!(decompress(&small, size).unwrap(), body);
        }
    }

    #[test]
    fn a_bomb_and_garbage_are_errors() {
        let bomb = encode(&vec![0; 1 << 20]).unwrap();
        assert!(decompress(&bomb, 1000).unwrap_err().to_string().contains("1000 bytes"));
        assert!(decompress(b"not gzip", 1000).is_err());
    }
}
