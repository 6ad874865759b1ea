//! Queries for all terms of a field that an automaton accepts, each hit with score 1.

use std::fmt;
use std::sync::Arc;

use tantivy::Term;
use tantivy::query::{AutomatonWeight, EnableScoring, Query, Weight};
use tantivy::schema::{Field, Type};
use tantivy_fst::{Automaton, Regex};

use super::QueryContext;
use super::field::Named;
use super::{lucene_regex, scoring};
use crate::error::{ApiError, Result};
use crate::mapping::{FieldMapping, FieldType};

/// What precedes the strings of a field in the term dictionary: nothing for a text slot, path and type byte in a JSON
/// field.
#[derive(Debug, Clone)]
pub struct Dictionary {
    /// The tantivy field.
    pub field: Field,
    /// Bytes before each string.
    pub prefix: Vec<u8>,
}

impl Dictionary {
    /// Where the strings of `field` are.
    pub fn of(context: &QueryContext<'_>, field: &FieldMapping) -> Self {
        let empty = context.string_term(field, "");
        let prefix =
            if empty.typ() == Type::Json { empty.serialized_value_bytes().to_vec() } else { Vec::new() };
        Self { field: empty.field(), prefix }
    }

    /// The term for a string.
    pub fn term(&self, text: &str) -> Term {
        self.bytes_term(text.as_bytes())
    }

    fn bytes_term(&self, text: &[u8]) -> Term {
        let mut bytes = self.prefix.clone();
        bytes.extend_from_slice(text);
        if self.prefix.is_empty() {
            let mut term = Term::from_field_text(self.field, "");
            term.append_bytes(&bytes);
            return term;
        }
        // The first byte up to the path's end is the path; the constructor only sets field and type.
        let mut term = Term::from_field_json_path(self.field, "", false);
        term.truncate_value_bytes(0);
        term.append_bytes(&bytes);
        term
    }

    /// The first term after all strings that start with `text`, if there can be one.
    pub fn end_of_prefix(&self, text: &str) -> Option<Term> {
        let mut bytes = self.prefix.clone();
        bytes.extend_from_slice(text.as_bytes());
        while let Some(last) = bytes.pop() {
            if last < u8::MAX {
                bytes.push(last + 1);
                let mut term = if self.prefix.is_empty() {
                    Term::from_field_text(self.field, "")
                } else {
                    Term::from_field_json_path(self.field, "", false)
                };
                term.truncate_value_bytes(0);
                term.append_bytes(&bytes);
                return Some(term);
            }
        }
        None
    }
}

/// An automaton over whole dictionary keys: first the prefix, then what the inner one accepts.
pub struct Prefixed<A> {
    prefix: Vec<u8>,
    inner: Arc<A>,
}

impl<A> Prefixed<A> {
    /// Puts `dictionary`'s prefix before `inner`.
    pub fn new(dictionary: &Dictionary, inner: Arc<A>) -> Self {
        Self { prefix: dictionary.prefix.clone(), inner }
    }
}

/// State of [`Prefixed`].
#[derive(Clone)]
pub enum PrefixedState<S> {
    /// That many bytes of the prefix have been read.
    Prefix(usize),
    /// The prefix is behind.
    Inner(S),
    /// The key has another prefix.
    Dead,
}

impl<A: Automaton> Automaton for Prefixed<A> {
    type State = PrefixedState<A::State>;

    fn start(&self) -> Self::State {
        if self.prefix.is_empty() {
            PrefixedState::Inner(self.inner.start())
        } else {
            PrefixedState::Prefix(0)
        }
    }

    fn is_match(&self, state: &Self::State) -> bool {
        matches!(state, PrefixedState::Inner(state) if self.inner.is_match(state))
    }

    fn can_match(&self, state: &Self::State) -> bool {
        match state {
            PrefixedState::Prefix(_) => true,
            PrefixedState::Inner(state) => self.inner.can_match(state),
            PrefixedState::Dead => false,
        }
    }

    fn accept(&self, state: &Self::State, byte: u8) -> Self::State {
        match state {
            PrefixedState::Prefix(read) if self.prefix[*read] == byte => {
                if read + 1 == self.prefix.len() {
                    PrefixedState::Inner(self.inner.start())
                } else {
                    PrefixedState::Prefix(read + 1)
                }
            }
            PrefixedState::Inner(state) => PrefixedState::Inner(self.inner.accept(state, byte)),
            PrefixedState::Prefix(_) | PrefixedState::Dead => PrefixedState::Dead,
        }
    }
}

/// All terms an automaton accepts.
#[derive(Clone)]
struct AutomatonQuery<A> {
    dictionary: Dictionary,
    automaton: Arc<A>,
}

impl<A> fmt::Debug for AutomatonQuery<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AutomatonQuery").field("dictionary", &self.dictionary).finish_non_exhaustive()
    }
}

impl<A> Query for AutomatonQuery<A>
where
    A: Automaton + Send + Sync + 'static,
    A::State: Clone,
    Self: Clone,
{
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        let automaton = Prefixed::new(&self.dictionary, self.automaton.clone());
        Ok(Box::new(AutomatonWeight::new(self.dictionary.field, automaton)))
    }
}

/// `Regex` is not `Clone`; behind an `Arc` it need not be.
#[derive(Clone)]
struct SharedRegex(Arc<Regex>);

impl Automaton for SharedRegex {
    type State = <Regex as Automaton>::State;

    fn start(&self) -> Self::State {
        self.0.start()
    }

    fn is_match(&self, state: &Self::State) -> bool {
        self.0.is_match(state)
    }

    fn can_match(&self, state: &Self::State) -> bool {
        self.0.can_match(state)
    }

    fn accept(&self, state: &Self::State, byte: u8) -> Self::State {
        self.0.accept(state, byte)
    }
}

/// Documents with a term in `field` that the whole of `pattern` (in Rust's syntax) matches; score 1.
pub fn regex_query(
    context: &QueryContext<'_>,
    field: &FieldMapping,
    pattern: &str,
) -> Result<Box<dyn Query>> {
    let regex = Regex::new(pattern).map_err(|error| {
        context.failed(&ApiError::illegal_argument(format!(
            "pattern [{pattern}] is too complex or not supported: {error}"
        )))
    })?;
    let automaton = Arc::new(SharedRegex(Arc::new(regex)));
    Ok(scoring::constant(Box::new(AutomatonQuery { dictionary: Dictionary::of(context, field), automaton })))
}

/// A `term` lookup that ignores case.
pub fn exact_ignoring_case(
    context: &QueryContext<'_>,
    field: &FieldMapping,
    text: &str,
) -> Result<Box<dyn Query>> {
    regex_query(context, field, &lucene_regex::ignoring_case(&lucene_regex::literal(text)))
}

/// The string field that a `prefix`, `wildcard`, `regexp` or `fuzzy` clause names.
pub enum StringField {
    /// Text or keyword.
    Field(Arc<FieldMapping>),
    /// `_index`.
    Index,
    /// No such field.
    Unmapped,
}

/// Looks `name` up; fields of other types are refused as Elasticsearch refuses them.
pub fn string_field(context: &QueryContext<'_>, query: &str, name: &str) -> Result<StringField> {
    match context.named(name) {
        Named::Unmapped => Ok(StringField::Unmapped),
        Named::Index => Ok(StringField::Index),
        Named::Id | Named::SeqNo => Err(no_strings(context, query, name, name)),
        Named::Mapped(field) => {
            if !matches!(field.kind, FieldType::Text | FieldType::Keyword) {
                return Err(no_strings(context, query, &field.path, &field.type_name));
            }
            context.check_searchable(&field)?;
            Ok(StringField::Field(field))
        }
    }
}

/// The refusal of a field without strings. Elasticsearch words it differently for each of these queries.
fn no_strings(context: &QueryContext<'_>, query: &str, name: &str, kind: &str) -> ApiError {
    let kinds = if matches!(query, "prefix" | "wildcard") {
        "keyword, text and wildcard"
    } else {
        "keyword and text"
    };
    let reason =
        format!("Can only use {query} queries on {kinds} fields - not on [{name}] which is of type [{kind}]");
    if query == "fuzzy" {
        context.failed(&ApiError::illegal_argument(reason))
    } else {
        context.refused(reason)
    }
}
