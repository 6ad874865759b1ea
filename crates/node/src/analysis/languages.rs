//! The built-in analyzers, and the names of stop word lists and stemmers.
//!
//! Lucene has "light" stemmers of its own for some languages; here they are the Snowball stemmers of the language,
//! which conflate a little more. `light_english` (Lucene's `KStem`, a dictionary) is Snowball's English.

use std::sync::Arc;

use frostem::{Algorithm, Stemmer};
use tantivy::tokenizer::Language;

use super::filter::{self, Rewrite, Stop, StopWords, TokenFilter};
use super::standard::MAX_TOKEN_LENGTH;
use super::tokenizer::Tokenizer;
use super::{Analyzer, cjk};

/// Languages with a stop word list and a stemmer: name, list, algorithm.
const LANGUAGES: &[(&str, Language, Algorithm)] = &[
    ("danish", Language::Danish, Algorithm::Danish),
    ("dutch", Language::Dutch, Algorithm::Dutch),
    ("english", Language::English, Algorithm::English),
    ("finnish", Language::Finnish, Algorithm::Finnish),
    ("french", Language::French, Algorithm::French),
    ("german", Language::German, Algorithm::German),
    ("hungarian", Language::Hungarian, Algorithm::Hungarian),
    ("italian", Language::Italian, Algorithm::Italian),
    ("norwegian", Language::Norwegian, Algorithm::Norwegian),
    ("portuguese", Language::Portuguese, Algorithm::Portuguese),
    ("russian", Language::Russian, Algorithm::Russian),
    ("spanish", Language::Spanish, Algorithm::Spanish),
    ("swedish", Language::Swedish, Algorithm::Swedish),
];

const FRENCH_ARTICLES: &[&str] =
    &["l", "m", "t", "qu", "n", "s", "j", "d", "c", "jusqu", "quoiqu", "lorsqu", "puisqu"];
const ITALIAN_ARTICLES: &[&str] = &[
    "c", "l", "all", "dall", "dell", "nell", "sull", "coll", "pell", "gl", "agl", "dagl", "degl", "negl",
    "sugl", "un", "m", "t", "s", "v", "d",
];

/// Default articles of the `elision` filter: French.
pub fn french_articles() -> Vec<String> {
    FRENCH_ARTICLES.iter().map(|&article| article.to_owned()).collect()
}

/// The stop words named `_english_`, `_none_`, ...
pub fn stop_words(name: &str) -> Option<StopWords> {
    let language = name.strip_prefix('_')?.strip_suffix('_')?;
    if language == "none" {
        return Some(StopWords::Words(std::collections::HashSet::new()));
    }
    let (_, list, _) = LANGUAGES.iter().find(|(name, ..)| *name == language)?;
    StopWords::language(*list)
}

/// A `snowball` filter's stemmer (`English`, `German2`, ...).
pub fn snowball(language: &str) -> Option<Rewrite> {
    let language = language.to_ascii_lowercase();
    let name = match language.as_str() {
        "german2" => "german",
        "porter" => return Some(filter::porter_stem()),
        other => other,
    };
    Some(filter::snowball(Stemmer::new(algorithm(name)?)))
}

fn algorithm(language: &str) -> Option<Algorithm> {
    let other = match language {
        "arabic" => Some(Algorithm::Arabic),
        "greek" => Some(Algorithm::Greek),
        "romanian" => Some(Algorithm::Romanian),
        "turkish" => Some(Algorithm::Turkish),
        "tamil" => Some(Algorithm::Tamil),
        _ => None,
    };
    other.or_else(|| LANGUAGES.iter().find(|(name, ..)| *name == language).map(|(.., algorithm)| *algorithm))
}

/// A `stemmer` filter by its `language`.
pub fn stemmer(language: &str) -> Option<Rewrite> {
    let lower = language.to_ascii_lowercase();
    match lower.as_str() {
        "english" | "porter" => Some(filter::porter_stem()),
        "porter2" | "light_english" => snowball("english"),
        "minimal_english" => Some(filter::minimal_english()),
        "possessive_english" => Some(filter::possessive_english()),
        "german2" => snowball("german"),
        name => {
            let base = name.strip_prefix("light_").or_else(|| name.strip_prefix("minimal_")).unwrap_or(name);
            snowball(base)
        }
    }
}

fn analyzer(name: &str, tokenizer: Tokenizer, filters: Vec<Arc<dyn TokenFilter>>) -> Analyzer {
    Analyzer::new(name, Vec::new(), tokenizer, filters)
}

/// A `standard` tokenizer with Elasticsearch's default length.
pub fn standard_tokenizer() -> Tokenizer {
    Tokenizer::Standard { max_length: MAX_TOKEN_LENGTH }
}

fn stop(name: &str) -> Arc<dyn TokenFilter> {
    let words = stop_words(name).unwrap_or_else(|| StopWords::Words(std::collections::HashSet::new()));
    Arc::new(Stop { words, ignore_case: false })
}

/// The analyzers every index has.
pub fn built_in() -> Vec<Analyzer> {
    let lowercase = || -> Arc<dyn TokenFilter> { Arc::new(filter::lowercase()) };
    let letters = || Tokenizer::Letter { lowercase: true };
    let mut all = vec![
        analyzer("standard", standard_tokenizer(), vec![lowercase()]),
        analyzer("default", standard_tokenizer(), vec![lowercase()]),
        analyzer("simple", letters(), Vec::new()),
        analyzer("whitespace", Tokenizer::Whitespace { max_length: MAX_TOKEN_LENGTH }, Vec::new()),
        analyzer("keyword", Tokenizer::Keyword, Vec::new()),
        analyzer("stop", letters(), vec![stop("_english_")]),
        analyzer(
            "cjk",
            standard_tokenizer(),
            vec![
                Arc::new(cjk::width()),
                lowercase(),
                Arc::new(cjk::Bigrams { output_unigrams: false, ignored: Vec::new() }),
                stop("_english_"),
            ],
        ),
    ];
    for (name, _, algorithm) in LANGUAGES {
        let mut filters: Vec<Arc<dyn TokenFilter>> = Vec::new();
        let articles = |articles: &[&str]| articles.iter().map(|&article| article.to_owned()).collect();
        match *name {
            "english" => filters.push(Arc::new(filter::possessive_english())),
            "french" => filters.push(Arc::new(filter::elision(articles(FRENCH_ARTICLES), true))),
            "italian" => filters.push(Arc::new(filter::elision(articles(ITALIAN_ARTICLES), true))),
            _ => {}
        }
        filters.push(lowercase());
        filters.push(stop(&format!("_{name}_")));
        filters.push(match *name {
            "english" => Arc::new(filter::porter_stem()),
            _ => Arc::new(filter::snowball(Stemmer::new(*algorithm))),
        });
        all.push(analyzer(name, standard_tokenizer(), filters));
    }
    all
}
