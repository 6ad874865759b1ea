//! Request paths.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but RFC 3986's unreserved characters, and the comma and star of index expressions.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b',').remove(b'*');

/// A request path from its segments, each percent-encoded: `path(["my index", "_doc", "a/b"])` is
/// `/my%20index/_doc/a%2Fb`.
pub fn path<'a>(segments: impl IntoIterator<Item = &'a str>) -> String {
    let mut path = String::new();
    for segment in segments {
        path.push('/');
        path.extend(utf8_percent_encode(segment, SEGMENT));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_what_would_change_the_path() {
        assert_eq!(path(["logs-*,-x", "_doc", "a/b c?#é"]), "/logs-*,-x/_doc/a%2Fb%20c%3F%23%C3%A9");
        assert_eq!(path([]), "");
    }
}
