//! Tokens as text: tantivy's JSON fields take no tokens made elsewhere, so those of the overflow field are written as
//! text that its tokenizer only has to take apart again.
//!
//! Each token is `<position increment> ' ' <position length> ' ' <byte length> ':' <token>`.

use tantivy::tokenizer::{PreTokenizedString, TextAnalyzer, Token, TokenStream, Tokenizer};

/// Name the schema knows the tokenizer by.
pub const TOKENIZER: &str = "encoded";

/// The text for tokens in position order.
pub fn encode(tokens: &PreTokenizedString) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    let mut last = 0;
    for token in &tokens.tokens {
        let step = token.position - last;
        last = token.position;
        // Writing to a string cannot fail.
        let _ = write!(out, "{step} {} {}:{}", token.position_length, token.text.len(), token.text);
    }
    out
}

/// The tokenizer of the overflow field.
pub fn analyzer() -> TextAnalyzer {
    TextAnalyzer::from(Decoder::default())
}

#[derive(Clone, Default)]
struct Decoder {
    token: Token,
}

struct Decoded<'a> {
    rest: &'a str,
    position: usize,
    token: &'a mut Token,
}

impl Tokenizer for Decoder {
    type TokenStream<'a> = Decoded<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> Decoded<'a> {
        self.token.reset();
        Decoded { rest: text, position: 0, token: &mut self.token }
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

impl TokenStream for Decoded<'_> {
    fn advance(&mut self) -> bool {
        self.next_token().is_some()
    }

    fn token(&self) -> &Token {
        self.token
    }

    fn token_mut(&mut self) -> &mut Token {
        self.token
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut analyzer = analyzer();
        let mut stream = analyzer.token_stream(&text);
        let mut found = Vec::new();
        while stream.advance() {
            found.push((stream.token().text.clone(), stream.token().position));
        }
        let expected: Vec<_> = tokens.into_iter().map(|token| (token.text, token.position)).collect();
        assert_eq!(found, expected);
    }
}
