//! Glob patterns with the meaning Python's `pathlib` gives them, because configurations are moved over from there.
//!
//! Hidden names match like all others; `*`, `?` and `[...]` stay within one name; a whole component `**` stands for any
//! number of folders, symbolic links to folders excepted; there is no escape character. A last component `**` matches all
//! files, as in Python 3.13 (earlier ones match folders only, which is of no use here).

use std::borrow::Cow;

use regex::Regex;

/// A bit set of components still to be matched: what the walk carries from folder to folder.
pub(super) type States = u64;

/// A parsed pattern.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    components: Vec<Component>,
}

#[derive(Debug, Clone)]
enum Component {
    /// `**`
    AnyDepth,
    /// A name without wildcards.
    Literal(String),
    /// A name with wildcards.
    Wildcard(Regex),
}

/// What a name means to the walk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    /// If it is a file, it is one to sync.
    pub file: bool,
    /// If it is a folder (or a link to one), go on there with these states.
    pub follow: States,
    /// If it is a folder and no link, go on there with these states too.
    pub descend: States,
}

impl Pattern {
    /// Parses the pattern. The error says what is wrong with it.
    pub(super) fn parse(pattern: &str) -> Result<Self, String> {
        if pattern.starts_with('/') {
            return Err("must be relative to `directory`: it starts with a slash".to_owned());
        }
        if pattern.ends_with('/') {
            return Err("ends with a slash and would match folders only".to_owned());
        }
        let mut components = Vec::new();
        for part in pattern.split('/').filter(|part| !part.is_empty() && *part != ".") {
            let component = match part {
                ".." => return Err("must not leave `directory`: it contains `..`".to_owned()),
                // Two in a row mean the same as one.
                "**" if matches!(components.last(), Some(Component::AnyDepth)) => continue,
                "**" => Component::AnyDepth,
                part if part.contains(['*', '?', '[']) => Component::Wildcard(wildcard(part)?),
                part => Component::Literal(part.to_owned()),
            };
            components.push(component);
        }
        if components.is_empty() {
            return Err("is empty".to_owned());
        }
        if components.len() >= States::BITS as usize {
            return Err(format!("has more than {} components", States::BITS - 1));
        }
        Ok(Self { components })
    }

    /// The states at the directory itself.
    pub(super) fn start(&self) -> States {
        self.close(1)
    }

    /// Adds the component after each `**`, which may stand for no folder at all.
    fn close(&self, states: States) -> States {
        let mut closed = states;
        for (index, component) in self.components.iter().enumerate() {
            if closed & (1 << index) != 0
                && matches!(component, Component::AnyDepth)
                && index + 1 < self.components.len()
            {
                closed |= 1 << (index + 1);
            }
        }
        closed
    }

    /// If only fixed names can match in these states: the names. The folder then need not be listed (nor be readable).
    pub(super) fn literals(&self, states: States) -> Option<Vec<&str>> {
        self.active(states)
            .map(|(_, component)| match component {
                Component::Literal(name) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }

    /// What the name (raw bytes) means in these states.
    pub(super) fn matches(&self, states: States, name: &[u8]) -> Match {
        let text = matchable(name);
        let mut result = Match { file: false, follow: 0, descend: 0 };
        for (index, component) in self.active(states) {
            let last = index + 1 == self.components.len();
            let matched = match component {
                Component::AnyDepth => {
                    result.descend |= 1 << index;
                    result.file |= last;
                    continue;
                }
                Component::Literal(literal) => literal.as_bytes() == name,
                Component::Wildcard(regex) => regex.is_match(&text),
            };
            if matched && last {
                result.file = true;
            } else if matched {
                result.follow |= 1 << (index + 1);
            }
        }
        result.follow = self.close(result.follow);
        result.descend = self.close(result.descend);
        result
    }

    fn active(&self, states: States) -> impl Iterator<Item = (usize, &Component)> {
        self.components.iter().enumerate().filter(move |(index, _)| states & (1 << index) != 0)
    }
}

/// The name as text. Each byte that is not part of a character becomes one of the last private characters, which no pattern
/// names: it then counts as one character, as in Python.
fn matchable(name: &[u8]) -> Cow<'_, str> {
    const PRIVATE: u32 = 0x10_ff00;
    if let Ok(text) = std::str::from_utf8(name) {
        return Cow::Borrowed(text);
    }
    let private = |byte: &u8| char::from_u32(PRIVATE + u32::from(*byte));
    let mut text = String::with_capacity(name.len() * 2);
    for chunk in name.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().filter_map(private));
    }
    Cow::Owned(text)
}

/// One component with the meaning of Python's `fnmatch`.
fn wildcard(part: &str) -> Result<Regex, String> {
    let mut regex = String::from("(?s)^");
    let mut rest = part.chars();
    while let Some(character) = rest.next() {
        match character {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '[' => match set(rest.as_str()) {
                Some((class, after)) => {
                    regex.push_str(&class);
                    rest = after.chars();
                }
                None => regex.push_str(r"\["),
            },
            other => regex.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
    }
    regex.push('$');
    Regex::new(&regex).map_err(|error| format!("has a part `{part}` that is too complex: {error}"))
}

/// The set after `[`: its regex and what follows. None if it is never closed: the bracket then stands for itself.
fn set(text: &str) -> Option<(String, &str)> {
    let (negated, body) = match text.strip_prefix('!') {
        Some(body) => (true, body),
        None => (false, text),
    };
    // A closing bracket in first place belongs to the set.
    let first = body.chars().next()?.len_utf8();
    let end = first + body[first..].find(']')?;
    let (members, after) = (&body[..end], &body[end + 1..]);
    let escaped = |member: char| format!(r"\x{{{:x}}}", u32::from(member));
    let mut class = String::new();
    let mut characters = members.chars().peekable();
    while let Some(from) = characters.next() {
        let mut ahead = characters.clone();
        if ahead.next() == Some('-')
            && let Some(to) = ahead.next()
        {
            characters = ahead;
            // An empty range (`z-a`) matches nothing.
            if from <= to {
                class.extend([escaped(from), "-".to_owned(), escaped(to)]);
            }
        } else {
            class.push_str(&escaped(from));
        }
    }
    let class = match (class.is_empty(), negated) {
        (true, true) => ".".to_owned(),
        (true, false) => "[^\\x{0}-\\x{10ffff}]".to_owned(),
        (false, true) => format!("[^{class}]"),
        (false, false) => format!("[{class}]"),
    };
    Some((class, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the pattern selects this relative path, if all its parents are plain folders.
    fn selects(pattern: &str, path: &str) -> bool {
        let pattern = Pattern::parse(pattern).unwrap();
        let names: Vec<&str> = path.split('/').collect();
        let (file, folders) = names.split_last().unwrap();
        let mut states = pattern.start();
        for folder in folders {
            let matched = pattern.matches(states, folder.as_bytes());
            states = matched.follow | matched.descend;
        }
        pattern.matches(states, file.as_bytes()).file
    }

    #[test]
    fn selects_what_pathlib_selects() {
        for (pattern, path, expected) in [
            ("**/*.*", "a.txt", true),
            ("**/*.*", "deep/er/a.txt", true),
            ("**/*.*", ".hidden", true),
            ("**/*.*", "Makefile", false),
            ("**/*", "Makefile", true),
            ("*", "Makefile", true),
            ("*", "sub/Makefile", false),
            ("*/*.rs", "src/lib.rs", true),
            ("*/*.rs", "lib.rs", false),
            ("src/**/*.rs", "src/lib.rs", true),
            ("src/**/*.rs", "src/a/b/lib.rs", true),
            ("src/**/*.rs", "tests/lib.rs", false),
            ("src/lib.rs", "src/lib.rs", true),
            ("./src//lib.rs", "src/lib.rs", true),
            ("**/a/**/b.txt", "x/a/y/z/b.txt", true),
            ("**/a/**/b.txt", "a/b.txt", true),
            ("**/a/**/b.txt", "x/b.txt", false),
            ("**/**/b.txt", "b.txt", true),
            ("**", "a/b", true),
            ("a/**", "b", false),
            ("?.txt", "é.txt", true),
            ("?.txt", "ab.txt", false),
            ("??.txt", "é.txt", false),
            ("[ab].txt", "b.txt", true),
            ("[!ab].txt", "b.txt", false),
            ("[!ab].txt", "c.txt", true),
            ("[a-c]x", "bx", true),
            ("[a-c]x", "dx", false),
            ("[]x]", "]", true),
            ("[!]x]", "]", false),
            ("[z-a]", "a", false),
            ("[!z-a]", "a", true),
            ("[a-]", "-", true),
            ("[^a]", "^", true),
            ("[a", "[a", true),
            ("[!", "[!", true),
            ("{a,b}.txt", "{a,b}.txt", true),
            ("{a,b}*", "a", false),
            ("a\\*", "a\\b", true),
            ("*.TXT", "a.txt", false),
            ("a**", "abc", true),
            ("x.y*", "xzy", false),
        ] {
            assert_eq!(selects(pattern, path), expected, "{pattern} on {path}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_match_wildcards() {
        let pattern = Pattern::parse("f?o*").unwrap();
        assert!(pattern.matches(pattern.start(), b"f\xffo\xfe\n").file);
        assert!(!pattern.matches(pattern.start(), b"f\xff\xffo").file);
    }

    #[test]
    fn links_are_followed_by_names_only() {
        let pattern = Pattern::parse("**/*/x").unwrap();
        let matched = pattern.matches(pattern.start(), b"folder");
        assert_eq!(matched, Match { file: false, follow: 0b100, descend: 0b011 });
    }

    #[test]
    fn fixed_names_need_no_listing() {
        let pattern = Pattern::parse("a/b*/c").unwrap();
        assert_eq!(pattern.literals(pattern.start()), Some(vec!["a"]));
        assert_eq!(pattern.literals(0b010), None);
        assert_eq!(Pattern::parse("**/c").unwrap().literals(0b11), None);
    }

    #[test]
    fn patterns_that_cannot_work_are_refused() {
        let deep = "a/".repeat(64) + "b";
        for (pattern, reason) in [
            ("", "empty"),
            (".", "empty"),
            ("/etc/*", "relative"),
            ("../*", "leave"),
            ("a/", "folders only"),
            (deep.as_str(), "components"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.contains(reason), "{pattern}: {error}");
        }
    }
}
