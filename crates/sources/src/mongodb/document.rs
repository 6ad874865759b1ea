//! BSON document → [`Document`].

use connectors_sdk::{Document, ErrorKind, LazyDownload, SourceError};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{RawBsonRef, RawDocument};

use super::value::{Decoder, date_text, extended};

/// Kinds of ids that a listing had, to find those of different types that read the same.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct IdKinds(u8);

impl IdKinds {
    const INTEGER: u8 = 1;
    const INTEGER_TEXT: u8 = 2;
    const OBJECT_ID: u8 = 4;
    const OBJECT_ID_TEXT: u8 = 8;

    fn add(&mut self, id: RawBsonRef<'_>) {
        self.0 |= match id {
            RawBsonRef::Int32(_) | RawBsonRef::Int64(_) => Self::INTEGER,
            RawBsonRef::ObjectId(_) => Self::OBJECT_ID,
            RawBsonRef::String(text) if text.parse::<i64>().is_ok() => Self::INTEGER_TEXT,
            RawBsonRef::String(text) if ObjectId::parse_str(text).is_ok() => Self::OBJECT_ID_TEXT,
            _ => 0,
        };
    }

    /// Whether two documents may have the same id in the index.
    pub(super) fn are_ambiguous(self) -> bool {
        let has = |kinds| self.0 & kinds == kinds;
        has(Self::INTEGER | Self::INTEGER_TEXT) || has(Self::OBJECT_ID | Self::OBJECT_ID_TEXT)
    }
}

/// The document. One that has no JSON form is sent without fields and with a download that fails, so that it is recorded with
/// the reason and not written.
pub(super) fn from_bson(
    raw: &RawDocument,
    decoder: Decoder,
    kinds: &mut IdKinds,
) -> Result<Document, SourceError> {
    let id = raw.get("_id").map_err(|error| {
        SourceError::new(ErrorKind::InvalidData, "read a document", format!("it is not valid BSON: {error}"))
    })?;
    let Some(id) = id else {
        return Err(SourceError::new(ErrorKind::Config, "read a document", "it has no `_id`")
            .with_hint("Let the advanced sync rules keep `_id`, with another value for each document."));
    };
    kinds.add(id);
    let id = id_text(id, decoder)?;
    Ok(match decoder.fields(raw) {
        Ok(fields) => Document::new(id, fields),
        Err(problem) => {
            let error = SourceError::new(
                ErrorKind::InvalidData,
                "turn the document into JSON",
                format!("{id}: {problem}"),
            )
            .with_hint("All other documents are synced.");
            Document::new(id, serde_json::Map::new())
                .with_download(LazyDownload::blocking(0, move || Err(error)))
        }
    })
}

/// The id as text, the same for the same id in every sync. See the table in `README.md`.
pub(super) fn id_text(id: RawBsonRef<'_>, decoder: Decoder) -> Result<String, SourceError> {
    Ok(match id {
        // An empty id would be none.
        RawBsonRef::String(text) if !text.is_empty() => text.to_owned(),
        RawBsonRef::ObjectId(id) => id.to_hex(),
        RawBsonRef::Int32(number) => number.to_string(),
        RawBsonRef::Int64(number) => number.to_string(),
        // With a fraction, always: 5.0 is not 5.
        RawBsonRef::Double(number) => format!("{number:?}"),
        RawBsonRef::Decimal128(number) => number.to_string(),
        RawBsonRef::Binary(binary)
            if matches!(binary.subtype, BinarySubtype::Uuid | BinarySubtype::UuidOld) =>
        {
            decoder.binary(binary)
        }
        RawBsonRef::DateTime(date) => {
            let milliseconds = date.timestamp_millis();
            date_text(milliseconds).unwrap_or_else(|| milliseconds.to_string())
        }
        // All others, embedded documents first of all, in extended JSON, which tells types apart.
        other => extended(other)
            .map_err(|problem| SourceError::new(ErrorKind::InvalidData, "read an id", problem.to_string()))?
            .to_string(),
    })
}
