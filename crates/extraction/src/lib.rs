//! Text out of files: plain text, HTML and XML. Other formats are named in an error, never guessed at.
//!
//! ```
//! use connectors_extraction::{Options, extract};
//!
//! let page = b"<html><head><title>Hi</title></head><body><p>One<p>Two &amp; three</body></html>";
//! let extracted = extract(page, &Options::default()).unwrap();
//! assert_eq!(extracted.title.as_deref(), Some("Hi"));
//! assert_eq!(extracted.text, "One\nTwo & three");
//! ```

mod charset;
mod flow;
mod format;
mod html;
mod xml;

pub use charset::{into_text, is_text};

/// Longest file that is looked at.
pub const MAX_INPUT_BYTES: usize = 100 * 1024 * 1024;

/// What the caller knows of a file, and how much of its text it wants.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options<'a> {
    /// File name extension, with or without the dot, any case.
    pub extension: Option<&'a str>,
    /// Media type a server sent, with or without `charset`.
    pub content_type: Option<&'a str>,
    /// Stop after this many characters of text.
    pub max_characters: Option<usize>,
}

/// Text and what else the file says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Extracted {
    /// The text; blocks of a page are lines.
    pub text: String,
    /// Title of a page.
    pub title: Option<String>,
    /// Author of a page (`<meta name="author">`).
    pub author: Option<String>,
    /// Keywords of a page.
    pub keywords: Option<String>,
    /// Description of a page.
    pub description: Option<String>,
    /// Media type found, with the charset where one was read.
    pub content_type: String,
    /// Always absent: languages are not detected.
    pub language: Option<String>,
    /// Whether `max_characters` cut the text.
    pub truncated: bool,
}

/// Why there is no text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExtractionError {
    /// A format this crate does not read.
    #[error("no text can be extracted from [{content_type}]: plain text, HTML and XML are supported")]
    Unsupported {
        /// The format, as a media type; `application/octet-stream` for unknown binary data.
        content_type: String,
    },
    /// The format is read, but this file breaks its rules.
    #[error("malformed {format}: {reason}")]
    Malformed {
        /// `XML`.
        format: &'static str,
        /// What is wrong and where.
        reason: String,
    },
    /// Longer than [`MAX_INPUT_BYTES`].
    #[error("{bytes} bytes are more than the {MAX_INPUT_BYTES} that text is extracted from")]
    TooLarge {
        /// Size of the file.
        bytes: usize,
    },
}

/// Extracts the text of a file. Content decides over extension and media type where both speak.
///
/// # Errors
/// [`ExtractionError`].
pub fn extract(bytes: &[u8], options: &Options<'_>) -> Result<Extracted, ExtractionError> {
    if bytes.len() > MAX_INPUT_BYTES {
        return Err(ExtractionError::TooLarge { bytes: bytes.len() });
    }
    let hinted_charset = options.content_type.and_then(charset::of_content_type);
    match format::detect(bytes, options)? {
        format::Format::Text(content_type) => {
            let decoded = charset::decode(bytes, hinted_charset).ok_or_else(unknown_binary)?;
            let (text, truncated) = truncate(&decoded.text, options.max_characters);
            Ok(Extracted {
                text: text.to_owned(),
                truncated,
                content_type: format!("{content_type}; charset={}", decoded.charset),
                ..Extracted::default()
            })
        }
        format::Format::Html(content_type) => {
            let declared = hinted_charset.or_else(|| charset::of_html(bytes));
            let decoded = charset::decode(bytes, declared).ok_or_else(unknown_binary)?;
            let mut extracted = html::extract(&decoded.text, options.max_characters);
            extracted.content_type = format!("{content_type}; charset={}", decoded.charset);
            Ok(extracted)
        }
        format::Format::Xml => {
            let declared = charset::of_xml(bytes).or(hinted_charset);
            let decoded = charset::decode(bytes, declared).ok_or_else(unknown_binary)?;
            xml::extract(&decoded.text, options.max_characters)
        }
    }
}

fn unknown_binary() -> ExtractionError {
    ExtractionError::Unsupported { content_type: "application/octet-stream".to_owned() }
}

/// The first `max` characters, and whether there were more.
fn truncate(text: &str, max: Option<usize>) -> (&str, bool) {
    match max.and_then(|max| text.char_indices().nth(max)) {
        None => (text, false),
        Some((at, _)) => (&text[..at], true),
    }
}

#[cfg(test)]
mod tests;
