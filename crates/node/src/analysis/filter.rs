//! Token filters that look at one token at a time.

use std::collections::HashSet;
use std::fmt;

use frostem::Stemmer;
use regex::Regex;
use tantivy::tokenizer::{AsciiFoldingFilter, RawTokenizer, StopWordFilter, TextAnalyzer, TokenStream};

use super::standard::lowercase_into;
use super::{Token, porter};

/// Changes, drops or adds tokens.
pub trait TokenFilter: fmt::Debug + Send + Sync {
    /// The tokens after the filter; dropped ones leave a hole in the positions.
    fn apply(&self, tokens: Vec<Token>) -> Vec<Token>;

    /// Works on single characters, so that parts of words may go through it.
    fn normalizes(&self) -> bool {
        false
    }
}

type TextRewrite = Box<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// A filter that rewrites each token's text.
pub struct Rewrite {
    name: &'static str,
    rewrite: TextRewrite,
}

impl Rewrite {
    /// `rewrite` gives the new text, or `None` to leave it.
    pub fn new(name: &'static str, rewrite: impl Fn(&str) -> Option<String> + Send + Sync + 'static) -> Self {
        Self { name, rewrite: Box::new(rewrite) }
    }
}

impl fmt::Debug for Rewrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Rewrite").field(&self.name).finish()
    }
}

impl TokenFilter for Rewrite {
    fn normalizes(&self) -> bool {
        matches!(self.name, "lowercase" | "uppercase" | "cjk_width" | "decimal_digit")
    }

    fn apply(&self, mut tokens: Vec<Token>) -> Vec<Token> {
        for token in &mut tokens {
            if let Some(text) = (self.rewrite)(&token.text) {
                token.text = text;
            }
        }
        tokens
    }
}

/// `lowercase`.
pub fn lowercase() -> Rewrite {
    Rewrite::new("lowercase", |text| {
        let mut lower = String::with_capacity(text.len());
        lowercase_into(text, &mut lower);
        Some(lower)
    })
}

/// `uppercase`.
pub fn uppercase() -> Rewrite {
    Rewrite::new("uppercase", |text| {
        // Character by character and to one character each, as Lucene does.
        Some(
            text.chars()
                .map(|c| {
                    let mut upper = c.to_uppercase();
                    if upper.len() == 1 { upper.next().unwrap_or(c) } else { c }
                })
                .collect(),
        )
    })
}

/// `trim`.
pub fn trim() -> Rewrite {
    Rewrite::new("trim", |text| Some(text.trim().to_owned()))
}

/// `reverse`.
pub fn reverse() -> Rewrite {
    Rewrite::new("reverse", |text| Some(text.chars().rev().collect()))
}

/// `truncate`.
pub fn truncate(length: usize) -> Rewrite {
    Rewrite::new("truncate", move |text| Some(text.chars().take(length).collect()))
}

/// `apostrophe`: cuts at the first apostrophe.
pub fn apostrophe() -> Rewrite {
    Rewrite::new("apostrophe", |text| text.find(['\'', '\u{2019}']).map(|at| text[..at].to_owned()))
}

/// `elision`: drops a leading article up to the apostrophe.
pub fn elision(articles: HashSet<String>, ignore_case: bool) -> Rewrite {
    Rewrite::new("elision", move |text| {
        let at = text.find(['\'', '\u{2019}'])?;
        let article = if ignore_case { text[..at].to_lowercase() } else { text[..at].to_owned() };
        let quote = text[at..].chars().next()?;
        articles.contains(&article).then(|| text[at + quote.len_utf8()..].to_owned())
    })
}

/// `pattern_replace`.
pub fn pattern_replace(pattern: Regex, replacement: String, all: bool) -> Rewrite {
    Rewrite::new("pattern_replace", move |text| {
        let limit = usize::from(!all);
        Some(pattern.replacen(text, limit, replacement.as_str()).into_owned())
    })
}

/// `decimal_digit`: the digits of any script to 0–9.
pub fn decimal_digit() -> Rewrite {
    /// First digits of the scripts' decimal digits in the Basic Multilingual Plane.
    const ZEROS: &[u32] = &[
        0x660, 0x6F0, 0x7C0, 0x966, 0x9E6, 0xA66, 0xAE6, 0xB66, 0xBE6, 0xC66, 0xCE6, 0xD66, 0xDE6, 0xE50,
        0xED0, 0xF20, 0x1040, 0x1090, 0x17E0, 0x1810, 0x1946, 0x19D0, 0x1A80, 0x1A90, 0x1B50, 0x1BB0, 0x1C40,
        0x1C50, 0xA620, 0xA8D0, 0xA900, 0xA9D0, 0xA9F0, 0xAA50, 0xABF0, 0xFF10,
    ];
    Rewrite::new("decimal_digit", |text| {
        (!text.is_ascii()).then(|| {
            text.chars()
                .map(|c| {
                    let code = u32::from(c);
                    let zero = ZEROS.iter().find(|&&zero| (zero..zero + 10).contains(&code));
                    zero.and_then(|zero| char::from_digit(code - zero, 10)).unwrap_or(c)
                })
                .collect()
        })
    })
}

/// `stemmer` and `snowball` by a Snowball algorithm.
pub fn snowball(stemmer: Stemmer) -> Rewrite {
    Rewrite::new("snowball", move |text| Some(stemmer.stem(text).into_owned()))
}

/// `porter_stem`, and `stemmer` with language `english`.
pub fn porter_stem() -> Rewrite {
    Rewrite::new("porter_stem", |text| Some(porter::stem(text)))
}

/// `stemmer` with language `possessive_english`: drops a final `'s`.
pub fn possessive_english() -> Rewrite {
    Rewrite::new("possessive_english", |text| {
        let lower = text.strip_suffix(['s', 'S'])?;
        lower.strip_suffix(['\'', '\u{2019}', '\u{FF07}']).map(str::to_owned)
    })
}

/// `stemmer` with language `minimal_english`: plural endings only.
pub fn minimal_english() -> Rewrite {
    Rewrite::new("minimal_english", |text| {
        let bytes = text.as_bytes();
        let length = bytes.len();
        if length < 3 || bytes[length - 1] != b's' {
            return None;
        }
        match bytes[length - 2] {
            b'u' | b's' => None,
            b'e' if length > 3
                && bytes[length - 3] == b'i'
                && bytes[length - 4] != b'a'
                && bytes[length - 4] != b'e' =>
            {
                Some(format!("{}y", &text[..length - 3]))
            }
            b'e' if matches!(bytes[length - 3], b'i' | b'a' | b'o' | b'e') => None,
            _ => Some(text[..length - 1].to_owned()),
        }
    })
}

/// `stop`.
pub struct Stop {
    /// The words, or the list of a language.
    pub words: StopWords,
    /// Compare without case.
    pub ignore_case: bool,
}

/// What `stop` drops.
pub enum StopWords {
    /// Exactly these.
    Words(HashSet<String>),
    /// tantivy's list of a language (they are Lucene's).
    Language(TextAnalyzer),
}

impl StopWords {
    /// The list behind `_english_` and so on.
    pub fn language(language: tantivy::tokenizer::Language) -> Option<Self> {
        let filter = StopWordFilter::new(language)?;
        Some(Self::Language(TextAnalyzer::builder(RawTokenizer::default()).filter(filter).build()))
    }
}

impl fmt::Debug for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stop").field("ignore_case", &self.ignore_case).finish_non_exhaustive()
    }
}

impl TokenFilter for Stop {
    fn apply(&self, mut tokens: Vec<Token>) -> Vec<Token> {
        let key = |text: &str| if self.ignore_case { text.to_lowercase() } else { text.to_owned() };
        match &self.words {
            StopWords::Words(words) => tokens.retain(|token| !words.contains(&key(&token.text))),
            StopWords::Language(analyzer) => {
                let mut analyzer = analyzer.clone();
                tokens.retain(|token| analyzer.token_stream(&key(&token.text)).advance());
            }
        }
        tokens
    }
}

/// `asciifolding`: tantivy's table, which is Lucene's.
pub struct AsciiFolding {
    folding: TextAnalyzer,
    preserve_original: bool,
}

impl AsciiFolding {
    /// With `preserve_original`, a folded token stands beside the original at one position.
    pub fn new(preserve_original: bool) -> Self {
        let folding = TextAnalyzer::builder(RawTokenizer::default()).filter(AsciiFoldingFilter).build();
        Self { folding, preserve_original }
    }
}

impl fmt::Debug for AsciiFolding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsciiFolding")
            .field("preserve_original", &self.preserve_original)
            .finish_non_exhaustive()
    }
}

impl TokenFilter for AsciiFolding {
    fn normalizes(&self) -> bool {
        !self.preserve_original
    }

    fn apply(&self, tokens: Vec<Token>) -> Vec<Token> {
        let mut folding = self.folding.clone();
        let mut out = Vec::with_capacity(tokens.len());
        for mut token in tokens {
            if !token.text.is_ascii() {
                let mut stream = folding.token_stream(&token.text);
                let folded = if stream.advance() { stream.token().text.clone() } else { String::new() };
                drop(stream);
                if folded != token.text {
                    let original = std::mem::replace(&mut token.text, folded);
                    if self.preserve_original {
                        out.push(token.clone());
                        token.text = original;
                    }
                }
            }
            out.push(token);
        }
        out
    }
}

/// `length`: drops tokens outside the bounds (characters).
#[derive(Debug)]
pub struct Length {
    /// Shortest kept.
    pub min: usize,
    /// Longest kept.
    pub max: usize,
}

impl TokenFilter for Length {
    fn apply(&self, mut tokens: Vec<Token>) -> Vec<Token> {
        tokens.retain(|token| (self.min..=self.max).contains(&token.text.chars().count()));
        tokens
    }
}

/// `limit`: keeps the first tokens.
#[derive(Debug)]
pub struct Limit {
    /// `max_token_count`.
    pub count: usize,
}

impl TokenFilter for Limit {
    fn apply(&self, mut tokens: Vec<Token>) -> Vec<Token> {
        tokens.truncate(self.count);
        tokens
    }
}

/// `unique` and `remove_duplicates`.
#[derive(Debug)]
pub struct Unique {
    /// Only among tokens at the same position.
    pub only_on_same_position: bool,
}

impl TokenFilter for Unique {
    fn apply(&self, mut tokens: Vec<Token>) -> Vec<Token> {
        let mut seen: HashSet<(usize, String)> = HashSet::new();
        tokens.retain(|token| {
            let position = if self.only_on_same_position { token.position } else { 0 };
            seen.insert((position, token.text.clone()))
        });
        tokens
    }
}

/// `keep`: only these words.
#[derive(Debug)]
pub struct Keep {
    /// `keep_words`.
    pub words: HashSet<String>,
    /// `keep_words_case`: compare in lower case.
    pub ignore_case: bool,
}

impl TokenFilter for Keep {
    fn apply(&self, mut tokens: Vec<Token>) -> Vec<Token> {
        tokens.retain(|token| {
            if self.ignore_case {
                self.words.contains(&token.text.to_lowercase())
            } else {
                self.words.contains(&token.text)
            }
        });
        tokens
    }
}

/// A filter that changes nothing here: `flatten_graph` (our graphs are flat already), `standard`.
#[derive(Debug)]
pub struct Nothing;

impl TokenFilter for Nothing {
    fn apply(&self, tokens: Vec<Token>) -> Vec<Token> {
        tokens
    }
}
