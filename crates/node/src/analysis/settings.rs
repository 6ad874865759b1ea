//! Analyzers from `settings.index.analysis`.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use regex::Regex;
use serde_json::{Map, Value};

use super::char_filter::{CharFilter, HtmlStrip, Mapping, PatternReplace};
use super::delimiter::WordDelimiter;
use super::filter::{self, AsciiFolding, Keep, Length, Limit, Nothing, Stop, StopWords, TokenFilter, Unique};
use super::grams::{GramSize, Grams, Shingles};
use super::standard::MAX_TOKEN_LENGTH;
use super::tokenizer::{CharClass, Tokenizer};
use super::{Analyzer, Analyzers, cjk, languages};
use crate::error::{ApiError, Result};

/// Parts of analyzers that settings define under a name.
#[derive(Debug, Clone, Default)]
pub struct Components {
    tokenizers: BTreeMap<String, Tokenizer>,
    filters: BTreeMap<String, Arc<dyn TokenFilter>>,
    char_filters: BTreeMap<String, Arc<dyn CharFilter>>,
}

impl Components {
    /// A tokenizer of the settings or a built-in one with its defaults.
    pub fn tokenizer(&self, name: &str) -> Option<Tokenizer> {
        let defined = self.tokenizers.get(name).cloned();
        defined.or_else(|| tokenizer(name, &mut Parameters::none(name)).ok())
    }

    /// A token filter of the settings or a built-in one with its defaults.
    pub fn filter(&self, name: &str) -> Option<Arc<dyn TokenFilter>> {
        let defined = self.filters.get(name).cloned();
        defined.or_else(|| token_filter(name, &mut Parameters::none(name)).ok())
    }

    /// A char filter of the settings or a built-in one with its defaults.
    pub fn char_filter(&self, name: &str) -> Option<Arc<dyn CharFilter>> {
        let defined = self.char_filters.get(name).cloned();
        defined.or_else(|| char_filter(name, &mut Parameters::none(name)).ok())
    }
}

/// See [`Analyzers::from_settings`].
pub fn parse(analysis: &Value) -> Result<Analyzers> {
    let Value::Object(sections) = analysis else {
        return Err(ApiError::illegal_argument("[analysis] must be an object"));
    };
    let mut components = Components::default();
    let mut analyzers = Map::new();
    for (section, definitions) in sections {
        let definitions = object(definitions, &format!("analysis.{section}"))?;
        for (name, definition) in definitions {
            let definition = object(definition, &format!("analysis.{section}.{name}"))?;
            match section.as_str() {
                "tokenizer" => {
                    components
                        .tokenizers
                        .insert(name.clone(), defined(name, definition, "tokenizer", tokenizer)?);
                }
                "filter" => {
                    components
                        .filters
                        .insert(name.clone(), defined(name, definition, "filter", token_filter)?);
                }
                "char_filter" => {
                    components
                        .char_filters
                        .insert(name.clone(), defined(name, definition, "char_filter", char_filter)?);
                }
                "analyzer" => {
                    analyzers.insert(name.clone(), Value::Object(definition.clone()));
                }
                other => {
                    return Err(ApiError::illegal_argument(format!("[analysis.{other}] is not supported")));
                }
            }
        }
    }
    let mut custom = BTreeMap::new();
    for (name, definition) in &analyzers {
        let definition = object(definition, name)?;
        custom.insert(name.clone(), Arc::new(analyzer(name, definition, &components)?));
    }
    Ok(Analyzers { custom, components })
}

/// The tokenizer an `_analyze` request describes: a name, or an object with `type`.
pub fn tokenizer_from_value(value: &Value, components: &Components) -> Result<Tokenizer> {
    match value {
        Value::String(name) => components.tokenizer(name).ok_or_else(|| not_found("tokenizer", name)),
        Value::Object(definition) => anonymous(definition, "tokenizer", tokenizer),
        _ => Err(ApiError::illegal_argument("[tokenizer] must be a name or an object")),
    }
}

/// The token filter an `_analyze` request describes.
pub fn filter_from_value(value: &Value, components: &Components) -> Result<Arc<dyn TokenFilter>> {
    match value {
        Value::String(name) => components.filter(name).ok_or_else(|| not_found("filter", name)),
        Value::Object(definition) => anonymous(definition, "filter", token_filter),
        _ => Err(ApiError::illegal_argument("[filter] must hold names or objects")),
    }
}

/// The char filter an `_analyze` request describes.
pub fn char_filter_from_value(value: &Value, components: &Components) -> Result<Arc<dyn CharFilter>> {
    match value {
        Value::String(name) => components.char_filter(name).ok_or_else(|| not_found("char_filter", name)),
        Value::Object(definition) => anonymous(definition, "char_filter", char_filter),
        _ => Err(ApiError::illegal_argument("[char_filter] must hold names or objects")),
    }
}

/// A component that a request describes in place.
fn anonymous<T>(
    definition: &Map<String, Value>,
    what: &str,
    build: fn(&str, &mut Parameters<'_>) -> Result<T>,
) -> Result<T> {
    let mut parameters = Parameters::of("__anonymous__", definition);
    let kind = parameters.text("type")?.unwrap_or_default();
    let component = build(&kind, &mut parameters)
        .map_err(|error| if error.reason == UNKNOWN_TYPE { not_found(what, &kind) } else { error })?;
    parameters.finish()?;
    Ok(component)
}

fn not_found(what: &str, name: &str) -> ApiError {
    ApiError::illegal_argument(format!("failed to find global {what} under [{name}]"))
}

fn object<'a>(value: &'a Value, path: &str) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| ApiError::illegal_argument(format!("[{path}] must be an object")))
}

/// A component by its `type`, all its parameters understood.
fn defined<T>(
    name: &str,
    definition: &Map<String, Value>,
    what: &str,
    build: fn(&str, &mut Parameters<'_>) -> Result<T>,
) -> Result<T> {
    let mut parameters = Parameters::of(name, definition);
    let Some(kind) = parameters.text("type")? else {
        return Err(ApiError::illegal_argument(format!(
            "{what} [{name}] must specify either an analyzer type, or a tokenizer"
        )));
    };
    let component = build(&kind, &mut parameters).map_err(|error| {
        if error.reason == UNKNOWN_TYPE {
            ApiError::illegal_argument(format!("Unknown {what} type [{kind}] for [{name}]"))
        } else {
            error
        }
    })?;
    parameters.finish()?;
    Ok(component)
}

/// Marks the error of a `type` nobody knows until the caller adds the names.
const UNKNOWN_TYPE: &str = "unknown type";

fn unknown_type() -> ApiError {
    ApiError::illegal_argument(UNKNOWN_TYPE)
}

fn analyzer(name: &str, definition: &Map<String, Value>, components: &Components) -> Result<Analyzer> {
    let mut parameters = Parameters::of(name, definition);
    let kind = parameters.text("type")?.unwrap_or_else(|| "custom".into());
    let built = match kind.as_str() {
        "custom" => {
            let missing = |what: &str, part: &str| {
                ApiError::illegal_argument(format!(
                    "Custom Analyzer [{name}] failed to find {what} under name [{part}]"
                ))
            };
            let Some(tokenizer) = parameters.text("tokenizer")? else {
                return Err(ApiError::illegal_argument(format!(
                    "analyzer [{name}] must specify either an analyzer type, or a tokenizer"
                )));
            };
            let tokenizer =
                components.tokenizer(&tokenizer).ok_or_else(|| missing("tokenizer", &tokenizer))?;
            let mut filters = Vec::new();
            for part in parameters.list("filter")?.unwrap_or_default() {
                filters.push(components.filter(&part).ok_or_else(|| missing("filter", &part))?);
            }
            let mut char_filters = Vec::new();
            for part in parameters.list("char_filter")?.unwrap_or_default() {
                char_filters
                    .push(components.char_filter(&part).ok_or_else(|| missing("char_filter", &part))?);
            }
            Analyzer::new(name, char_filters, tokenizer, filters)
        }
        "standard" => {
            let max_length = parameters.number("max_token_length")?.unwrap_or(MAX_TOKEN_LENGTH);
            let words = stop_words(&mut parameters, "_none_")?;
            let stop = Stop { words, ignore_case: false };
            let filters: Vec<Arc<dyn TokenFilter>> = vec![Arc::new(filter::lowercase()), Arc::new(stop)];
            Analyzer::new(name, Vec::new(), Tokenizer::Standard { max_length }, filters)
        }
        "stop" => {
            let words = stop_words(&mut parameters, "_english_")?;
            let stop = Stop { words, ignore_case: false };
            Analyzer::new(name, Vec::new(), Tokenizer::Letter { lowercase: true }, vec![Arc::new(stop)])
        }
        "pattern" => {
            let flags = parameters.text("flags")?;
            let pattern =
                regex(&parameters.text("pattern")?.unwrap_or_else(|| r"\W+".into()), flags.as_deref())?;
            let mut filters: Vec<Arc<dyn TokenFilter>> = Vec::new();
            if parameters.boolean("lowercase")?.unwrap_or(true) {
                filters.push(Arc::new(filter::lowercase()));
            }
            filters
                .push(Arc::new(Stop { words: stop_words(&mut parameters, "_none_")?, ignore_case: false }));
            Analyzer::new(name, Vec::new(), Tokenizer::Pattern { pattern, group: None }, filters)
        }
        built_in => {
            let Some(found) = super::BUILT_IN.get(built_in).filter(|_| built_in != "default") else {
                return Err(ApiError::illegal_argument(format!(
                    "Unknown analyzer type [{built_in}] for [{name}]"
                )));
            };
            Analyzer { name: name.to_owned(), ..found.as_ref().clone() }
        }
    };
    parameters.finish()?;
    Ok(built)
}

fn stop_words(parameters: &mut Parameters<'_>, default: &str) -> Result<StopWords> {
    let given = parameters.list("stopwords")?.unwrap_or_else(|| vec![default.to_owned()]);
    if let [name] = given.as_slice()
        && name.starts_with('_')
        && name.ends_with('_')
    {
        return languages::stop_words(name)
            .ok_or_else(|| ApiError::illegal_argument(format!("stop words [{name}] are not supported")));
    }
    Ok(StopWords::Words(given.into_iter().collect()))
}

fn tokenizer(kind: &str, parameters: &mut Parameters<'_>) -> Result<Tokenizer> {
    Ok(match kind {
        "standard" => Tokenizer::Standard {
            max_length: parameters.number("max_token_length")?.unwrap_or(MAX_TOKEN_LENGTH),
        },
        "whitespace" => Tokenizer::Whitespace {
            max_length: parameters.number("max_token_length")?.unwrap_or(MAX_TOKEN_LENGTH),
        },
        "keyword" => Tokenizer::Keyword,
        "letter" => Tokenizer::Letter { lowercase: false },
        "lowercase" => Tokenizer::Letter { lowercase: true },
        "ngram" | "edge_ngram" => {
            let edge = kind == "edge_ngram";
            let size = gram_size(parameters, 2)?;
            let mut classes = Vec::new();
            for class in parameters.list("token_chars")?.unwrap_or_default() {
                classes.push(match class.as_str() {
                    "letter" => CharClass::Letter,
                    "digit" => CharClass::Digit,
                    "whitespace" => CharClass::Whitespace,
                    "punctuation" => CharClass::Punctuation,
                    "symbol" => CharClass::Symbol,
                    "custom" => CharClass::Custom(parameters.text("custom_token_chars")?.unwrap_or_default()),
                    other => {
                        return Err(ApiError::illegal_argument(format!("Unknown token type: '{other}', must be one of [letter, digit, whitespace, punctuation, symbol, custom]")));
                    }
                });
            }
            Tokenizer::Ngram { size, classes, edge }
        }
        "pattern" => {
            let flags = parameters.text("flags")?;
            let pattern =
                regex(&parameters.text("pattern")?.unwrap_or_else(|| r"\W+".into()), flags.as_deref())?;
            let group = parameters.integer("group")?.unwrap_or(-1);
            Tokenizer::Pattern { pattern, group: usize::try_from(group).ok() }
        }
        "path_hierarchy" => {
            let delimiter = parameters.text("delimiter")?.and_then(|text| text.chars().next()).unwrap_or('/');
            Tokenizer::PathHierarchy { delimiter }
        }
        _ => return Err(unknown_type()),
    })
}

fn gram_size(parameters: &mut Parameters<'_>, default_max: usize) -> Result<GramSize> {
    let min = parameters.number("min_gram")?.unwrap_or(1);
    let max = parameters.number("max_gram")?.unwrap_or(default_max);
    if min < 1 || min > max {
        return Err(ApiError::illegal_argument(format!(
            "minGram must be between 1 and maxGram [{max}], got [{min}]"
        )));
    }
    Ok(GramSize { min, max })
}

fn char_filter(kind: &str, parameters: &mut Parameters<'_>) -> Result<Arc<dyn CharFilter>> {
    Ok(match kind {
        "html_strip" => {
            Arc::new(HtmlStrip { escaped_tags: parameters.list("escaped_tags")?.unwrap_or_default() })
        }
        "mapping" => {
            let mut pairs = Vec::new();
            for line in parameters.list("mappings")?.unwrap_or_default() {
                let Some((from, to)) = line.split_once("=>") else {
                    return Err(ApiError::illegal_argument(format!("Invalid Mapping Rule : [{line}]")));
                };
                pairs.push((from.trim().to_owned(), to.trim().to_owned()));
            }
            if pairs.iter().any(|(from, _)| from.is_empty()) || pairs.is_empty() {
                return Err(ApiError::illegal_argument(
                    "mapping requires either `mappings` or `mappings_path` to be configured",
                ));
            }
            pairs.sort_by_key(|(from, _)| std::cmp::Reverse(from.len()));
            Arc::new(Mapping { pairs })
        }
        "pattern_replace" => {
            let flags = parameters.text("flags")?;
            let pattern = required(parameters, "pattern")?;
            let replacement = java_replacement(&parameters.text("replacement")?.unwrap_or_default());
            Arc::new(PatternReplace { pattern: regex(&pattern, flags.as_deref())?, replacement })
        }
        _ => return Err(unknown_type()),
    })
}

fn required(parameters: &mut Parameters<'_>, key: &str) -> Result<String> {
    parameters
        .text(key)?
        .ok_or_else(|| ApiError::illegal_argument(format!("{key} is missing for [{}]", parameters.name)))
}

fn token_filter(kind: &str, parameters: &mut Parameters<'_>) -> Result<Arc<dyn TokenFilter>> {
    Ok(match kind {
        "lowercase" => Arc::new(filter::lowercase()),
        "uppercase" => Arc::new(filter::uppercase()),
        "trim" => Arc::new(filter::trim()),
        "reverse" => Arc::new(filter::reverse()),
        "apostrophe" => Arc::new(filter::apostrophe()),
        "decimal_digit" => Arc::new(filter::decimal_digit()),
        "cjk_width" => Arc::new(cjk::width()),
        "porter_stem" => Arc::new(filter::porter_stem()),
        "flatten_graph" => Arc::new(Nothing),
        "asciifolding" => {
            Arc::new(AsciiFolding::new(parameters.boolean("preserve_original")?.unwrap_or(false)))
        }
        "truncate" => Arc::new(filter::truncate(parameters.number("length")?.unwrap_or(10))),
        "length" => Arc::new(Length {
            min: parameters.number("min")?.unwrap_or(0),
            max: parameters.number("max")?.unwrap_or(usize::MAX),
        }),
        "limit" => Arc::new(Limit { count: parameters.number("max_token_count")?.unwrap_or(1) }),
        "unique" => Arc::new(Unique {
            only_on_same_position: parameters.boolean("only_on_same_position")?.unwrap_or(false),
        }),
        "remove_duplicates" => Arc::new(Unique { only_on_same_position: true }),
        "keep" => Arc::new(Keep {
            words: parameters.list("keep_words")?.unwrap_or_default().into_iter().collect(),
            ignore_case: parameters.boolean("keep_words_case")?.unwrap_or(false),
        }),
        "stop" => {
            let words = stop_words(parameters, "_english_")?;
            Arc::new(Stop { words, ignore_case: parameters.boolean("ignore_case")?.unwrap_or(false) })
        }
        "stemmer" => {
            let language =
                parameters.text("language")?.or(parameters.text("name")?).unwrap_or_else(|| "porter".into());
            let stemmer = languages::stemmer(&language).ok_or_else(|| {
                ApiError::illegal_argument(format!("Invalid stemmer class specified: {language}"))
            })?;
            Arc::new(stemmer)
        }
        "snowball" => {
            let language = parameters.text("language")?.unwrap_or_else(|| "English".into());
            let stemmer = languages::snowball(&language).ok_or_else(|| {
                ApiError::illegal_argument(format!("Invalid stemmer class specified: {language}"))
            })?;
            Arc::new(stemmer)
        }
        "elision" => {
            let articles = parameters.list("articles")?.unwrap_or_else(languages::french_articles);
            let ignore_case = parameters.boolean("articles_case")?.unwrap_or(false);
            let articles: HashSet<String> = articles
                .into_iter()
                .map(|article| if ignore_case { article.to_lowercase() } else { article })
                .collect();
            Arc::new(filter::elision(articles, ignore_case))
        }
        "ngram" | "edge_ngram" => {
            if let Some(side) = parameters.text("side")?
                && side != "front"
            {
                return Err(ApiError::illegal_argument(format!(
                    "[edge_ngram] side [{side}] is not supported"
                )));
            }
            Arc::new(Grams {
                size: gram_size(parameters, 2)?,
                edge: kind == "edge_ngram",
                preserve_original: parameters.boolean("preserve_original")?.unwrap_or(false),
            })
        }
        "shingle" => Arc::new(Shingles {
            min: parameters.number("min_shingle_size")?.unwrap_or(2),
            max: parameters.number("max_shingle_size")?.unwrap_or(2),
            output_unigrams: parameters.boolean("output_unigrams")?.unwrap_or(true),
            unigrams_if_none: parameters.boolean("output_unigrams_if_no_shingles")?.unwrap_or(false),
            separator: parameters.text("token_separator")?.unwrap_or_else(|| " ".into()),
            filler: parameters.text("filler_token")?.unwrap_or_else(|| "_".into()),
        }),
        "cjk_bigram" => {
            let mut ignored = Vec::new();
            for script in parameters.list("ignored_scripts")?.unwrap_or_default() {
                ignored.push(match script.as_str() {
                    "han" => "<IDEOGRAPHIC>",
                    "hangul" => "<HANGUL>",
                    "hiragana" => "<HIRAGANA>",
                    "katakana" => "<KATAKANA>",
                    other => {
                        return Err(ApiError::illegal_argument(format!(
                            "[cjk_bigram] unknown script [{other}]"
                        )));
                    }
                });
            }
            Arc::new(cjk::Bigrams {
                output_unigrams: parameters.boolean("output_unigrams")?.unwrap_or(false),
                ignored,
            })
        }
        "pattern_replace" => {
            let pattern = required(parameters, "pattern")?;
            let flags = parameters.text("flags")?;
            let replacement = java_replacement(&parameters.text("replacement")?.unwrap_or_default());
            let all = parameters.boolean("all")?.unwrap_or(true);
            Arc::new(filter::pattern_replace(regex(&pattern, flags.as_deref())?, replacement, all))
        }
        "word_delimiter" | "word_delimiter_graph" => {
            let default = WordDelimiter::default();
            let mut flag =
                |key: &str, default: bool| Ok::<_, ApiError>(parameters.boolean(key)?.unwrap_or(default));
            Arc::new(WordDelimiter {
                generate_word_parts: flag("generate_word_parts", default.generate_word_parts)?,
                generate_number_parts: flag("generate_number_parts", default.generate_number_parts)?,
                catenate_words: flag("catenate_words", default.catenate_words)?,
                catenate_numbers: flag("catenate_numbers", default.catenate_numbers)?,
                catenate_all: flag("catenate_all", default.catenate_all)?,
                split_on_case_change: flag("split_on_case_change", default.split_on_case_change)?,
                split_on_numerics: flag("split_on_numerics", default.split_on_numerics)?,
                preserve_original: flag("preserve_original", default.preserve_original)?,
                stem_english_possessive: flag("stem_english_possessive", default.stem_english_possessive)?,
            })
        }
        _ => return Err(unknown_type()),
    })
}

/// A Java pattern in `regex`'s syntax; what only Java has (look-around, back references) is refused.
fn regex(pattern: &str, flags: Option<&str>) -> Result<Regex> {
    let mut builder = regex::RegexBuilder::new(pattern);
    for flag in flags.unwrap_or_default().split('|').filter(|flag| !flag.is_empty()) {
        match flag {
            "CASE_INSENSITIVE" => builder.case_insensitive(true),
            "MULTILINE" => builder.multi_line(true),
            "DOTALL" => builder.dot_matches_new_line(true),
            "COMMENTS" => builder.ignore_whitespace(true),
            "UNICODE_CASE" | "UNICODE_CHARACTER_CLASS" => &mut builder,
            other => return Err(ApiError::illegal_argument(format!("Unknown regex flag [{other}]"))),
        };
    }
    builder.build().map_err(|error| {
        ApiError::illegal_argument(format!(
            "pattern [{pattern}] is not supported: {}",
            first_line(&error.to_string())
        ))
    })
}

fn first_line(text: &str) -> String {
    text.lines().last().unwrap_or_default().trim().to_owned()
}

/// Java's `$1` ends at the digit, ours takes the longest name: `$1x` becomes `${1}x`.
fn java_replacement(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '$' => {
                let mut group = String::new();
                while let Some(digit) = chars.next_if(char::is_ascii_digit) {
                    group.push(digit);
                }
                if group.is_empty() {
                    out.push('$');
                } else {
                    out.extend(["${", &group, "}"]);
                }
            }
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(other) => out.push(other),
                None => out.push('\\'),
            },
            other => out.push(other),
        }
    }
    out
}

/// Parameters of a component. Settings may hold numbers and booleans as strings. What nobody asked for is refused.
pub struct Parameters<'a> {
    name: String,
    given: Option<&'a Map<String, Value>>,
    asked: BTreeSet<String>,
}

impl<'a> Parameters<'a> {
    fn of(name: &str, given: &'a Map<String, Value>) -> Self {
        Self { name: name.to_owned(), given: Some(given), asked: BTreeSet::new() }
    }

    fn none(name: &str) -> Self {
        Self { name: name.to_owned(), given: None, asked: BTreeSet::new() }
    }

    fn take(&mut self, key: &str) -> Option<&'a Value> {
        self.asked.insert(key.to_owned());
        self.given?.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, value: &Value, wanted: &str) -> ApiError {
        ApiError::illegal_argument(format!(
            "[{}] parameter [{key}] must be {wanted}, got [{value}]",
            self.name
        ))
    }

    fn text(&mut self, key: &str) -> Result<Option<String>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
            Some(value) => Err(self.wrong(key, value, "a string")),
        }
    }

    fn boolean(&mut self, key: &str) -> Result<Option<bool>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(value)) => Ok(Some(*value)),
            Some(Value::String(text)) if text == "true" => Ok(Some(true)),
            Some(Value::String(text)) if text == "false" => Ok(Some(false)),
            Some(value) => Err(self.wrong(key, value, "a boolean")),
        }
    }

    fn integer(&mut self, key: &str) -> Result<Option<i64>> {
        let Some(value) = self.take(key) else { return Ok(None) };
        let number = match value {
            Value::Number(number) => number.as_i64(),
            Value::String(text) => text.parse().ok(),
            _ => None,
        };
        number.map(Some).ok_or_else(|| self.wrong(key, value, "a whole number"))
    }

    fn number(&mut self, key: &str) -> Result<Option<usize>> {
        let Some(number) = self.integer(key)? else { return Ok(None) };
        usize::try_from(number)
            .map(Some)
            .map_err(|_| self.wrong(key, &Value::from(number), "a whole number of at least 0"))
    }

    /// A list, or a string of names between commas.
    fn list(&mut self, key: &str) -> Result<Option<Vec<String>>> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(
                text.split(',').map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect(),
            )),
            Some(value @ Value::Array(values)) => values
                .iter()
                .map(|item| match item {
                    Value::String(text) => Ok(text.clone()),
                    Value::Number(_) | Value::Bool(_) => Ok(item.to_string()),
                    _ => Err(self.wrong(key, value, "a list of strings")),
                })
                .collect::<Result<Vec<_>>>()
                .map(Some),
            Some(value) => Err(self.wrong(key, value, "a list of strings")),
        }
    }

    fn finish(self) -> Result<()> {
        let unknown = self.given.into_iter().flat_map(Map::keys).find(|key| !self.asked.contains(*key));
        match unknown {
            None => Ok(()),
            Some(key) => {
                Err(ApiError::illegal_argument(format!("[{}] unknown parameter [{key}]", self.name)))
            }
        }
    }
}
