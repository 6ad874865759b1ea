//! `strict_date_optional_time` and its lenient and nanosecond forms: read by hand, because every date of every
//! document goes through here.

use super::pattern::Fields;

/// Whether exactly two digits are asked for in months, days and so on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// `strict_date_optional_time`.
    Strict,
    /// `date_optional_time`: one digit will do.
    Lenient,
}

struct Cursor<'a> {
    rest: &'a str,
    strictness: Strictness,
}

impl Cursor<'_> {
    fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn digits(&mut self, min: usize, max: usize) -> Option<i64> {
        let length = self.rest.bytes().take(max).take_while(u8::is_ascii_digit).count();
        if length < min {
            return None;
        }
        let (digits, rest) = self.rest.split_at(length);
        self.rest = rest;
        digits.parse().ok()
    }

    fn two(&mut self) -> Option<i64> {
        self.digits(if self.strictness == Strictness::Strict { 2 } else { 1 }, 2)
    }
}

/// Reads `yyyy[-MM[-dd[THH[:mm[:ss[.n]]][offset]]]]` whole.
pub fn parse(text: &str, strictness: Strictness) -> Option<Fields> {
    let mut fields = Fields::default();
    let mut at = Cursor { rest: text, strictness };
    let negative = at.eat('-');
    let signed = negative || at.eat('+');
    let longest = if signed { 9 } else { 4 };
    let year = at.digits(if strictness == Strictness::Strict { 4 } else { 1 }, longest)?;
    fields.year = Some(if negative { -year } else { year });
    if at.eat('-') {
        fields.month = Some(at.two()?);
        if at.eat('-') {
            fields.day = Some(at.two()?);
        }
    }
    if at.eat('T') && !at.rest.is_empty() {
        fields.hour = Some(at.two()?);
        if at.eat(':') {
            fields.minute = Some(at.two()?);
            if at.eat(':') {
                fields.second = Some(at.two()?);
                if at.eat('.') || at.eat(',') {
                    let before = at.rest.len();
                    let digits = at.digits(1, 9)?;
                    fields.nano = Some(digits * 10_i64.pow(9 - u32::try_from(before - at.rest.len()).ok()?));
                }
            }
        }
        if !at.rest.is_empty() {
            let (seconds, rest) = offset(at.rest)?;
            fields.offset = Some(seconds);
            at.rest = rest;
        }
    }
    at.rest.is_empty().then_some(fields)
}

/// Reads `Z`, `+hh`, `+hh:mm`, `+hhmm`, each with optional seconds; gives seconds and what follows.
pub fn offset(text: &str) -> Option<(i32, &str)> {
    if let Some(rest) = text.strip_prefix('Z') {
        return Some((0, rest));
    }
    let (sign, rest) = match text.as_bytes().first()? {
        b'+' => (1, &text[1..]),
        b'-' => (-1, &text[1..]),
        _ => return None,
    };
    let mut at = Cursor { rest, strictness: Strictness::Strict };
    let hours = at.two()?;
    let mut seconds = hours * 3600;
    if at.rest.starts_with(|c: char| c == ':' || c.is_ascii_digit()) {
        at.eat(':');
        seconds += at.two()? * 60;
        if at.rest.starts_with(':') {
            at.eat(':');
            seconds += at.two()?;
        }
    }
    if seconds > 18 * 3600 {
        return None;
    }
    Some((sign * i32::try_from(seconds).ok()?, at.rest))
}
