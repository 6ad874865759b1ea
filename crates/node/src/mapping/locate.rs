//! Line and column of a value in a document: computed only when an error needs them.

/// One step down into a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The n-th member of an object.
    Member(usize),
    /// The n-th item of an array.
    Item(usize),
}

/// Which place of a value is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Its first byte.
    Value,
    /// The key in front of it.
    Key,
    /// Its last byte.
    End,
}

/// Line and column, from 1. `None` for steps that do not lead anywhere, which valid JSON and its own steps cannot give.
pub fn find(source: &[u8], steps: &[Step], of: Of) -> Option<(usize, usize)> {
    let mut scan = Scan { source, at: 0 };
    scan.space();
    let mut key = scan.at;
    for step in steps {
        scan.at += 1;
        let (Step::Member(skip) | Step::Item(skip)) = *step;
        for n in 0..=skip {
            scan.space();
            if n > 0 {
                scan.at += 1;
                scan.space();
            }
            if matches!(step, Step::Member(_)) {
                key = scan.at;
                scan.value()?;
                scan.space();
                scan.at += 1;
                scan.space();
            } else {
                key = scan.at;
            }
            if n < skip {
                scan.value()?;
            }
        }
    }
    let offset = match of {
        Of::Value => scan.at,
        Of::Key => key,
        Of::End => {
            scan.value()?;
            scan.at - 1
        }
    };
    let before = source.get(..offset)?;
    // Counting starts at 1, and splitting nothing gives one line.
    let lines: Vec<&[u8]> = before.split(|byte| *byte == b'\n').collect();
    Some((lines.len(), 1 + lines.last().map_or(0, |line| line.len())))
}

struct Scan<'a> {
    source: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn space(&mut self) {
        while self.source.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    /// Goes behind one value.
    fn value(&mut self) -> Option<()> {
        let mut depth = 0_usize;
        loop {
            match *self.source.get(self.at)? {
                b'"' => self.text()?,
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' => {
                    depth = depth.checked_sub(1)?;
                    self.at += 1;
                }
                b',' | b':' | b' ' | b'\t' | b'\r' | b'\n' => {
                    self.at += 1;
                    continue;
                }
                _ => {
                    while self.source.get(self.at).is_some_and(|byte| !b",:]} \t\r\n".contains(byte)) {
                        self.at += 1;
                    }
                }
            }
            if depth == 0 {
                return Some(());
            }
        }
    }

    fn text(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match *self.source.get(self.at)? {
                b'\\' => self.at += 2,
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                _ => self.at += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_those_elasticsearch_names() {
        let find = |source: &str, steps: &[Step], of| find(source.as_bytes(), steps, of).unwrap();
        assert_eq!(find(r#"{"l":"abc"}"#, &[Step::Member(0)], Of::Value), (1, 6));
        assert_eq!(find(r#"{"l":{"a":1}}"#, &[Step::Member(0)], Of::End), (1, 12));
        assert_eq!(find(r#"{"k":["a",{"a":1}]}"#, &[Step::Member(0), Step::Item(1)], Of::End), (1, 17));
        assert_eq!(find(r#"{"o":[1]}"#, &[Step::Member(0), Step::Item(0)], Of::Value), (1, 7));
        let text = "{\n  \"a\\\"b\": [1, {}],\n  \"c\": {\"d\": true}\n}";
        assert_eq!(find(text, &[Step::Member(1), Step::Member(0)], Of::Value), (3, 14));
        assert_eq!(find(text, &[Step::Member(1)], Of::Key), (3, 3));
        assert_eq!(super::find(b"{}", &[Step::Member(0)], Of::Value), None);
    }
}
