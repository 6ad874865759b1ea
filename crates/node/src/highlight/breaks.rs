//! Where fragments may begin and end, in characters.
//!
//! Elasticsearch uses Java's break iterators. Words are those of UAX #29 in both; sentences follow Java's rules, which
//! know no line breaks: `!` and `?` always end a sentence, a full stop only before white space and no lower-case letter.

use unicode_segmentation::UnicodeSegmentation;

/// Boundaries of words: starts of all segments (blanks and punctuation too) and the end.
pub fn words(text: &str) -> Vec<usize> {
    let mut at = 0;
    let mut boundaries = vec![0];
    for segment in text.split_word_bounds() {
        at += segment.chars().count();
        boundaries.push(at);
    }
    boundaries
}

/// Boundaries of sentences.
pub fn sentences(chars: &[char]) -> Vec<usize> {
    let mut boundaries = vec![0];
    let mut at = 0;
    while at < chars.len() {
        if let Some(end) = sentence_end(chars, at) {
            boundaries.push(end);
            at = end;
        } else {
            at += 1;
        }
    }
    if boundaries.last() != Some(&chars.len()) {
        boundaries.push(chars.len());
    }
    boundaries
}

const fn is_term(c: char) -> bool {
    matches!(c, '!' | '?' | '。' | '！' | '？')
}

const fn is_stop(c: char) -> bool {
    matches!(c, '.' | '．')
}

const fn opens(c: char) -> bool {
    matches!(c, '(' | '[' | '{' | '"' | '\'' | '«' | '‘' | '“' | '„' | '‹' | '「' | '『' | '（')
}

const fn closes(c: char) -> bool {
    matches!(c, ')' | ']' | '}' | '"' | '\'' | '»' | '’' | '”' | '›' | '」' | '』' | '）')
}

/// The boundary after the terminator at `at`, if it ends a sentence.
fn sentence_end(chars: &[char], at: usize) -> Option<usize> {
    if chars[at] == '\u{2029}' {
        return Some(at + 1);
    }
    if !is_term(chars[at]) && !is_stop(chars[at]) {
        return None;
    }
    let skip = |from: usize, fits: fn(char) -> bool| {
        chars[from..].iter().position(|&c| !fits(c)).map_or(chars.len(), |offset| from + offset)
    };
    let run = skip(at, |c| is_term(c) || is_stop(c));
    let unambiguous = chars[at..run].iter().any(|&c| is_term(c));
    let after_close = skip(run, closes);
    let after_blanks = skip(after_close, char::is_whitespace);
    if unambiguous {
        return Some(after_blanks);
    }
    if after_blanks == after_close {
        return None;
    }
    let next = skip(after_blanks, opens);
    match chars.get(next) {
        Some(c) if c.is_lowercase() => None,
        _ => Some(after_blanks),
    }
}

/// The last boundary before `offset`.
pub fn preceding(boundaries: &[usize], offset: usize) -> Option<usize> {
    let index = boundaries.partition_point(|&boundary| boundary < offset);
    index.checked_sub(1).map(|index| boundaries[index])
}

/// The first boundary after `offset`.
pub fn following(boundaries: &[usize], offset: usize) -> Option<usize> {
    boundaries.get(boundaries.partition_point(|&boundary| boundary <= offset)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_as_in_java() {
        let cut = |text: &str| {
            let chars: Vec<char> = text.chars().collect();
            sentences(&chars)
                .windows(2)
                .map(|pair| chars[pair[0]..pair[1]].iter().collect::<String>())
                .collect::<Vec<_>>()
        };
        assert_eq!(
            cut("One. Two 3.5 three. four! Five? \"Six.\" Seven"),
            ["One. ", "Two 3.5 three. four! ", "Five? ", "\"Six.\" ", "Seven"]
        );
        assert_eq!(cut("a\nb println!(x)\n"), ["a\nb println!", "(x)\n"]);
        assert!(cut("").is_empty());
    }
}
