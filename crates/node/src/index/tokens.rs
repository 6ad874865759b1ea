//! Tokens as text. tantivy's JSON fields take no tokens made elsewhere, and its own form of them weighs 60 bytes a token,
//! so tokens of analyzers that tantivy does not know are written as text which its tokenizer only has to take apart.
//!
//! Such text begins with [`MARK`]; each token is `<position step> ' ' <position length> ' ' <byte length> ':' <token>`.

use tantivy::tokenizer::{BoxTokenStream, PreTokenizedString, TextAnalyzer, Token, TokenStream, Tokenizer};

use crate::analysis;

/// Name the schema knows the tokenizer by.
pub const TOKENIZER: &str = "standard";

/// Begins text that is made of tokens. Text of documents that begins with it is analyzed before, too.
pub const MARK: char = '\u{FFFE}';

/// The text for tokens in position order.
pub fn encode(tokens: &PreTokenizedString) -> String {
    use std::fmt::Write as _;
    let mut out = String::from(MARK);
    let mut last = 0;
    for token in &tokens.tokens {
        let step = token.position - last;
        last = token.position;
        // Writing to a string cannot fail.
        let _ = write!(out, "{step} {} {}:{}", token.position_length, token.text.len(), token.text);
    }
    out
}

/// The tokenizer of all text fields: tokens made before, or text for the `standard` analyzer.
pub fn analyzer() -> TextAnalyzer {
    TextAnalyzer::from(TextOrTokens { standard: analysis::tantivy_standard(), token: Token::default() })
}

#[derive(Clone)]
struct TextOrTokens {
    standard: TextAnalyzer,
    token: Token,
}

enum Stream<'a> {
    Standard(BoxTokenStream<'a>),
    Decoded(Decoded<'a>),
}

struct Decoded<'a> {
    rest: &'a str,
    position: usize,
    token: &'a mut Token,
}

impl Tokenizer for TextOrTokens {
    type TokenStream<'a> = Stream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Stream<'a> {
        match text.strip_prefix(MARK) {
            Some(rest) => {
                self.token.reset();
                Stream::Decoded(Decoded { rest, position: 0, token: &mut self.token })
            }
            None => Stream::Standard(self.standard.token_stream(text)),
        }
    }
}

impl Decoded<'_> {
    fn next_token(&mut self) -> Option<()> {
        let (head, rest) = self.rest.split_once(':')?;
        let mut numbers = head.split(' ').map(str::parse::<usize>);
        let step = numbers.next()?.ok()?;
        let position_length = numbers.next()?.ok()?;
        let length = numbers.next()?.ok()?;
        let text = rest.get(..length)?;
        self.rest = &rest[length..];
        self.position += step;
        self.token.position = self.position;
        self.token.position_length = position_length;
        self.token.text.clear();
        self.token.text.push_str(text);
        Some(())
    }
}

impl TokenStream for Stream<'_> {
    fn advance(&mut self) -> bool {
        match self {
            Self::Standard(stream) => stream.advance(),
            Self::Decoded(tokens) => tokens.next_token().is_some(),
        }
    }

    fn token(&self) -> &Token {
        match self {
            Self::Standard(stream) => stream.token(),
            Self::Decoded(tokens) => tokens.token,
        }
    }

    fn token_mut(&mut self) -> &mut Token {
        match self {
            Self::Standard(stream) => stream.token_mut(),
            Self::Decoded(tokens) => tokens.token,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens_of(text: &str) -> Vec<(String, usize)> {
        let mut analyzer = analyzer();
        let mut stream = analyzer.token_stream(text);
        let mut found = Vec::new();
        while stream.advance() {
            found.push((stream.token().text.clone(), stream.token().position));
        }
        found
    }

    #[test]
    fn tokens_come_back_as_they_were() {
        let token = |text: &str, position| Token {
            offset_from: 0,
            offset_to: 0,
            position,
            text: text.to_owned(),
            position_length: 1,
        };
        let tokens = vec![token("a:b 1", 0), token("é", 1), token("same", 1), token("later", 102)];
        let text = encode(&PreTokenizedString { text: String::new(), tokens: tokens.clone() });
        let expected: Vec<_> = tokens.into_iter().map(|token| (token.text, token.position)).collect();
        assert_eq!(tokens_of(&text), expected);
        assert_eq!(tokens_of(&encode(&PreTokenizedString { text: String::new(), tokens: Vec::new() })), []);
    }

    #[test]
    fn other_text_is_for_the_standard_analyzer() {
        assert_eq!(tokens_of("One, TWO"), [("one".to_owned(), 0), ("two".to_owned(), 1)]);
    }
}
