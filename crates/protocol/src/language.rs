//! Languages of a content index.

/// Language codes a connector may have (those Kibana offers), with Elasticsearch's built-in analyzer for each
/// (reference of the `analyzer` mapping parameter, "language analyzers").
const ANALYZERS: [(&str, &str); 13] = [
    ("da", "danish"),
    ("de", "german"),
    ("en", "english"),
    ("es", "spanish"),
    ("fr", "french"),
    ("it", "italian"),
    ("ja", "cjk"),
    ("ko", "cjk"),
    ("nl", "dutch"),
    ("pt", "portuguese"),
    ("pt-br", "brazilian"),
    ("th", "thai"),
    ("zh", "cjk"),
];

/// The built-in analyzer for a language.
pub fn analyzer(code: &str) -> Option<&'static str> {
    ANALYZERS.iter().find(|(known, _)| *known == code).map(|(_, analyzer)| *analyzer)
}

/// All language codes.
pub fn codes() -> impl Iterator<Item = &'static str> {
    ANALYZERS.iter().map(|(code, _)| *code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_an_analyzer_and_others_have_none() {
        assert!(codes().all(|code| analyzer(code).is_some()));
        assert_eq!(analyzer("en"), Some("english"));
        assert_eq!(analyzer("xx"), None);
    }
}
