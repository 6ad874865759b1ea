//! File → [`Document`].

use std::borrow::Cow;
use std::fs::Metadata;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use connectors_protocol::timestamp;
use connectors_sdk::{
    Content, Document, DownloadResult, LazyDownload, Limits, accepts_extension, access_control_query,
};
use jiff::Timestamp;
use md5::{Digest, Md5};
use serde_json::{Map, Value, json};

use super::access;
use super::accounts::Account;
use super::client::{self, FileContent, Identity, Wanted};
use super::error::at_file;
use super::listing::Id;

/// Room left for the other fields of a document below the limit for text.
const OTHER_FIELDS: u64 = 16 * 1024;

/// How the content of files is read.
#[derive(Debug)]
pub(super) struct Reader {
    text: u64,
    binary: Option<u64>,
}

impl Reader {
    pub(super) fn new(limits: Limits, extract_binary_content: bool) -> Self {
        let text = limits.max_text_size.map_or(u64::MAX, |text| text.saturating_sub(OTHER_FIELDS));
        Self {
            text: text.min(limits.max_file_size),
            binary: extract_binary_content.then_some(limits.max_file_size),
        }
    }

    /// What is wanted of the file at this path: any text; binary content of formats that text can be extracted from.
    fn wanted(&self, path: &Path) -> Wanted {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        Wanted { text: self.text, binary: self.binary.filter(|_| accepts_extension(extension)) }
    }

    fn read(&self, path: &Path, length: u64, only: Option<Identity>) -> DownloadResult {
        match client::read(path, length, self.wanted(path), only).map_err(|error| at_file(path, error))? {
            FileContent::Text(text) => Ok(Some(Content::Text(text))),
            FileContent::Binary(bytes) => Ok(Some(Content::Binary(Bytes::from(bytes)))),
            FileContent::Unwanted => Ok(None),
        }
    }
}

/// The document of a file; `access`: who may see it, where that is restricted.
pub(super) fn from_file(
    path: &Path,
    metadata: &Metadata,
    access: Option<Vec<String>>,
    reader: &Arc<Reader>,
) -> Document {
    let mut fields = Document::room_for(10);
    let text = path_text(path);
    fields.insert("path".to_owned(), Value::String(text.text.into_owned()));
    if text.escaped {
        fields.insert("path_escaped".to_owned(), Value::Bool(true));
    }
    let timestamp = iso_timestamp(metadata.mtime(), metadata.mtime_nsec());
    if let Some(timestamp) = &timestamp {
        fields.insert("last_modified_time".to_owned(), Value::String(timestamp.clone()));
    }
    // Who may see it was found out for this file, and for no other that is there later.
    let only = access.is_some().then(|| Identity::of(metadata));
    if let Some(access) = access {
        fields.insert("_allow_access_control".to_owned(), json!(access));
    }
    for (name, value) in [
        ("inode_protection_mode", u64::from(metadata.mode())),
        ("inode_number", metadata.ino()),
        ("device_inode_reside", metadata.dev()),
        ("number_of_links", metadata.nlink()),
        ("uid", u64::from(metadata.uid())),
        ("gid", u64::from(metadata.gid())),
    ] {
        fields.insert(name.to_owned(), Value::from(value));
    }
    fields.insert("ctime".to_owned(), Value::from(seconds(metadata.ctime(), metadata.ctime_nsec())));
    fields
        .insert("last_access_time".to_owned(), Value::from(seconds(metadata.atime(), metadata.atime_nsec())));
    fields.insert("size".to_owned(), Value::from(metadata.len()));

    let length = metadata.len();
    let expected = length.min(reader.text.max(reader.binary.unwrap_or(0)));
    let (file, reader) = (path.to_owned(), reader.clone());
    Document {
        timestamp,
        download: Some(LazyDownload::blocking(expected, move || reader.read(&file, length, only))),
        ..Document::new(hex(&id(path)), fields)
    }
}

/// The access control document of a user: its query finds the documents that he may see.
pub(super) fn of_account(account: &Account) -> Document {
    let groups: Vec<String> = account.groups.iter().copied().map(access::group).collect();
    let mut identities = vec![access::user(account.uid)];
    identities.extend(groups.iter().cloned());
    identities.push(access::everyone());
    let identity = json!({"username": account.name, "user": access::user(account.uid), "groups": groups});
    let Value::Object(fields) = json!({"identity": identity, "query": access_control_query(&identities)})
    else {
        unreachable!("an object literal")
    };
    Document::new(account.name.clone(), fields)
}

/// The types Elasticsearch would find for the fields by itself.
pub(super) fn mapping() -> Map<String, Value> {
    let path = json!({"type": "text", "fields": {"keyword": {"type": "keyword", "ignore_above": 256}}});
    let simple = [
        ("last_modified_time", "date"),
        ("inode_protection_mode", "long"),
        ("inode_number", "long"),
        ("device_inode_reside", "long"),
        ("number_of_links", "long"),
        ("uid", "long"),
        ("gid", "long"),
        ("ctime", "float"),
        ("last_access_time", "float"),
        ("size", "long"),
    ];
    let simple = simple.map(|(name, kind)| (name.to_owned(), json!({ "type": kind })));
    std::iter::once(("path".to_owned(), path)).chain(simple).collect()
}

/// MD5 of the path's bytes; in hex, it is the document's id.
pub(super) fn id(path: &Path) -> Id {
    Md5::digest(path.as_os_str().as_bytes()).into()
}

/// An id as text.
pub(super) fn hex(id: &Id) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    id.iter()
        .flat_map(|byte| [HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]])
        .map(char::from)
        .collect()
}

/// A path as text.
#[derive(Debug, PartialEq)]
pub(super) struct PathText<'a> {
    pub text: Cow<'a, str>,
    /// The path is not UTF-8: `text` holds `\xNN` for each byte that is none, and `\\` for a backslash.
    pub escaped: bool,
}

/// The path as text from which its bytes can be had back.
pub(super) fn path_text(path: &Path) -> PathText<'_> {
    let bytes = path.as_os_str().as_bytes();
    if let Ok(text) = std::str::from_utf8(bytes) {
        return PathText { text: Cow::Borrowed(text), escaped: false };
    }
    let mut text = String::with_capacity(bytes.len() * 2);
    for chunk in bytes.utf8_chunks() {
        text.push_str(&chunk.valid().replace('\\', r"\\"));
        text.extend(chunk.invalid().iter().map(|byte| format!(r"\x{byte:02x}")));
    }
    PathText { text: Cow::Owned(text), escaped: true }
}

/// Seconds since 1970 as the floating point number Python has for them, so that a document written by either connector is
/// the same.
fn seconds(seconds: i64, nanoseconds: i64) -> f64 {
    seconds as f64 + 1e-9 * nanoseconds as f64
}

/// ISO 8601 in UTC, as Python's `isoformat` prints it. None outside the years 1 to 9999 (and in its last day).
fn iso_timestamp(whole: i64, nanoseconds: i64) -> Option<String> {
    const YEAR_1: i64 = -62_135_596_800;
    let exact = seconds(whole, nanoseconds);
    // Python rounds its floating point number, not the nanoseconds.
    let micros = (exact.fract() * 1e6).round_ties_even();
    #[allow(clippy::cast_possible_truncation)]
    let micros = exact.trunc() as i64 * 1_000_000 + micros as i64;
    let instant = Timestamp::from_microsecond(micros).ok()?;
    (instant.as_second() >= YEAR_1).then(|| timestamp::format(instant))
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn timestamps_read_as_python_prints_them() {
        for (whole, nanoseconds, expected) in [
            (0, 0, "1970-01-01T00:00:00+00:00"),
            (1_700_000_000, 123_456_789, "2023-11-14T22:13:20.123457+00:00"),
            (1_700_000_000, 500_000, "2023-11-14T22:13:20.000500+00:00"),
            (1_700_000_000, 999_999_999, "2023-11-14T22:13:21+00:00"),
            (-1, 500_000_000, "1969-12-31T23:59:59.500000+00:00"),
            (253_402_207_200, 0, "9999-12-30T22:00:00+00:00"),
        ] {
            assert_eq!(iso_timestamp(whole, nanoseconds).as_deref(), Some(expected));
        }
        assert_eq!(iso_timestamp(253_402_300_800, 0), None);
        assert_eq!(iso_timestamp(-62_135_596_801, 0), None);
    }

    #[test]
    fn ids_are_the_md5_of_the_path() {
        assert_eq!(hex(&id(Path::new("/tmp/a.txt"))), "5075d607c55146298a1b78a69db84941");
    }

    #[test]
    fn paths_that_are_no_text_are_escaped_without_loss() {
        let path = Path::new(OsStr::from_bytes(b"/a\\b/\xff\xc3\xa9"));
        assert_eq!(path_text(path), PathText { text: Cow::Borrowed(r"/a\\b/\xffé"), escaped: true });
        assert_eq!(path_text(Path::new(r"/a\b")), PathText { text: Cow::Borrowed(r"/a\b"), escaped: false });
    }
}
