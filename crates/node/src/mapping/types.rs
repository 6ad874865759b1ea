//! What a mapping says of each field.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

/// What happens to fields the mapping does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Dynamic {
    /// They are added.
    #[default]
    True,
    /// They stay in `_source` only.
    False,
    /// The document is refused.
    Strict,
    /// As `False` here: runtime fields are not supported, creating such a mapping is refused.
    Runtime,
}

/// Field types this node knows. Others are refused when a mapping is put.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldType {
    /// Analysed text (`text`, `match_only_text`).
    Text,
    /// Exact strings (`keyword`, `wildcard`, `constant_keyword`).
    Keyword,
    /// `long`, `integer`, `short`, `byte`: i64 columns; the bounds are checked by the name.
    Integer {
        /// Smallest allowed value.
        min: i64,
        /// Largest allowed value.
        max: i64,
    },
    /// `double`, `float`, `half_float`, `scaled_float`: f64 columns.
    Float {
        /// Factor of `scaled_float`.
        scaling_factor: Option<f64>,
    },
    /// `boolean`.
    Boolean,
    /// `date`: i64 epoch milliseconds.
    Date {
        /// The `format` parameter; Elasticsearch's default is `strict_date_optional_time||epoch_millis`.
        format: Option<String>,
    },
    /// `ip`: canonical text form.
    Ip,
    /// `binary`: kept in `_source`, not searchable.
    Binary,
    /// `alias`: another name for a field.
    Alias {
        /// Path of the field meant.
        path: String,
    },
}

/// One searchable field: a leaf of the mapping or a multi-field of one.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldMapping {
    /// Full dotted path, multi-fields included (`title.keyword`).
    pub path: String,
    /// Path of the value in `_source`: the parent's for multi-fields, else `path`.
    pub source_path: String,
    /// The `type` as written (`match_only_text`, `integer`, ...).
    pub type_name: String,
    /// What the type means here.
    pub kind: FieldType,
    /// `index`: may be searched.
    pub indexed: bool,
    /// `doc_values`: may be sorted by and aggregated.
    pub doc_values: bool,
    /// `ignore_above` of keywords: longer values (in characters) are not indexed.
    pub ignore_above: Option<usize>,
    /// `analyzer` (`standard` when not set).
    pub analyzer: String,
    /// `search_analyzer` (the analyzer when not set).
    pub search_analyzer: String,
    /// `null_value`.
    pub null_value: Option<Value>,
    /// `coerce`.
    pub coerce: bool,
    /// `ignore_malformed`.
    pub ignore_malformed: bool,
    /// `copy_to` targets.
    pub copy_to: Vec<String>,
    /// Text slot in the schema; `None` on a text field means the overflow JSON field.
    pub slot: Option<usize>,
}

impl FieldMapping {
    /// A number as a floating point field keeps it: `float` and `half_float` have fewer digits than `double`, and
    /// `scaled_float` keeps multiples of its factor. Queries round their bounds by the same rule.
    pub fn round(&self, number: f64) -> f64 {
        match (&self.kind, self.type_name.as_str()) {
            (FieldType::Float { scaling_factor: Some(factor) }, _) => (number * factor).round() / factor,
            #[expect(clippy::cast_possible_truncation, reason = "this is what the type does")]
            (FieldType::Float { .. }, "float") => f64::from(number as f32),
            (FieldType::Float { .. }, "half_float") => half(number),
            _ => number,
        }
    }
}

/// The nearest number with 11 significant bits; infinite beyond 65504.
fn half(number: f64) -> f64 {
    if number == 0.0 || !number.is_finite() {
        return number;
    }
    // Below 2^-14 the step no longer shrinks.
    let exponent = number.abs().log2().floor().max(-14.0);
    let step = (exponent - 10.0).exp2();
    let rounded = (number / step).round_ties_even() * step;
    if rounded.abs() > 65504.0 { f64::INFINITY.copysign(number) } else { rounded }
}

/// Fields by full path: what queries, sorts and aggregations look things up in. `mapping::Mapping` holds one of
/// these beside the tree it prints.
#[derive(Debug, Clone, Default)]
pub struct FieldTable {
    /// Leaves and multi-fields.
    pub fields: BTreeMap<String, Arc<FieldMapping>>,
    /// Paths of objects (for `exists` and wildcards).
    pub objects: std::collections::BTreeSet<String>,
}

impl FieldTable {
    /// The field at `path`, through `alias` fields.
    pub fn get(&self, path: &str) -> Option<&Arc<FieldMapping>> {
        let field = self.fields.get(path)?;
        match &field.kind {
            FieldType::Alias { path } => self.fields.get(path),
            _ => Some(field),
        }
    }
}
