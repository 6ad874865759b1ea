//! Ids of content documents.

use std::borrow::Cow;
use std::fmt::Write as _;

use md5::{Digest, Md5};

/// Elasticsearch refuses an `_id` of more bytes than this.
pub const MAX_BYTES: usize = 512;

/// The id under which a document is stored: the source's own when Elasticsearch takes it, else its [`hash_id`].
pub fn stored(id: &str) -> Cow<'_, str> {
    if id.len() > MAX_BYTES { Cow::Owned(hash_id(id)) } else { Cow::Borrowed(id) }
}

/// MD5 of the UTF-8 bytes in lower-case hexadecimal. It is a short name, not a protection: the same hash as the other
/// implementation of the protocol, so that both name a document alike.
pub fn hash_id(id: &str) -> String {
    Md5::digest(id.as_bytes()).iter().fold(String::with_capacity(32), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_elasticsearch_takes_is_kept() {
        let longest = "a".repeat(MAX_BYTES);
        assert_eq!(stored(&longest), longest.as_str());
    }

    #[test]
    fn a_longer_id_is_hashed_counting_bytes_not_characters() {
        assert_eq!(hash_id("abc"), "900150983cd24fb0d6963f7d28e17f72");
        let long = "é".repeat(257);
        assert_eq!(stored(&long), hash_id(&long).as_str());
        assert_eq!(stored(&long).len(), 32);
    }
}
