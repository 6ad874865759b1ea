//! BSON document → [`Document`].

use std::borrow::Cow;

use connectors_sdk::{Document, ErrorKind, FieldName, FieldsPage, LazyDownload, SourceError};
use mongodb::bson::oid::ObjectId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{RawBsonRef, RawDocument};

use super::value::{Decoder, ID, Problem, date_text, extended};
use crate::shared::field_name::field_name;

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

/// The names of a document's fields: those of the next document are mostly the same.
#[derive(Debug, Default)]
pub(super) struct Names {
    keys: Vec<String>,
    names: Option<Vec<FieldName>>,
}

impl Names {
    /// The names of the fields, without `_id`; none, if they cannot be written as they are.
    pub(super) fn of(&mut self, document: &RawDocument) -> Result<Option<&[FieldName]>, Problem> {
        let mut known = self.keys.iter();
        let mut same = true;
        for element in document.iter_elements() {
            let element = element?;
            let key = element.key().as_str();
            same &= key == ID || known.next().is_some_and(|known| known == key);
        }
        if !same || known.next().is_some() {
            self.learn(document)?;
        }
        Ok(self.names.as_deref())
    }

    fn learn(&mut self, document: &RawDocument) -> Result<(), Problem> {
        self.keys.clear();
        self.names = None;
        for element in document.iter_elements() {
            let element = element?;
            let key = element.key().as_str();
            if key != ID {
                self.keys.push(key.to_owned());
            }
        }
        let as_they_are = self.keys.iter().all(|key| matches!(field_name(key, true), Cow::Borrowed(_)));
        let keys = self.keys.iter().map(String::as_str);
        self.names = if as_they_are { FieldName::distinct(keys) } else { None };
        Ok(())
    }
}

/// The document, written to the page if it can be. One that has no JSON form is sent without fields and with a download that
/// fails, so that it is recorded with the reason and not written.
pub(super) fn from_bson(
    raw: &RawDocument,
    decoder: Decoder,
    kinds: &mut IdKinds,
    names: &mut Names,
    page: &mut FieldsPage,
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
    let document = names.of(raw).and_then(|names| match names {
        Some(names) => Ok(Document::written(id.clone(), decoder.text(raw, names, page)?)),
        None => Ok(Document::new(id.clone(), decoder.fields(raw)?)),
    });
    Ok(match document {
        Ok(document) => document,
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
