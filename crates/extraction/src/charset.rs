//! Bytes to characters.

use std::borrow::Cow;
use std::string::FromUtf8Error;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

const BYTE_ORDER_MARK: char = '\u{feff}';

/// Decoded text and the charset it was in.
#[derive(Debug)]
pub(crate) struct Decoded<'a> {
    pub text: Cow<'a, str>,
    pub charset: &'static str,
}

/// The text of a file whose bytes are UTF-8 text, without a byte order mark: valid UTF-8 and none of the control
/// characters that text does not have (tab, newlines, form feed, backspace and escape may stand). Its extension does not
/// matter. Empty files are text.
pub fn is_text(bytes: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(bytes).ok()?;
    if has_binary_control(bytes) {
        return None;
    }
    Some(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text))
}

/// The text that [`is_text`] finds, without copying it; what is no text comes back.
pub fn into_text(bytes: Vec<u8>) -> Result<String, Vec<u8>> {
    let mut text = String::from_utf8(bytes).map_err(FromUtf8Error::into_bytes)?;
    if has_binary_control(text.as_bytes()) {
        return Err(text.into_bytes());
    }
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(text)
}

/// Control bytes that no text file has: 0 to 7, 0x0e to 0x1a, 0x1c to 0x1f and 0x7f. Backspace and escape occur in terminal
/// recordings and manual pages.
fn has_binary_control(bytes: &[u8]) -> bool {
    // Without branches, so that the compiler looks at many bytes at once: this runs over every file.
    #[expect(clippy::needless_bitwise_bool)]
    let is_control = |byte: u8| {
        (byte <= 0x07)
            | (byte.wrapping_sub(0x0e) <= 0x0c)
            | (byte.wrapping_sub(0x1c) <= 0x03)
            | (byte == 0x7f)
    };
    bytes.chunks(256).any(|chunk| chunk.iter().fold(false, |found, byte| found | is_control(*byte)))
}

/// Decodes by byte order mark, then as UTF-8 if the bytes are that, then by the declared charset, then as Windows-1252,
/// which is what undeclared 8-bit text on the web is. `None`: this is not text.
pub(crate) fn decode<'a>(bytes: &'a [u8], declared: Option<&'static Encoding>) -> Option<Decoded<'a>> {
    if let Some((encoding, length)) = Encoding::for_bom(bytes) {
        return with(encoding, &bytes[length..]);
    }
    // A UTF-16 declaration inside readable ASCII is wrong: the bytes are not UTF-16.
    let declared = declared.filter(|encoding| *encoding != UTF_16LE && *encoding != UTF_16BE);
    if let Ok(text) = std::str::from_utf8(bytes)
        && declared.is_none_or(Encoding::is_ascii_compatible)
    {
        if has_binary_control(bytes) {
            return None;
        }
        return Some(Decoded { text: Cow::Borrowed(text), charset: UTF_8.name() });
    }
    if let Some(encoding) = declared.filter(|encoding| *encoding != UTF_8) {
        return with(encoding, bytes);
    }
    let high = bytes.iter().filter(|byte| **byte >= 0x80).count();
    if high * 10 > bytes.len() * 3 {
        return None;
    }
    with(WINDOWS_1252, bytes)
}

fn with<'a>(encoding: &'static Encoding, bytes: &'a [u8]) -> Option<Decoded<'a>> {
    let (text, _) = encoding.decode_without_bom_handling(bytes);
    if has_binary_control(text.as_bytes()) {
        return None;
    }
    Some(Decoded { text, charset: encoding.name() })
}

/// `charset=` of a media type.
pub(crate) fn of_content_type(content_type: &str) -> Option<&'static Encoding> {
    content_type
        .split(';')
        .skip(1)
        .find_map(|parameter| {
            let (name, value) = parameter.split_once('=')?;
            name.trim().eq_ignore_ascii_case("charset").then_some(value.trim().trim_matches(['"', '\'']))
        })
        .and_then(|label| Encoding::for_label(label.as_bytes()))
}

/// How far into a page its charset is looked for. The HTML standard says 1024 bytes; real pages put more in front.
const DECLARATION_WITHIN: usize = 4096;

/// `<meta charset="..">` or `<meta http-equiv=content-type content="..; charset=..">`.
pub(crate) fn of_html(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(DECLARATION_WITHIN)]).to_ascii_lowercase();
    head.split("<meta")
        .skip(1)
        .find_map(|rest| {
            let tag = rest.split('>').next()?;
            let (_, value) = tag.split_once("charset")?;
            let value = value.trim_start().strip_prefix('=')?.trim_start().trim_start_matches(['"', '\'']);
            let label: String = value
                .chars()
                .take_while(|char| char.is_ascii_alphanumeric() || "-_:.".contains(*char))
                .collect();
            Encoding::for_label(label.as_bytes())
        })
        .or_else(|| of_xml(bytes))
}

/// `<?xml version=".." encoding=".."?>`.
pub(crate) fn of_xml(bytes: &[u8]) -> Option<&'static Encoding> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(256)]);
    let declaration = head.trim_start().strip_prefix("<?xml")?.split("?>").next()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|char| matches!(char, '"' | '\''))?;
    Encoding::for_label(value[1..].split(quote).next()?.as_bytes())
}
