//! Analysis: text to tokens, as Elasticsearch's analyzers make them.
//!
//! An [`Analyzer`] is char filters, one tokenizer and token filters. Indexing uses [`tantivy_standard`] for the
//! `standard` analyzer (no allocation per token) and [`Analyzer::pre_tokenized`] for every other one; queries,
//! highlighting and `_analyze` use [`Analyzer::tokens`].

mod char_filter;
mod cjk;
mod delimiter;
mod filter;
mod grams;
mod languages;
mod porter;
mod settings;
mod standard;
mod tokenizer;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use serde_json::Value;
use tantivy::tokenizer::{PreTokenizedString, TextAnalyzer};

use crate::error::Result;
use char_filter::CharFilter;
pub use char_filter::Filtered;
use filter::TokenFilter;
pub use settings::{char_filter_from_value, filter_from_value, tokenizer_from_value};
use tokenizer::Tokenizer;

/// Joins the values of a multi-valued text field into one string for [`tantivy_standard`], which leaves a gap of
/// [`POSITION_GAP`] there. A Unicode noncharacter, so that no text holds it.
pub const VALUE_SEPARATOR: char = '\u{FFFF}';

/// Elasticsearch's `position_increment_gap`: phrases do not match across values.
pub const POSITION_GAP: usize = 100;

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The term.
    pub text: String,
    /// Position, from 0; stop words leave holes.
    pub position: usize,
    /// Positions the token spans (more than 1 in token graphs and shingles).
    pub position_length: usize,
    /// First byte in the original text.
    pub start: usize,
    /// Byte after the last one in the original text.
    pub end: usize,
    /// Lucene's token type, for example `<ALPHANUM>` or `word`.
    pub kind: &'static str,
}

impl Token {
    /// A token one position long.
    pub fn new(
        text: impl Into<String>,
        position: usize,
        start: usize,
        end: usize,
        kind: &'static str,
    ) -> Self {
        Self { text: text.into(), position, position_length: 1, start, end, kind }
    }
}

/// A chain of char filters, a tokenizer and token filters.
#[derive(Clone)]
pub struct Analyzer {
    name: String,
    char_filters: Vec<Arc<dyn CharFilter>>,
    tokenizer: Tokenizer,
    filters: Vec<Arc<dyn TokenFilter>>,
}

impl fmt::Debug for Analyzer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Analyzer").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Analyzer {
    /// Puts a chain together.
    pub fn new(
        name: &str,
        char_filters: Vec<Arc<dyn CharFilter>>,
        tokenizer: Tokenizer,
        filters: Vec<Arc<dyn TokenFilter>>,
    ) -> Self {
        Self { name: name.to_owned(), char_filters, tokenizer, filters }
    }

    /// Name in the mapping or the settings.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The tokens of `text`, in order, with offsets into `text`.
    pub fn tokens(&self, text: &str) -> Vec<Token> {
        let mut tokens = if self.char_filters.is_empty() {
            self.tokenizer.tokens(text)
        } else {
            let filtered = self
                .char_filters
                .iter()
                .fold(Filtered::unchanged(text), |filtered, filter| filtered.then(filter.as_ref()));
            let mut tokens = self.tokenizer.tokens(&filtered.text);
            for token in &mut tokens {
                token.start = filtered.original_start(token.start);
                token.end = filtered.original_end(token.end).max(token.start);
            }
            tokens
        };
        for filter in &self.filters {
            tokens = filter.apply(tokens);
        }
        tokens
    }

    /// `text` as one term, changed only by the filters that work on single characters (case, folding): what query
    /// strings do to the words of patterns.
    pub fn normalize(&self, text: &str) -> String {
        let token = Token::new(text, 0, 0, text.len(), "word");
        let tokens = self
            .filters
            .iter()
            .filter(|filter| filter.normalizes())
            .fold(vec![token], |tokens, filter| filter.apply(tokens));
        tokens.into_iter().next().map_or_else(|| text.to_owned(), |token| token.text)
    }

    /// The tokens of several values of one field, [`POSITION_GAP`] apart; offsets count from each value's own start.
    pub fn tokens_of_values<'a>(&self, values: impl IntoIterator<Item = &'a str>) -> Vec<Token> {
        let mut all: Vec<Token> = Vec::new();
        let mut next = 0;
        for value in values {
            let mut last = None;
            for mut token in self.tokens(value) {
                token.position += next;
                last = Some(last.unwrap_or(0).max(token.position));
                all.push(token);
            }
            if let Some(last) = last {
                next = last + 1 + POSITION_GAP;
            }
        }
        all
    }

    /// What the index stores for a text field with this analyzer: the tokens of all values, in position order.
    pub fn pre_tokenized<'a>(&self, values: impl IntoIterator<Item = &'a str>) -> PreTokenizedString {
        let mut tokens = self.tokens_of_values(values);
        // The position recorder of a posting list only goes forward.
        tokens.sort_by_key(|token| token.position);
        let tokens = tokens
            .into_iter()
            .map(|token| tantivy::tokenizer::Token {
                offset_from: token.start,
                offset_to: token.end,
                position: token.position,
                text: token.text,
                position_length: token.position_length,
            })
            .collect();
        PreTokenizedString { text: String::new(), tokens }
    }

    /// True if indexing may use [`tantivy_standard`] instead of [`Analyzer::pre_tokenized`].
    pub fn is_standard(&self) -> bool {
        // One of an index's settings may have the same name and do something else.
        ["standard", "default"].iter().any(|name| std::ptr::eq(self, &raw const *BUILT_IN[*name]))
    }
}

/// The `standard` analyzer for tantivy's indexing threads; values joined by [`VALUE_SEPARATOR`].
pub fn tantivy_standard() -> TextAnalyzer {
    TextAnalyzer::from(standard::StandardTokenizer::default())
}

/// The analyzers an index can name: the built-in ones and those of its settings.
#[derive(Debug, Clone, Default)]
pub struct Analyzers {
    custom: BTreeMap<String, Arc<Analyzer>>,
    components: settings::Components,
}

static BUILT_IN: LazyLock<BTreeMap<String, Arc<Analyzer>>> = LazyLock::new(|| {
    languages::built_in().into_iter().map(|analyzer| (analyzer.name.clone(), Arc::new(analyzer))).collect()
});

impl Analyzers {
    /// Only the built-in analyzers.
    pub fn builtin() -> Self {
        Self::default()
    }

    /// The built-in analyzers and those defined by `settings.index.analysis`.
    ///
    /// # Errors
    /// 400 naming the analyzer, tokenizer, filter or parameter that is unknown, badly typed or not supported.
    pub fn from_settings(analysis: &Value) -> Result<Self> {
        settings::parse(analysis)
    }

    /// The analyzer called `name`.
    pub fn get(&self, name: &str) -> Option<Arc<Analyzer>> {
        self.custom.get(name).or_else(|| BUILT_IN.get(name)).cloned()
    }

    /// The analyzer of fields whose mapping names none: `default` of the settings, else `standard`.
    pub fn default_analyzer(&self) -> Arc<Analyzer> {
        self.get("default").unwrap_or_else(|| BUILT_IN["standard"].clone())
    }

    /// Tokenizers, filters and char filters of the settings, which `_analyze` may name.
    pub fn components(&self) -> &settings::Components {
        &self.components
    }
}

#[cfg(test)]
mod tests;
