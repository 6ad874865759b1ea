//! Values of a field, document by document, out of the fast fields of one segment.

use tantivy::SegmentReader;
use tantivy::columnar::{Column, DynamicColumn, StrColumn};

use crate::error::{ApiError, Result};
use crate::index::schema::VALUES;

/// The columns under one path of the values field. A path has at most one column for strings, one for booleans
/// and one for numbers, whose width may differ between segments of one index.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Numbers, dates and booleans.
    pub numbers: Numbers,
    /// Keywords and addresses.
    pub strings: Option<StrColumn>,
}

/// A numeric column as this segment stores it.
#[derive(Debug, Clone, Default)]
pub enum Numbers {
    /// No document of the segment has a number here.
    #[default]
    Absent,
    /// Integers and dates; floats that happen to be integral in the whole segment.
    I64(Column<i64>),
    /// Values past `i64::MAX` beside none below zero.
    U64(Column<u64>),
    /// Floats.
    F64(Column<f64>),
    /// Booleans.
    Bool(Column<bool>),
}

impl Columns {
    /// Opens what the segment has under `path` (dotted, as in the mapping).
    pub fn open(reader: &SegmentReader, path: &str) -> Result<Self> {
        let mut columns = Self::default();
        for handle in reader.fast_fields().dynamic_column_handles(&format!("{VALUES}.{path}"))? {
            match handle.open().map_err(ApiError::internal)? {
                DynamicColumn::Bool(column) => columns.numbers = Numbers::Bool(column),
                DynamicColumn::I64(column) => columns.numbers = Numbers::I64(column),
                DynamicColumn::U64(column) => columns.numbers = Numbers::U64(column),
                DynamicColumn::F64(column) => columns.numbers = Numbers::F64(column),
                DynamicColumn::Str(column) => columns.strings = Some(column),
                DynamicColumn::IpAddr(_) | DynamicColumn::DateTime(_) | DynamicColumn::Bytes(_) => {
                    return Err(ApiError::internal(format!("column of an unexpected type at [{path}]")));
                }
            }
        }
        Ok(columns)
    }
}

impl Numbers {
    /// Calls `each` with every value of `doc`, in ascending order of writing. Booleans are 0 and 1; fractions,
    /// which an integer field cannot hold, are cut off.
    #[allow(clippy::cast_possible_truncation)]
    pub fn integers(&self, doc: u32, mut each: impl FnMut(i64)) {
        match self {
            Self::Absent => {}
            Self::I64(column) => column.values_for_doc(doc).for_each(each),
            Self::U64(column) => {
                column.values_for_doc(doc).for_each(|value| each(i64::try_from(value).unwrap_or(i64::MAX)));
            }
            Self::F64(column) => column.values_for_doc(doc).for_each(|value| each(value as i64)),
            Self::Bool(column) => column.values_for_doc(doc).for_each(|value| each(i64::from(value))),
        }
    }

    /// As [`Self::integers`], for floating point fields.
    pub fn floats(&self, doc: u32, mut each: impl FnMut(f64)) {
        match self {
            Self::Absent => {}
            Self::I64(column) => column.values_for_doc(doc).for_each(|value| each(value as f64)),
            Self::U64(column) => column.values_for_doc(doc).for_each(|value| each(value as f64)),
            Self::F64(column) => column.values_for_doc(doc).for_each(each),
            Self::Bool(column) => {
                column.values_for_doc(doc).for_each(|value| each(f64::from(u8::from(value))));
            }
        }
    }
}

/// An `i64` as a `u64` of the same order.
pub fn order_i64(value: i64) -> u64 {
    value.cast_unsigned() ^ (1 << 63)
}

/// Inverse of [`order_i64`].
pub fn unorder_i64(key: u64) -> i64 {
    (key ^ (1 << 63)).cast_signed()
}

/// An `f64` as a `u64` of the same order (-0.0 before 0.0).
pub fn order_f64(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 1 { !bits } else { bits ^ (1 << 63) }
}

/// Inverse of [`order_f64`].
pub fn unorder_f64(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key ^ (1 << 63) } else { !key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_keep_the_order_of_numbers_and_come_back() {
        let integers = [i64::MIN, -5, -1, 0, 1, 7, i64::MAX];
        assert!(integers.windows(2).all(|pair| order_i64(pair[0]) < order_i64(pair[1])));
        assert!(integers.iter().all(|value| unorder_i64(order_i64(*value)) == *value));
        let floats = [f64::NEG_INFINITY, -2.5, -1e-300, 0.0, 1e-300, 3.25, f64::INFINITY];
        assert!(floats.windows(2).all(|pair| order_f64(pair[0]) < order_f64(pair[1])));
        assert!(floats.iter().all(|value| unorder_f64(order_f64(*value)).to_bits() == value.to_bits()));
    }
}
