//! Lucene's `StandardTokenizer`: the word boundaries of UAX #29, with runs of South-East Asian characters kept
//! together and emoji kept as tokens.

use std::iter::Peekable;

use tantivy::tokenizer::{Token as TantivyToken, TokenStream, Tokenizer};
use unicode_segmentation::{UWordBoundIndices, UnicodeSegmentation};

use super::{POSITION_GAP, Token, VALUE_SEPARATOR};

/// Longer words are cut into pieces of this many characters.
pub const MAX_TOKEN_LENGTH: usize = 255;

const ALPHANUM: &str = "<ALPHANUM>";
const NUM: &str = "<NUM>";
const EMOJI: &str = "<EMOJI>";

/// A word of the text: bytes from, bytes to, token type.
type Word = (usize, usize, &'static str);

/// The words of a text, without cutting long ones. ASCII is scanned byte by byte; a stretch with anything else goes
/// through the full segmentation.
pub struct Words<'a> {
    text: &'a str,
    at: usize,
    /// Byte offset of the stretch that goes through the full segmentation, and what is left of it.
    stretch: Option<(usize, Peekable<UWordBoundIndices<'a>>)>,
    /// An emoji that a joiner glued to the word before it.
    glued: Option<Word>,
    /// Value separators passed since the last word.
    separators: usize,
}

impl<'a> Words<'a> {
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, stretch: None, glued: None, separators: 0 }
    }

    fn is_separator(&self, at: usize) -> bool {
        self.text.as_bytes()[at..].starts_with(&[0xEF, 0xBF, 0xBF])
    }

    /// Starts the full segmentation at `from`; it ends at white space, which is always a boundary.
    fn start_stretch(&mut self, from: usize) {
        let bytes = self.text.as_bytes();
        let mut end = from;
        while end < bytes.len() && !bytes[end].is_ascii_whitespace() && !self.is_separator(end) {
            end += 1;
        }
        self.at = end;
        self.stretch = Some((from, self.text[from..end].split_word_bound_indices().peekable()));
    }

    fn next_of_stretch(&mut self) -> Option<Word> {
        if let Some(emoji) = self.glued.take() {
            return Some(emoji);
        }
        let (base, segments) = self.stretch.as_mut()?;
        for (offset, segment) in segments.by_ref() {
            let Some(kind) = classify(segment) else { continue };
            let mut end = offset + segment.len();
            let mut offset = offset;
            if let Some(emoji) = glued_emoji(segment) {
                // Before it stands a symbol, which is no token, or a word, which is one.
                if kind == EMOJI {
                    offset += emoji;
                } else {
                    let word = offset + emoji + JOINER.len_utf8();
                    self.glued = Some((*base + word, *base + end, EMOJI));
                    end = word;
                }
            }
            if kind == SOUTHEAST_ASIAN {
                break_less(segments, &mut end);
            }
            return Some((*base + offset, *base + end, kind));
        }
        self.stretch = None;
        None
    }

    /// End of the ASCII word starting at `from`, or `None` if characters outside ASCII decide where it ends.
    fn ascii_word(&self, from: usize) -> Option<Word> {
        let bytes = self.text.as_bytes();
        let mut at = from;
        let mut letters = false;
        let mut digits = false;
        while let Some(&byte) = bytes.get(at) {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' => letters = true,
                b'0'..=b'9' => digits = true,
                b'_' => {}
                b'.' | b'\'' | b':' | b',' | b';' => {
                    let before = bytes[at - 1];
                    let Some(&after) = bytes.get(at + 1) else { break };
                    if !after.is_ascii() {
                        return None;
                    }
                    let joins_letters = matches!(byte, b'.' | b'\'' | b':')
                        && before.is_ascii_alphabetic()
                        && after.is_ascii_alphabetic();
                    let joins_digits = matches!(byte, b'.' | b'\'' | b',' | b';')
                        && before.is_ascii_digit()
                        && after.is_ascii_digit();
                    if !joins_letters && !joins_digits {
                        break;
                    }
                }
                byte if !byte.is_ascii() => {
                    if self.is_separator(at) {
                        break;
                    }
                    return None;
                }
                _ => break,
            }
            at += 1;
        }
        let kind = match (letters, digits) {
            (true, _) => ALPHANUM,
            (false, true) => NUM,
            (false, false) => "",
        };
        Some((from, at, kind))
    }
}

impl Iterator for Words<'_> {
    type Item = Word;

    fn next(&mut self) -> Option<Word> {
        loop {
            if self.stretch.is_some()
                && let Some(word) = self.next_of_stretch()
            {
                return Some(word);
            }
            let byte = *self.text.as_bytes().get(self.at)?;
            if byte.is_ascii_alphanumeric() || byte == b'_' {
                match self.ascii_word(self.at) {
                    Some((_, end, "")) => self.at = end,
                    Some(word) => {
                        self.at = word.1;
                        return Some(word);
                    }
                    None => self.start_stretch(self.at),
                }
            } else if byte.is_ascii() {
                self.at += 1;
            } else if self.is_separator(self.at) {
                self.separators += 1;
                self.at += VALUE_SEPARATOR.len_utf8();
            } else {
                self.start_stretch(self.at);
            }
        }
    }
}

const SOUTHEAST_ASIAN: &str = "<SOUTHEAST_ASIAN>";

/// Extends a South-East Asian token over the following segments of these scripts: UAX #29 knows no words there.
fn break_less(segments: &mut Peekable<UWordBoundIndices<'_>>, end: &mut usize) {
    while let Some((offset, segment)) = segments.next_if(|(_, next)| classify(next) == Some(SOUTHEAST_ASIAN))
    {
        *end = offset + segment.len();
    }
}

/// Token type of a segment; `None` for white space and punctuation.
fn classify(segment: &str) -> Option<&'static str> {
    let mut scripts = Scripts::default();
    for c in segment.chars() {
        match u32::from(c) {
            0x0E01..=0x0EFF | 0x1000..=0x109F | 0x1780..=0x17FF | 0x19E0..=0x19FF | 0xAA60..=0xAA7F => {
                return Some(SOUTHEAST_ASIAN);
            }
            0x3041..=0x309F => return Some("<HIRAGANA>"),
            0x3007 | 0x3400..=0x4DBF | 0x4E00..=0x9FFF | 0xF900..=0xFAFF | 0x20000..=0x3FFFF => {
                return Some("<IDEOGRAPHIC>");
            }
            0x30A1..=0x30FF | 0x31F0..=0x31FF | 0xFF66..=0xFF9F => scripts.katakana = true,
            0x1100..=0x11FF | 0x3131..=0x318E | 0xAC00..=0xD7A3 => scripts.hangul = true,
            0x005F => scripts.underscore = true,
            // Counts as a symbol.
            0x3006 => {}
            _ if is_emoji(c) && !scripts.any() => return Some(EMOJI),
            _ if c.is_alphabetic() => scripts.letters = true,
            _ if is_decimal_digit(c) => scripts.digits = true,
            _ => {}
        }
    }
    scripts.kind()
}

const JOINER: char = '\u{200D}';

/// Where a joiner stands before the first emoji of a segment that begins with something else.
fn glued_emoji(segment: &str) -> Option<usize> {
    let at = segment.find(is_emoji)?;
    let before = segment[..at].strip_suffix(JOINER)?;
    (!before.is_empty()).then_some(before.len())
}

/// What a segment holds.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "one per script")]
struct Scripts {
    letters: bool,
    digits: bool,
    katakana: bool,
    hangul: bool,
    underscore: bool,
}

impl Scripts {
    const fn any(&self) -> bool {
        self.letters || self.digits || self.katakana || self.hangul
    }

    const fn kind(&self) -> Option<&'static str> {
        match (self.any(), self.letters || self.underscore, self.digits, self.katakana, self.hangul) {
            (false, ..) => None,
            (_, false, false, true, false) => Some("<KATAKANA>"),
            (_, false, false, false, true) => Some("<HANGUL>"),
            (_, _, true, false, false) if !self.letters => Some(NUM),
            _ => Some(ALPHANUM),
        }
    }
}

const fn is_emoji(c: char) -> bool {
    matches!(
        c as u32,
        0x203C | 0x2049 | 0x2122 | 0x2139 | 0x2194..=0x21AA | 0x231A..=0x23FF | 0x25AA..=0x27BF
            | 0x2934..=0x2935 | 0x2B05..=0x2B55 | 0x1F000..=0x1FAFF
    )
}

/// Numbers that are no decimal digits (fractions, superscripts, enclosed numbers) are punctuation to UAX #29.
fn is_decimal_digit(c: char) -> bool {
    c.is_numeric()
        && !matches!(
            u32::from(c),
            0xB2 | 0xB3 | 0xB9 | 0xBC..=0xBE | 0x2070..=0x2089 | 0x2150..=0x215F | 0x2189 | 0x2460..=0x249B
                | 0x24EA..=0x24FF | 0x2776..=0x2793 | 0x3192..=0x3195 | 0x3220..=0x3229 | 0x3248..=0x325F
                | 0x3280..=0x3289 | 0x32B1..=0x32BF
        )
}

/// The tokens of `text`, as written; longer ones than `max_length` characters are cut.
pub fn tokens(text: &str, max_length: usize) -> Vec<Token> {
    let mut tokens = Vec::new();
    for (start, end, kind) in Words::new(text) {
        for (start, end) in pieces(text, start, end, max_length) {
            tokens.push(Token::new(&text[start..end], tokens.len(), start, end, kind));
        }
    }
    tokens
}

/// Cuts a word into stretches of at most `max_length` characters.
fn pieces(text: &str, start: usize, end: usize, max_length: usize) -> impl Iterator<Item = (usize, usize)> {
    let mut from = start;
    std::iter::from_fn(move || {
        if from >= end {
            return None;
        }
        let rest = &text[from..end];
        let to = rest.char_indices().nth(max_length).map_or(end, |(offset, _)| from + offset);
        let piece = (from, to);
        from = to;
        Some(piece)
    })
}

/// Lower-cases as Lucene's `LowerCaseFilter`: each character by itself, to one character.
pub fn lowercase_into(text: &str, out: &mut String) {
    if text.is_ascii() {
        out.push_str(text);
        out.make_ascii_lowercase();
        return;
    }
    out.extend(text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)));
}

/// The `standard` analyzer as a tantivy tokenizer; its one token buffer is reused.
#[derive(Clone, Default)]
pub struct StandardTokenizer {
    token: TantivyToken,
}

impl Tokenizer for StandardTokenizer {
    type TokenStream<'a> = StandardTokenStream<'a>;

    fn token_stream<'a>(&'a mut self, text: &'a str) -> StandardTokenStream<'a> {
        self.token.reset();
        StandardTokenStream { words: Words::new(text), cut: None, next_position: 0, token: &mut self.token }
    }
}

/// Stream of [`StandardTokenizer`].
pub struct StandardTokenStream<'a> {
    words: Words<'a>,
    /// What is left of a word longer than [`MAX_TOKEN_LENGTH`].
    cut: Option<(usize, usize)>,
    next_position: usize,
    token: &'a mut TantivyToken,
}

impl TokenStream for StandardTokenStream<'_> {
    fn advance(&mut self) -> bool {
        let word = self.cut.take().or_else(|| self.words.next().map(|(start, end, _)| (start, end)));
        let Some((start, mut end)) = word else { return false };
        // Bytes are at least characters, so most words are settled without counting.
        if end - start > MAX_TOKEN_LENGTH
            && let Some((_, to)) = pieces(self.words.text, start, end, MAX_TOKEN_LENGTH).next()
            && to < end
        {
            self.cut = Some((to, end));
            end = to;
        }
        if self.words.separators > 0 {
            self.next_position += self.words.separators * POSITION_GAP;
            self.words.separators = 0;
        }
        self.token.position = self.next_position;
        self.next_position += 1;
        self.token.offset_from = start;
        self.token.offset_to = end;
        self.token.position_length = 1;
        self.token.text.clear();
        lowercase_into(&self.words.text[start..end], &mut self.token.text);
        true
    }

    fn token(&self) -> &TantivyToken {
        self.token
    }

    fn token_mut(&mut self) -> &mut TantivyToken {
        self.token
    }
}
