//! `cjk_width` and `cjk_bigram`.

use super::Token;
use super::filter::{Rewrite, TokenFilter};

/// Full-width katakana for the half-width block U+FF65..=U+FF9D, in order.
const FULL_WIDTH_KATAKANA: &str = "・ヲァィゥェォャュョッーアイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワン";

/// `cjk_width`: full-width ASCII to ASCII, half-width katakana to full-width.
pub fn width() -> Rewrite {
    let katakana: Vec<char> = FULL_WIDTH_KATAKANA.chars().collect();
    Rewrite::new("cjk_width", move |text| {
        if text.is_ascii() {
            return None;
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            let code = u32::from(c);
            match code {
                0xFF01..=0xFF5E => out.extend(char::from_u32(code - 0xFEE0)),
                0xFF65..=0xFF9D => out.extend(katakana.get((code - 0xFF65) as usize)),
                0xFF9E | 0xFF9F => {
                    let marked = out.pop().map(|base| (base, with_mark(base, code == 0xFF9F)));
                    match marked {
                        Some((_, Some(marked))) => out.push(marked),
                        Some((base, None)) => {
                            out.extend([base, if code == 0xFF9E { '\u{3099}' } else { '\u{309A}' }]);
                        }
                        None => out.push(c),
                    }
                }
                _ => out.push(c),
            }
        }
        Some(out)
    })
}

/// The katakana with a voiced (or semi-voiced) mark, where there is one.
fn with_mark(base: char, semi: bool) -> Option<char> {
    let code = u32::from(base);
    let offset = match (base, semi) {
        ('ウ', false) => return Some('ヴ'),
        ('カ'..='ト' | 'ハ'..='ホ', false) => 1,
        ('ハ'..='ホ', true) => 2,
        _ => return None,
    };
    // Unmarked letters alternate with their marked forms, except around the small tsu.
    char::from_u32(code + offset)
}

/// `cjk_bigram`: neighbouring ideographs, kana and hangul as pairs.
#[derive(Debug)]
pub struct Bigrams {
    /// Put single characters out too.
    pub output_unigrams: bool,
    /// Token types left as they are.
    pub ignored: Vec<&'static str>,
}

impl Bigrams {
    fn takes(&self, token: &Token) -> bool {
        matches!(token.kind, "<IDEOGRAPHIC>" | "<HIRAGANA>" | "<KATAKANA>" | "<HANGUL>")
            && !self.ignored.contains(&token.kind)
    }

    /// One token per character of a run, pairs of them, and singles if asked for or alone.
    fn emit(&self, run: &[(char, usize, usize, &'static str)], position: &mut usize, out: &mut Vec<Token>) {
        for (index, &(c, start, end, kind)) in run.iter().enumerate() {
            let next = run.get(index + 1);
            let single = self.output_unigrams || run.len() == 1;
            if single {
                out.push(Token::new(c, *position, start, end, kind));
            }
            if let Some(&(after, _, end, _)) = next {
                let mut pair = Token::new(format!("{c}{after}"), *position, start, end, "<DOUBLE>");
                if self.output_unigrams {
                    pair.position_length = 2;
                }
                out.push(pair);
            }
            if single || next.is_some() {
                *position += 1;
            }
        }
    }
}

impl TokenFilter for Bigrams {
    fn apply(&self, tokens: Vec<Token>) -> Vec<Token> {
        let mut out = Vec::with_capacity(tokens.len() * 2);
        let mut run: Vec<(char, usize, usize, &'static str)> = Vec::new();
        let mut position = 0;
        let mut last: Option<(usize, usize)> = None;
        for token in tokens {
            let hole = last.map_or(token.position, |(last, _)| token.position.saturating_sub(last + 1));
            let touching = last.is_some_and(|(_, end)| end == token.start);
            if !touching || hole > 0 || !self.takes(&token) {
                self.emit(&run, &mut position, &mut out);
                run.clear();
                position += hole;
            }
            last = Some((token.position, token.end));
            if self.takes(&token) {
                for (offset, c) in token.text.char_indices() {
                    let start = token.start + offset;
                    run.push((c, start, start + c.len_utf8(), token.kind));
                }
            } else {
                out.push(Token { position, ..token });
                position += 1;
            }
        }
        self.emit(&run, &mut position, &mut out);
        out
    }
}
