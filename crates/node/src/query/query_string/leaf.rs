//! What query strings find, over one or several fields.

use serde_json::Value;
use tantivy::query::Query;

use super::syntax::Find;
use crate::dates::TimeZone;
use crate::error::{ApiError, Result};
use crate::mapping::{FieldMapping, FieldType};
use crate::query::automaton::{StringField, string_field};
use crate::query::dis_max::best_of;
use crate::query::exists::exists_query;
use crate::query::expansion::{Fuzziness, Fuzzy, fuzzy_query};
use crate::query::lucene_regex::Flags;
use crate::query::marks::What;
use crate::query::multi_match::{Kind, over_fields};
use crate::query::prefix::prefix_query;
use crate::query::range::{Limits, range_marks, range_query};
use crate::query::regexp::{regexp_mark, regexp_query};
use crate::query::text::{Matching, Phrase, fuzzy_mark};
use crate::query::wildcard::{wildcard_mark, wildcard_query};
use crate::query::{Marks, QueryContext, scoring};

/// Options that hold for all leaves of a query string.
#[derive(Debug, Clone)]
pub struct LeafOptions {
    /// For words.
    pub matching: Matching,
    /// `phrase_slop`.
    pub phrase_slop: u32,
    /// `fuzziness` of `word~`, and the other parameters.
    pub fuzzy: Fuzzy,
    /// `time_zone` of ranges.
    pub zone: Option<TimeZone>,
    /// `type`.
    pub kind: Kind,
    /// How much the fields other than the best count.
    pub tie_breaker: f32,
    /// `lenient`.
    pub lenient: bool,
    /// `analyze_wildcard`: the text before a `*` is cut into tokens, the last of which is the prefix.
    pub analyze_wildcard: bool,
}

/// The query for one leaf over `fields`; `None` if the text has no tokens at all.
pub fn compile(
    context: &QueryContext<'_>,
    find: &Find,
    fields: &[(String, f32)],
    options: &LeafOptions,
) -> Result<Option<Box<dyn Query>>> {
    match find {
        Find::Exists(field) => return Ok(Some(exists_query(context, field))),
        Find::Words { text, .. } => {
            if no_tokens(context, fields, text, options)? {
                return Ok(None);
            }
            let text = Value::from(text.as_str());
            let phrase = Phrase { lenient: options.lenient, ..Phrase::default() };
            let query = over_fields(
                context,
                fields,
                &text,
                options.kind,
                &options.matching,
                &phrase,
                Some(options.tie_breaker),
            )?;
            return Ok(Some(query));
        }
        Find::Phrase(text, _) if no_tokens(context, fields, text, options)? => return Ok(None),
        _ => {}
    }
    let mut queries = Vec::with_capacity(fields.len());
    for (name, boost) in fields {
        match in_field(context, find, name, options) {
            Ok(query) => queries.push(scoring::boosted(query, *boost)),
            Err(error) if !options.lenient => return Err(error),
            Err(_) => {}
        }
    }
    // Phrases count in their best field only, even where words add up.
    let tie_breaker = match (find, options.kind) {
        (Find::Phrase(..), Kind::MostFields) => 0.0,
        _ => options.tie_breaker,
    };
    Ok(Some(best_of(queries, tie_breaker)))
}

/// True if every text field's analyzer makes nothing of the text.
fn no_tokens(
    context: &QueryContext<'_>,
    fields: &[(String, f32)],
    text: &str,
    options: &LeafOptions,
) -> Result<bool> {
    let mut any = false;
    for (name, _) in fields {
        match context.table.get(name) {
            Some(field) if field.kind == FieldType::Text => {
                any = true;
                let analyzer = match &options.matching.analyzer {
                    Some(name) => context.analyzer_named("query_string", name)?,
                    None => context.search_analyzer(field)?,
                };
                if !analyzer.tokens(text).is_empty() {
                    return Ok(false);
                }
            }
            _ => return Ok(false),
        }
    }
    Ok(any)
}

/// Words of patterns are not cut into tokens, but lower-cased and folded as the field's analyzer does.
fn normalized(context: &QueryContext<'_>, name: &str, text: &str) -> Result<String> {
    match context.table.get(name) {
        Some(field) if field.kind == FieldType::Text => Ok(context.search_analyzer(field)?.normalize(text)),
        _ => Ok(text.to_owned()),
    }
}

fn in_field(
    context: &QueryContext<'_>,
    find: &Find,
    name: &str,
    options: &LeafOptions,
) -> Result<Box<dyn Query>> {
    match find {
        Find::Words { text, .. } => options.matching.compile(context, name, &Value::from(text.as_str())),
        Find::Phrase(text, slop) => {
            phrase(options, *slop).compile(context, name, &Value::from(text.as_str()))
        }
        Find::Wildcard(pattern) if pattern == "*" => Ok(exists_query(context, name)),
        Find::Wildcard(pattern) => wildcard_query(context, name, &normalized(context, name, pattern)?, false),
        Find::Prefix(text) if options.analyze_wildcard => analyzed_prefix(context, name, text, options),
        Find::Prefix(text) => prefix_query(context, name, &normalized(context, name, text)?, false),
        Find::Regex(pattern) => {
            regexp_query(context, name, &normalized(context, name, pattern)?, Flags::ALL, false)
        }
        Find::Fuzzy(word, amount) => fuzzy_in_field(context, name, word, *amount, options),
        Find::Range(..) => range_query(context, name, &limits(context, find, name, options)?),
        Find::Exists(field) => Ok(exists_query(context, field)),
    }
}

/// The words before a `*`: all but the last as words, the last as a prefix.
fn analyzed_prefix(
    context: &QueryContext<'_>,
    name: &str,
    text: &str,
    options: &LeafOptions,
) -> Result<Box<dyn Query>> {
    let text_field = context.table.get(name).is_some_and(|field| field.kind == FieldType::Text);
    if !text_field {
        return prefix_query(context, name, text, false);
    }
    let matching = Matching { last_is_prefix: true, ..options.matching.clone() };
    matching.compile(context, name, &Value::from(text))
}

fn phrase(options: &LeafOptions, slop: Option<u32>) -> Phrase {
    Phrase {
        slop: slop.unwrap_or(options.phrase_slop),
        analyzer: options.matching.analyzer.clone(),
        lenient: options.lenient,
        ..Phrase::default()
    }
}

fn fuzzy_of(options: &LeafOptions, amount: Option<f32>) -> Fuzzy {
    let fuzziness = match amount {
        // Only whole edits up to 2 exist; Lucene cuts the number.
        Some(amount) if amount >= 2.0 => Fuzziness::Edits(2),
        Some(amount) if amount >= 1.0 => Fuzziness::Edits(1),
        Some(_) => Fuzziness::Edits(0),
        None => options.fuzzy.fuzziness,
    };
    Fuzzy { fuzziness, ..options.fuzzy }
}

fn fuzzy_in_field(
    context: &QueryContext<'_>,
    name: &str,
    word: &str,
    amount: Option<f32>,
    options: &LeafOptions,
) -> Result<Box<dyn Query>> {
    match string_field(context, "fuzzy", name)? {
        StringField::Field(field) => {
            fuzzy_query(context, &field, &normalized(context, name, word)?, &fuzzy_of(options, amount))
        }
        StringField::Index | StringField::Unmapped => Ok(scoring::none()),
    }
}

fn limits(context: &QueryContext<'_>, find: &Find, name: &str, options: &LeafOptions) -> Result<Limits> {
    let Find::Range(lower, upper) = find else {
        return Err(ApiError::internal("not a range"));
    };
    let value = |text: &String| normalized(context, name, text).map(Value::from);
    let bound = |bound: &std::ops::Bound<String>| -> Result<std::ops::Bound<Value>> {
        Ok(match bound {
            std::ops::Bound::Included(text) => std::ops::Bound::Included(value(text)?),
            std::ops::Bound::Excluded(text) => std::ops::Bound::Excluded(value(text)?),
            std::ops::Bound::Unbounded => std::ops::Bound::Unbounded,
        })
    };
    Ok(Limits { lower: bound(lower)?, upper: bound(upper)?, format: None, zone: options.zone.clone() })
}

/// What highlighting looks for in one field.
pub fn marks(
    context: &QueryContext<'_>,
    find: &Find,
    field: &FieldMapping,
    options: &LeafOptions,
    marks: &mut Marks,
) -> Result<()> {
    let name = field.path.as_str();
    let what = match find {
        Find::Words { text, .. } => {
            return options.matching.marks(context, name, &Value::from(text.as_str()), marks);
        }
        Find::Phrase(text, slop) => {
            return phrase(options, *slop).marks(context, name, &Value::from(text.as_str()), marks);
        }
        Find::Exists(_) => return Ok(()),
        Find::Wildcard(pattern) if pattern == "*" => return Ok(()),
        Find::Wildcard(pattern) => wildcard_mark(&normalized(context, name, pattern)?, false),
        Find::Prefix(text) => {
            let start = normalized(context, name, text)?;
            Some(What::matching(move |token| token.starts_with(&start)))
        }
        Find::Regex(pattern) => regexp_mark(&normalized(context, name, pattern)?, Flags::ALL, false)?,
        Find::Fuzzy(word, amount) => {
            Some(fuzzy_mark(normalized(context, name, word)?, fuzzy_of(options, *amount)))
        }
        Find::Range(..) => {
            range_marks(context, name, &limits(context, find, name, options)?, marks);
            return Ok(());
        }
    };
    if let Some(what) = what {
        marks.add(context, name, what);
    }
    Ok(())
}

/// The single words of a text in one text field, each as its own query: neighbouring words of a query string are
/// clauses of the query around them.
pub fn single_words(
    context: &QueryContext<'_>,
    find: &Find,
    fields: &[(String, f32)],
    options: &LeafOptions,
) -> Result<Option<Vec<Box<dyn Query>>>> {
    let (Find::Words { text, several: true }, [(name, boost)]) = (find, fields) else { return Ok(None) };
    if !context.table.get(name).is_some_and(|field| field.kind == FieldType::Text) {
        return Ok(None);
    }
    let words = options.matching.words(context, name, text)?;
    Ok(Some(words.into_iter().map(|query| scoring::boosted(query, *boost)).collect()))
}
