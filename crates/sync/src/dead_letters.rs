//! Documents that could not be written, and why.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use crate::error::SyncError;

/// Longest reason kept, in characters: Elasticsearch may quote a whole field.
const LONGEST_REASON: usize = 500;

/// One document that was not written or deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Its id.
    pub id: String,
    /// `index`, `update` or `delete`; `download` and `size` when it was not even sent.
    pub operation: &'static str,
    /// HTTP status of the refusal; none when it was not sent.
    pub status: Option<u16>,
    /// Kind of the error: Elasticsearch's exception type or the name of the source's error.
    #[serde(rename = "type")]
    pub kind: String,
    /// What was wrong.
    pub reason: String,
}

/// The dead letters of a job.
#[derive(Debug)]
pub(crate) struct DeadLetters {
    first: Vec<DeadLetter>,
    keep: usize,
    file: Option<File>,
}

impl DeadLetters {
    /// Keeps the first `keep`; appends all to `file`. A file that cannot be opened is an error of the job, whose other
    /// books are needed all the same.
    pub(crate) fn open(keep: usize, file: Option<&Path>) -> (Self, Result<(), SyncError>) {
        let mut letters = Self { first: Vec::new(), keep, file: None };
        let opened = file.map(|path| (path, File::options().create(true).append(true).open(path)));
        let result = match opened {
            None => Ok(()),
            Some((_, Ok(file))) => {
                letters.file = Some(file);
                Ok(())
            }
            Some((path, Err(error))) => Err(SyncError::File { path: path.display().to_string(), error }),
        };
        (letters, result)
    }

    pub(crate) fn add(&mut self, mut letter: DeadLetter) {
        if let Some((end, _)) = letter.reason.char_indices().nth(LONGEST_REASON) {
            letter.reason.truncate(end);
            letter.reason.push('…');
        }
        tracing::warn!(
            "document {} was not written ({}{}): {}: {}",
            letter.id,
            letter.operation,
            letter.status.map(|status| format!(", status {status}")).unwrap_or_default(),
            letter.kind,
            letter.reason
        );
        if let Some(file) = &mut self.file {
            let line = serde_json::to_string(&letter).map_err(io::Error::from);
            if let Err(error) = line.and_then(|line| file.write_all(format!("{line}\n").as_bytes())) {
                tracing::error!("dead letters cannot be written to their file any more: {error}");
                self.file = None;
            }
        }
        if self.first.len() < self.keep {
            self.first.push(letter);
        }
    }

    pub(crate) fn first(&self) -> Vec<DeadLetter> {
        self.first.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(id: &str) -> DeadLetter {
        DeadLetter {
            id: id.to_owned(),
            operation: "index",
            status: Some(400),
            kind: "document_parsing_exception".to_owned(),
            reason: "é".repeat(600),
        }
    }

    #[test]
    fn the_first_are_kept_and_all_are_filed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("dead.jsonl");
        for round in 1..=2 {
            let (mut letters, opened) = DeadLetters::open(2, Some(&path));
            opened.unwrap();
            for id in ["a", "b", "c"] {
                letters.add(letter(id));
            }
            let kept = letters.first();
            assert_eq!(kept.len(), 2);
            assert_eq!(kept[1].reason.chars().count(), LONGEST_REASON + 1);
            let lines = std::fs::read_to_string(&path).unwrap();
            let last: serde_json::Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
            assert_eq!(lines.lines().count(), 3 * round, "a later job appends");
            assert_eq!((&last["id"], &last["type"]), (&"c".into(), &"document_parsing_exception".into()));
        }
        let (_, opened) = DeadLetters::open(2, Some(directory.path()));
        assert!(matches!(opened, Err(SyncError::File { .. })));
    }
}
