//! Rows that become one document, because their ids are the same.

use std::collections::HashSet;

use xxhash_rust::xxh3::xxh3_64;

/// Ids that are remembered, 8 bytes each. Of later ones it is known only whether they are among these.
const REMEMBERED: usize = 1_000_000;

/// Counts ids that came before.
#[derive(Default)]
pub(crate) struct Repeated {
    ids: HashSet<u64>,
    count: u64,
}

impl Repeated {
    pub(crate) fn see(&mut self, id: &str) {
        let hash = xxh3_64(id.as_bytes());
        if self.ids.contains(&hash) {
            self.count += 1;
        } else if self.ids.len() < REMEMBERED {
            self.ids.insert(hash);
        }
    }

    /// How many there are, as `5` or `at least 5`; `None` where there is none.
    pub(crate) fn count(&self) -> Option<String> {
        let least = if self.ids.len() == REMEMBERED { "at least " } else { "" };
        (self.count > 0).then(|| format!("{least}{}", self.count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_came_before_are_counted() {
        let mut repeated = Repeated::default();
        for id in ["a", "b", "c"] {
            repeated.see(id);
        }
        assert_eq!(repeated.count(), None);
        for id in ["a", "a", "c", "d"] {
            repeated.see(id);
        }
        assert_eq!(repeated.count().as_deref(), Some("3"));
    }
}
