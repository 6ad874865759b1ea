use serde_json::json;
use tantivy::tokenizer::TokenStream;

use super::*;

fn words(analyzer: &str, text: &str) -> Vec<String> {
    Analyzers::builtin().get(analyzer).unwrap().tokens(text).into_iter().map(|token| token.text).collect()
}

/// Expected values are Elasticsearch 9.5's `_analyze` answers.
#[test]
fn standard_cuts_as_elasticsearch() {
    let text = "foo:bar a_b _ x. 1,234.5 can't O'Neil a@b.com wi-fi foo.bar 3.x x.3 ☃ 👍 İstanbul สวัสดีครับ 日本語 カタカナ ひらがな";
    let expected = [
        "foo:bar",
        "a_b",
        "x",
        "1,234.5",
        "can't",
        "o'neil",
        "a",
        "b.com",
        "wi",
        "fi",
        "foo.bar",
        "3",
        "x",
        "x",
        "3",
        "☃",
        "👍",
        "istanbul",
        "สวัสดีครับ",
        "日",
        "本",
        "語",
        "カタカナ",
        "ひ",
        "ら",
        "が",
        "な",
    ];
    assert_eq!(words("standard", text), expected);
}

#[test]
fn the_indexing_tokenizer_makes_the_same_tokens() {
    let long = "x".repeat(600);
    let texts = [
        "",
        "Hello, Wörld! é.è a.é aé_1 1½ ①",
        "日本 foo:ბ x\u{301}y",
        "a\u{200D}b __ _1_ 'tis",
        long.as_str(),
        "ÀB c",
    ];
    for text in texts {
        let expected: Vec<_> = Analyzers::builtin()
            .get("standard")
            .unwrap()
            .tokens(text)
            .into_iter()
            .map(|token| (token.text, token.position, token.start, token.end))
            .collect();
        let mut analyzer = tantivy_standard();
        let mut stream = analyzer.token_stream(text);
        let mut found = Vec::new();
        while stream.advance() {
            let token = stream.token();
            found.push((token.text.clone(), token.position, token.offset_from, token.offset_to));
        }
        assert_eq!(found, expected, "{text}");
    }
}

#[test]
fn long_words_are_cut_at_255() {
    let lengths: Vec<usize> = words("standard", &"y".repeat(600)).iter().map(String::len).collect();
    assert_eq!(lengths, [255, 255, 90]);
}

#[test]
fn values_are_a_gap_apart() {
    let mut analyzer = tantivy_standard();
    let joined = format!("one two{VALUE_SEPARATOR}three{VALUE_SEPARATOR}vier-fünf");
    let mut stream = analyzer.token_stream(&joined);
    let mut positions = Vec::new();
    while stream.advance() {
        positions.push((stream.token().text.clone(), stream.token().position));
    }
    let expected: Vec<(String, usize)> =
        [("one", 0), ("two", 1), ("three", 102), ("vier", 203), ("fünf", 204)]
            .map(|(text, position)| (text.to_owned(), position))
            .into();
    assert_eq!(positions, expected);
    let own: Vec<usize> = Analyzers::builtin()
        .get("whitespace")
        .unwrap()
        .tokens_of_values(["one two", "three"])
        .iter()
        .map(|token| token.position)
        .collect();
    assert_eq!(own, [0, 1, 102]);
}

#[test]
fn built_in_analyzers() {
    assert_eq!(words("simple", "It's 2 Dogs"), ["it", "s", "dogs"]);
    assert_eq!(words("whitespace", "It's 2  Dogs"), ["It's", "2", "Dogs"]);
    assert_eq!(words("keyword", "It's 2"), ["It's 2"]);
    assert_eq!(words("stop", "The quick"), ["quick"]);
    assert_eq!(
        words("english", "The generals' running dogs were relational, happily ponies"),
        ["gener", "run", "dog", "were", "relat", "happili", "poni"]
    );
    assert_eq!(words("german", "Die Häuser"), ["haus"]);
    assert_eq!(words("cjk", "日本語 abc"), ["日本", "本語", "abc"]);
    let positions: Vec<usize> = Analyzers::builtin()
        .get("stop")
        .unwrap()
        .tokens("a quick the fox")
        .iter()
        .map(|t| t.position)
        .collect();
    assert_eq!(positions, [1, 3]);
}

/// The analysis settings the connectors framework puts on search indices.
#[test]
fn the_search_index_settings_of_connectors_work() {
    let analyzers = Analyzers::from_settings(&json!({
        "filter": {
            "front_ngram": { "type": "edge_ngram", "min_gram": "1", "max_gram": "12" },
            "bigram_joiner": { "max_shingle_size": "2", "token_separator": "", "output_unigrams": "false", "type": "shingle" },
            "bigram_max_size": { "type": "length", "max": "16", "min": "0" },
            "en-stem-filter": { "name": "light_english", "type": "stemmer", "language": "light_english" },
            "bigram_joiner_unigrams": { "max_shingle_size": "2", "token_separator": "", "output_unigrams": "true", "type": "shingle" },
            "delimiter": {
                "split_on_numerics": "true", "generate_word_parts": "true", "preserve_original": "false",
                "catenate_words": "true", "generate_number_parts": "true", "catenate_all": "true",
                "split_on_case_change": "true", "type": "word_delimiter_graph", "catenate_numbers": "true",
                "stem_english_possessive": "true"
            },
            "en-stop-words-filter": { "type": "stop", "stopwords": "_english_" }
        },
        "analyzer": {
            "i_prefix": { "filter": ["cjk_width", "lowercase", "asciifolding", "front_ngram"], "type": "custom", "tokenizer": "standard" },
            "iq_text_delimiter": { "filter": ["delimiter", "cjk_width", "lowercase", "asciifolding", "en-stop-words-filter", "en-stem-filter"], "type": "custom", "tokenizer": "whitespace" },
            "q_prefix": { "filter": ["cjk_width", "lowercase", "asciifolding"], "type": "custom", "tokenizer": "standard" },
            "iq_text_base": { "filter": ["cjk_width", "lowercase", "asciifolding", "en-stop-words-filter"], "type": "custom", "tokenizer": "standard" },
            "iq_text_stem": { "filter": ["cjk_width", "lowercase", "asciifolding", "en-stop-words-filter", "en-stem-filter"], "type": "custom", "tokenizer": "standard" },
            "i_text_bigram": { "filter": ["cjk_width", "lowercase", "asciifolding", "en-stem-filter", "bigram_joiner", "bigram_max_size"], "type": "custom", "tokenizer": "standard" },
            "q_text_bigram": { "filter": ["cjk_width", "lowercase", "asciifolding", "en-stem-filter", "bigram_joiner_unigrams", "bigram_max_size"], "type": "custom", "tokenizer": "standard" }
        }
    }))
    .unwrap();
    let words = |analyzer: &str, text: &str| -> Vec<(String, usize)> {
        analyzers.get(analyzer).unwrap().tokens(text).into_iter().map(|t| (t.text, t.position)).collect()
    };
    let owned = |pairs: &[(&str, usize)]| -> Vec<(String, usize)> {
        pairs.iter().map(|(text, position)| ((*text).to_owned(), *position)).collect()
    };
    assert_eq!(words("i_prefix", "Café x"), owned(&[("c", 0), ("ca", 0), ("caf", 0), ("cafe", 0), ("x", 1)]));
    assert_eq!(words("iq_text_base", "The Ｆｏｘ"), owned(&[("fox", 1)]));
    assert_eq!(words("i_text_bigram", "red foxes run"), owned(&[("redfox", 0), ("foxrun", 1)]));
    assert_eq!(
        words("q_text_bigram", "red foxes run"),
        owned(&[("red", 0), ("redfox", 0), ("fox", 1), ("foxrun", 1), ("run", 2)])
    );
    assert_eq!(
        words("iq_text_delimiter", "Wi-Fi PowerShot500's x"),
        owned(&[
            ("wifi", 0),
            ("wi", 0),
            ("fi", 1),
            ("powershot500", 2),
            ("powershot", 2),
            ("power", 2),
            ("shot", 3),
            ("500", 4),
            ("x", 5)
        ])
    );
}

#[test]
fn char_filters_keep_offsets() {
    let analyzers = Analyzers::from_settings(&json!({
        "char_filter": { "signs": { "type": "mapping", "mappings": ["& => and", ":) => happy"] } },
        "analyzer": { "mine": { "tokenizer": "standard", "char_filter": ["html_strip", "signs"], "filter": "lowercase" } }
    }))
    .unwrap();
    let tokens: Vec<(String, usize, usize)> = analyzers
        .get("mine")
        .unwrap()
        .tokens("<p>Salt &amp; <b>pep</b>per</p> :)")
        .into_iter()
        .map(|t| (t.text, t.start, t.end))
        .collect();
    let expected = [("salt", 3, 7), ("and", 8, 13), ("pepper", 17, 27), ("happy", 32, 34)]
        .map(|(t, s, e)| (t.to_owned(), s, e));
    assert_eq!(tokens, expected);
}

#[test]
fn wrong_settings_are_refused_by_name() {
    let reason = |value: Value| Analyzers::from_settings(&value).unwrap_err().reason;
    assert_eq!(
        reason(json!({ "filter": { "f": { "type": "nope" } } })),
        "Unknown filter type [nope] for [f]"
    );
    assert_eq!(
        reason(json!({ "analyzer": { "a": { "tokenizer": "standard", "filter": ["nope"] } } })),
        "Custom Analyzer [a] failed to find filter under name [nope]"
    );
    assert_eq!(
        reason(json!({ "filter": { "f": { "type": "stop", "stopword": [] } } })),
        "[f] unknown parameter [stopword]"
    );
}

/// 600 texts, most of them random over the characters that matter, against Elasticsearch 9.5.3's `_analyze`.
#[test]
fn standard_is_that_of_elasticsearch() {
    let recorded: Value = serde_json::from_str(include_str!("recorded.json")).unwrap();
    let standard = Analyzers::builtin().get("standard").unwrap();
    let mut wrong = Vec::new();
    for case in recorded.as_array().unwrap() {
        let text = case[0].as_str().unwrap();
        let utf16 = |byte: usize| text[..byte].encode_utf16().count();
        let ours: Vec<Value> = standard
            .tokens(text)
            .into_iter()
            .map(|token| {
                json!([token.text, utf16(token.start), utf16(token.end), token.kind, token.position])
            })
            .collect();
        if Value::Array(ours.clone()) != case[1] {
            wrong.push(format!("{text:?}\n  ours   {}\n  theirs {}", json!(ours), case[1]));
        }
    }
    assert!(wrong.is_empty(), "{} of them differ:\n{}", wrong.len(), wrong.join("\n"));
}
