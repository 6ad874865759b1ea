//! JSON text, straight into a buffer.
//!
//! The text is that of `serde_json`. It looks at a text in blocks instead of byte by byte: what documents are made of is text that
//! needs no escape.

use serde_json::Value;

/// Bytes looked at together. A compiler makes few instructions of a loop over so many.
const BLOCK: usize = 32;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Adds a text with its quotes.
pub fn write_string(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        let plain = plain_length(rest);
        out.extend_from_slice(&rest[..plain]);
        if let Some(byte) = rest.get(plain) {
            escape(out, *byte);
        }
        rest = rest.get(plain + 1..).unwrap_or_default();
    }
    out.push(b'"');
}

/// Adds a value.
pub fn write_value(out: &mut Vec<u8>, value: &Value) {
    match value {
        Value::String(text) => write_string(out, text),
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(out, item);
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            out.push(b'{');
            for (index, (name, value)) in fields.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_string(out, name);
                out.push(b':');
                write_value(out, value);
            }
            out.push(b'}');
        }
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) => {
            // A number into memory: nothing can fail.
            let _infallible = serde_json::to_writer(out, number);
        }
    }
}

/// How many of the first bytes need no escape.
fn plain_length(bytes: &[u8]) -> usize {
    let blocks = bytes.chunks_exact(BLOCK);
    let rest = blocks.remainder();
    // Without a branch for each byte.
    let is_plain = |block: &[u8]| !block.iter().fold(false, |found, byte| found | needs_escape(*byte));
    let mut length = 0;
    for block in blocks {
        if !is_plain(block) {
            return length + block.iter().position(|byte| needs_escape(*byte)).unwrap_or(BLOCK);
        }
        length += BLOCK;
    }
    length + rest.iter().position(|byte| needs_escape(*byte)).unwrap_or(rest.len())
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0C => b'f',
        b'\r' => b'r',
        _ => {
            let digit = |value: u8| HEX[usize::from(value & 0xF)];
            out.extend_from_slice(&[b'\\', b'u', b'0', b'0', digit(byte >> 4), digit(byte)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn string(text: &str) -> String {
        let mut out = Vec::new();
        write_string(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn texts_are_those_of_serde_json() {
        let all: String = (0..0x300).filter_map(char::from_u32).collect();
        for text in ["", "a", "\"", "\\\"", "grüße 東京 🎉", &all] {
            assert_eq!(string(text), serde_json::to_string(text).unwrap());
        }
        // Whatever stands wherever in a block and behind it.
        for length in 0..2 * BLOCK + 3 {
            assert_eq!(string(&"x".repeat(length)), format!("\"{}\"", "x".repeat(length)));
            for position in 0..length {
                for special in ["\"", "\\", "\n", "\u{1f}", "\u{7f}", "ü"] {
                    let text = format!("{}{special}{}", "x".repeat(position), "y".repeat(length - position));
                    assert_eq!(string(&text), serde_json::to_string(&text).unwrap());
                }
            }
        }
    }

    #[test]
    fn values_are_those_of_serde_json() {
        for value in [
            json!(null),
            json!(true),
            json!(false),
            json!([]),
            json!({}),
            json!([0, -1, u64::MAX, i64::MIN, 0.1, 1e300, -0.0, 12.0]),
            json!({"a\"b": [{"c": "d\n"}, []], "e": {"f": {}}}),
        ] {
            let mut out = Vec::new();
            write_value(&mut out, &value);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
