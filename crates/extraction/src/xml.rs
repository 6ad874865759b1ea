//! XML: its text nodes. Entities that a document declares are not expanded, neither from itself nor from elsewhere.

use quick_xml::Reader;
use quick_xml::events::Event;

use crate::flow::Flow;
use crate::{Extracted, ExtractionError};

/// Deepest nesting that is read. Parsing is flat; what nests deeper is an attack on whoever reads it next.
const MAX_DEPTH: usize = 1000;

pub(crate) fn extract(document: &str, max_characters: Option<usize>) -> Result<Extracted, ExtractionError> {
    let mut reader = Reader::from_str(document);
    let mut flow = Flow::new(max_characters);
    let mut depth = 0_usize;
    let mut content_type = None;
    while !flow.is_full() {
        let event = reader.read_event().map_err(|error| malformed(&reader, &error.to_string()))?;
        match event {
            Event::Start(tag) => {
                content_type.get_or_insert_with(|| media_type(tag.local_name().as_ref()));
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err(malformed(&reader, &format!("elements nest deeper than {MAX_DEPTH}")));
                }
                flow.space();
            }
            Event::Empty(tag) => {
                content_type.get_or_insert_with(|| media_type(tag.local_name().as_ref()));
                flow.space();
            }
            Event::End(_) => {
                depth = depth.saturating_sub(1);
                flow.space();
            }
            Event::Text(text) => lines(&mut flow, &text.xml10_content()),
            Event::CData(data) => lines(&mut flow, &data.xml10_content()),
            Event::GeneralRef(reference) => {
                let char =
                    reference.resolve_char_ref().map_err(|error| malformed(&reader, &error.to_string()))?;
                let name = reference.into_inner();
                match char.or_else(|| predefined(&name)) {
                    Some(char) => flow.collapsed(char.encode_utf8(&mut [0; 4])),
                    None => return Err(malformed(&reader, &format!("the entity &{name}; is not expanded"))),
                }
            }
            Event::Eof => break,
            Event::Decl(_) | Event::PI(_) | Event::DocType(_) | Event::Comment(_) => {}
        }
    }
    if depth > 0 && !flow.is_full() {
        return Err(malformed(&reader, "the document ends inside an element"));
    }
    let Some(content_type) = content_type else {
        return Err(malformed(&reader, "there is no element"));
    };
    let (text, truncated) = flow.finish();
    Ok(Extracted { text, truncated, content_type: content_type.to_owned(), ..Extracted::default() })
}

/// Text of one node; its line breaks are kept, because in XML they are the author's.
fn lines(flow: &mut Flow, text: &str) {
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            flow.line();
        }
        flow.collapsed(line);
    }
}

fn predefined(name: &str) -> Option<char> {
    Some(match name {
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "quot" => '"',
        "apos" => '\'',
        _ => return None,
    })
}

fn media_type(root: &str) -> &'static str {
    match root {
        "svg" => "image/svg+xml",
        "rss" => "application/rss+xml",
        "feed" => "application/atom+xml",
        "RDF" => "application/rdf+xml",
        _ => "application/xml",
    }
}

fn malformed(reader: &Reader<&[u8]>, reason: &str) -> ExtractionError {
    let reason = format!("{reason} (at byte {})", reader.buffer_position());
    ExtractionError::Malformed { format: "XML", reason }
}
