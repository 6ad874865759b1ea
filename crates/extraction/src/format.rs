//! Which format a file has.

use crate::{ExtractionError, Options};

/// A format that is read; the text is the media type to report.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Text(&'static str),
    Html(&'static str),
    Xml,
}

/// First bytes of formats that are named in the error rather than called binary.
const MAGIC: &[(&[u8], &str)] = &[
    (b"%PDF-", "application/pdf"),
    (b"{\\rtf", "application/rtf"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "application/x-tika-msoffice"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\x00", "application/x-xz"),
    (b"(\xb5/\xfd", "application/zstd"),
    (b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (b"Rar!\x1a\x07", "application/x-rar-compressed"),
    (b"\x7fELF", "application/x-elf"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "application/ogg"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"SQLite format 3\x00", "application/vnd.sqlite3"),
];

/// Zip containers, told apart by a name inside.
const ZIP_MEMBERS: &[(&[u8], &str)] = &[
    (b"word/", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    (b"xl/", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    (b"ppt/", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
    (b"application/vnd.oasis.opendocument.text", "application/vnd.oasis.opendocument.text"),
    (b"application/vnd.oasis.opendocument.spreadsheet", "application/vnd.oasis.opendocument.spreadsheet"),
    (b"application/vnd.oasis.opendocument.presentation", "application/vnd.oasis.opendocument.presentation"),
    (b"application/epub+zip", "application/epub+zip"),
];

/// Media types of text by extension, where it is more than `text/plain`.
const TEXT_EXTENSIONS: &[(&str, &str)] = &[
    ("css", "text/css"),
    ("csv", "text/csv"),
    ("js", "text/javascript"),
    ("json", "application/json"),
    ("md", "text/x-web-markdown"),
    ("tsv", "text/tab-separated-values"),
];

/// Looks at the content, then at what the caller says.
pub(crate) fn detect(bytes: &[u8], options: &Options<'_>) -> Result<Format, ExtractionError> {
    if let Some((_, content_type)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err(ExtractionError::Unsupported { content_type: (*content_type).to_owned() });
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Err(ExtractionError::Unsupported { content_type: zip(bytes).to_owned() });
    }
    let extension = options.extension.map(|text| text.trim_start_matches('.').to_ascii_lowercase());
    let media_type = options
        .content_type
        .map(|text| text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let start = start_of_markup(bytes);
    if starts_with_any(&start, &["<?xml"]) {
        // The first element decides between a page and other XML.
        return Ok(if root_is_html(&start) { Format::Html("application/xhtml+xml") } else { Format::Xml });
    }
    if starts_with_any(&start, &["<!doctype html", "<html", "<head>", "<head ", "<body>", "<body "]) {
        return Ok(Format::Html("text/html"));
    }
    match (extension.as_deref(), media_type.as_deref()) {
        (Some("html" | "htm"), _) | (_, Some("text/html")) => Ok(Format::Html("text/html")),
        (Some("xhtml" | "xht"), _) | (_, Some("application/xhtml+xml")) => {
            Ok(Format::Html("application/xhtml+xml"))
        }
        (Some("xml" | "xsl" | "xslt" | "xsd" | "rss" | "atom" | "svg" | "rdf" | "kml"), _)
        | (_, Some("application/xml" | "text/xml"))
            if start.starts_with('<') =>
        {
            Ok(Format::Xml)
        }
        (_, Some(media_type)) if media_type.ends_with("+xml") && start.starts_with('<') => Ok(Format::Xml),
        (extension, _) => Ok(Format::Text(
            TEXT_EXTENSIONS
                .iter()
                .find(|(name, _)| Some(*name) == extension)
                .map_or("text/plain", |(_, content_type)| content_type),
        )),
    }
}

fn zip(bytes: &[u8]) -> &'static str {
    let head = &bytes[..bytes.len().min(64 * 1024)];
    ZIP_MEMBERS
        .iter()
        .find(|(name, _)| head.windows(name.len()).any(|window| window == *name))
        .map_or("application/zip", |(_, content_type)| content_type)
}

/// The first 4 KiB in lower case, without byte order mark, white space and comments in front; UTF-16 is made readable.
fn start_of_markup(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(4096)];
    let text = match encoding_rs::Encoding::for_bom(head) {
        Some((encoding, length)) => encoding.decode_without_bom_handling(&head[length..]).0.into_owned(),
        None => String::from_utf8_lossy(head).into_owned(),
    };
    let mut rest = text.trim_start();
    while let Some(comment) = rest.strip_prefix("<!--") {
        match comment.split_once("-->") {
            Some((_, after)) => rest = after.trim_start(),
            None => break,
        }
    }
    rest.to_ascii_lowercase()
}

fn starts_with_any(text: &str, starts: &[&str]) -> bool {
    starts.iter().any(|start| text.starts_with(start))
}

fn root_is_html(start: &str) -> bool {
    start.split('<').skip(1).find(|rest| !rest.starts_with(['?', '!'])).is_some_and(|rest| {
        rest.strip_prefix("html").is_some_and(|rest| rest.starts_with(['>', ' ', '\n', '\r', '\t', '/']))
    })
}
