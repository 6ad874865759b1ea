//! Porter's stemmer of 1980, which Lucene's `PorterStemFilter` (the `english` analyzer) uses. The newer Snowball
//! "English" algorithm gives other stems.

/// The stem of a lower-case word; words with anything but ASCII letters and digits are left alone.
pub fn stem(word: &str) -> String {
    if word.len() <= 2 || !word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'\'') {
        return word.to_owned();
    }
    let mut stemmer = Porter { word: word.as_bytes().to_vec() };
    stemmer.step1();
    stemmer.step2();
    stemmer.step3();
    stemmer.step4();
    stemmer.step5();
    String::from_utf8_lossy(&stemmer.word).into_owned()
}

struct Porter {
    word: Vec<u8>,
}

impl Porter {
    fn consonant(&self, index: usize) -> bool {
        match self.word[index] {
            b'a' | b'e' | b'i' | b'o' | b'u' => false,
            b'y' => index == 0 || !self.consonant(index - 1),
            _ => true,
        }
    }

    /// Porter's m: vowel-consonant sequences in the first `length` letters.
    fn measure(&self, length: usize) -> usize {
        let mut count = 0;
        let mut vowel = false;
        for index in 0..length {
            let consonant = self.consonant(index);
            if consonant && vowel {
                count += 1;
            }
            vowel = !consonant;
        }
        count
    }

    fn has_vowel(&self, length: usize) -> bool {
        (0..length).any(|index| !self.consonant(index))
    }

    fn double_consonant(&self) -> bool {
        let length = self.word.len();
        length >= 2 && self.word[length - 1] == self.word[length - 2] && self.consonant(length - 1)
    }

    /// Consonant, vowel, consonant other than w, x, y at the end of the first `length` letters.
    fn short_syllable(&self, length: usize) -> bool {
        length >= 3
            && self.consonant(length - 1)
            && !self.consonant(length - 2)
            && self.consonant(length - 3)
            && !matches!(self.word[length - 1], b'w' | b'x' | b'y')
    }

    /// Length without `suffix`, if the word ends so.
    fn without(&self, suffix: &str) -> Option<usize> {
        self.word.ends_with(suffix.as_bytes()).then(|| self.word.len() - suffix.len())
    }

    fn set(&mut self, length: usize, suffix: &str) {
        self.word.truncate(length);
        self.word.extend_from_slice(suffix.as_bytes());
    }

    /// Plurals, `-ed`, `-ing`, and `y` to `i`.
    fn step1(&mut self) {
        if self.word.ends_with(b"s") {
            if self.word.ends_with(b"sses") || self.word.ends_with(b"ies") {
                self.word.truncate(self.word.len() - 2);
            } else if !self.word.ends_with(b"ss") {
                self.word.pop();
            }
        }
        if let Some(length) = self.without("eed") {
            if self.measure(length) > 0 {
                self.word.pop();
            }
        } else if let Some(length) =
            self.without("ed").or_else(|| self.without("ing")).filter(|&length| self.has_vowel(length))
        {
            self.word.truncate(length);
            if [&b"at"[..], b"bl", b"iz"].iter().any(|end| self.word.ends_with(end)) {
                self.word.push(b'e');
            } else if self.double_consonant() {
                if !matches!(self.word.last(), Some(b'l' | b's' | b'z')) {
                    self.word.pop();
                }
            } else if self.measure(self.word.len()) == 1 && self.short_syllable(self.word.len()) {
                self.word.push(b'e');
            }
        }
        if let Some(length) = self.without("y").filter(|&length| self.has_vowel(length)) {
            self.set(length, "i");
        }
    }

    /// Replaces the first suffix of `table` the word ends with, if what is left has m > 0.
    fn replace(&mut self, table: &[(&str, &str)]) {
        for (suffix, with) in table {
            if let Some(length) = self.without(suffix) {
                if self.measure(length) > 0 {
                    self.set(length, with);
                }
                return;
            }
        }
    }

    fn step2(&mut self) {
        self.replace(&[
            ("ational", "ate"),
            ("tional", "tion"),
            ("enci", "ence"),
            ("anci", "ance"),
            ("izer", "ize"),
            ("bli", "ble"),
            ("alli", "al"),
            ("entli", "ent"),
            ("eli", "e"),
            ("ousli", "ous"),
            ("ization", "ize"),
            ("ation", "ate"),
            ("ator", "ate"),
            ("alism", "al"),
            ("iveness", "ive"),
            ("fulness", "ful"),
            ("ousness", "ous"),
            ("aliti", "al"),
            ("iviti", "ive"),
            ("biliti", "ble"),
            ("logi", "log"),
        ]);
    }

    fn step3(&mut self) {
        self.replace(&[
            ("icate", "ic"),
            ("ative", ""),
            ("alize", "al"),
            ("iciti", "ic"),
            ("ical", "ic"),
            ("ful", ""),
            ("ness", ""),
        ]);
    }

    fn step4(&mut self) {
        const SUFFIXES: &[&str] = &[
            "al", "ance", "ence", "er", "ic", "able", "ible", "ant", "ement", "ment", "ent", "ion", "ou",
            "ism", "ate", "iti", "ous", "ive", "ize",
        ];
        for suffix in SUFFIXES {
            let Some(length) = self.without(suffix) else { continue };
            let allowed = *suffix != "ion" || (length > 0 && matches!(self.word[length - 1], b's' | b't'));
            if !allowed {
                continue;
            }
            if self.measure(length) > 1 {
                self.word.truncate(length);
            }
            return;
        }
    }

    fn step5(&mut self) {
        if let Some(length) = self.without("e") {
            let measure = self.measure(length);
            if measure > 1 || (measure == 1 && !self.short_syllable(length)) {
                self.word.truncate(length);
            }
        }
        if self.word.ends_with(b"l") && self.double_consonant() && self.measure(self.word.len()) > 1 {
            self.word.pop();
        }
    }
}
