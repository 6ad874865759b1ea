//! Running text: white space is collapsed, blocks become lines, and there is an end to it.

/// Text in the making.
#[derive(Debug)]
pub(crate) struct Flow {
    text: String,
    pending: Pending,
    /// Characters that may still be written.
    left: usize,
    truncated: bool,
}

/// What stands between the last character and the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Pending {
    Nothing,
    Space,
    Tab,
    Line,
}

impl Flow {
    pub(crate) fn new(max_characters: Option<usize>) -> Self {
        Self {
            text: String::new(),
            pending: Pending::Nothing,
            left: max_characters.unwrap_or(usize::MAX),
            truncated: false,
        }
    }

    /// Whether nothing more will be taken.
    pub(crate) fn is_full(&self) -> bool {
        self.truncated
    }

    /// Adds text, runs of white space as one space.
    pub(crate) fn collapsed(&mut self, text: &str) {
        for char in text.chars() {
            // The no-break space is content, but searches and people take it for a space.
            if char.is_whitespace() || char == '\u{a0}' {
                self.pending = self.pending.max(Pending::Space);
            } else {
                self.push(char);
            }
        }
    }

    /// Adds text as it stands (`<pre>`).
    pub(crate) fn verbatim(&mut self, text: &str) {
        for char in text.chars() {
            self.push(char);
        }
    }

    /// The next text starts on a new line.
    pub(crate) fn line(&mut self) {
        self.pending = Pending::Line;
    }

    /// The next text is a new cell.
    pub(crate) fn cell(&mut self) {
        self.pending = self.pending.max(Pending::Tab);
    }

    /// The next text is a new word.
    pub(crate) fn space(&mut self) {
        self.pending = self.pending.max(Pending::Space);
    }

    fn push(&mut self, char: char) {
        let between = match self.pending {
            _ if self.text.is_empty() => None,
            Pending::Nothing => None,
            Pending::Space => Some(' '),
            Pending::Tab => Some('\t'),
            Pending::Line => Some('\n'),
        };
        let needed = 1 + usize::from(between.is_some());
        if self.left < needed {
            self.left = 0;
            self.truncated = true;
            return;
        }
        self.pending = Pending::Nothing;
        self.left -= needed;
        self.text.extend(between);
        self.text.push(char);
    }

    /// The text and whether it was cut.
    pub(crate) fn finish(self) -> (String, bool) {
        (self.text, self.truncated)
    }
}
