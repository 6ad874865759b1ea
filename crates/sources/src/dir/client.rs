//! The file system: walking a directory and reading a file. Knows nothing of documents.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use connectors_extraction::{into_text, is_text};
use connectors_sdk::SourceError;

use super::error::{Unreadable, at_root};
use super::pattern::{Pattern, States};

/// Entries between two looks at whether the sync was stopped.
const CHECK_EVERY: u32 = 128;

/// "Too many levels of symbolic links"; the standard library has no stable name for it.
const ELOOP: i32 = if cfg!(any(target_os = "linux", target_os = "android")) { 40 } else { 62 };

/// A directory and which of its files are wanted.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    root: PathBuf,
    pattern: Pattern,
}

/// What a walk did not hand out.
#[derive(Debug, Default)]
pub(super) struct Skipped {
    /// Files and folders that were gone when they were looked at.
    pub vanished: u64,
    /// Symbolic links that lead nowhere or around in a loop.
    pub broken_links: u64,
    /// Folders (and files in folders that may be listed but not entered) that the service may not read.
    pub unreadable: Unreadable,
}

/// Receives the path of each file, its metadata (links followed), and whether it is a link.
type Visit<'a> = dyn FnMut(&Path, &Metadata, bool) -> Result<(), SourceError> + 'a;

impl Directory {
    pub(super) fn new(directory: &str, pattern: &str) -> Result<Self, SourceError> {
        if directory.is_empty() {
            return Err(SourceError::configuration("directory", "is empty"));
        }
        let root = absolute(Path::new(directory)).map_err(|error| {
            SourceError::configuration("directory", error).with_hint("Use an absolute path.")
        })?;
        let pattern =
            Pattern::parse(pattern).map_err(|problem| SourceError::configuration("pattern", problem))?;
        Ok(Self { root, pattern })
    }

    /// Whether the directory can be listed at all.
    pub(super) fn check(&self) -> Result<(), SourceError> {
        fs::read_dir(&self.root).map(drop).map_err(|error| at_root(&self.root, error))
    }

    /// Hands out every matching regular file once, in the order of the file system; ends early when `stopped` says so.
    pub(super) fn walk(
        &self,
        stopped: impl Fn() -> bool,
        mut visit: impl FnMut(&Path, &Metadata, bool) -> Result<(), SourceError>,
    ) -> Result<Skipped, SourceError> {
        self.check()?;
        let mut walk = Walk {
            pattern: &self.pattern,
            stopped: &stopped,
            visit: &mut visit,
            folders: vec![(self.root.clone(), self.pattern.start())],
            skipped: Skipped::default(),
            entries: 0,
        };
        while let Some((folder, states)) = walk.folders.pop() {
            match self.pattern.literals(states) {
                Some(names) => walk.probe(&folder, states, &names)?,
                None => walk.list(&folder, states)?,
            }
        }
        Ok(walk.skipped)
    }
}

/// A walk in progress.
struct Walk<'a> {
    pattern: &'a Pattern,
    stopped: &'a dyn Fn() -> bool,
    visit: &'a mut Visit<'a>,
    /// Folders to go into, with what of the pattern is left there. A stack on the heap: no depth is too deep.
    folders: Vec<(PathBuf, States)>,
    skipped: Skipped,
    entries: u32,
}

impl Walk<'_> {
    /// Lists a folder. One folder is open at a time.
    fn list(&mut self, folder: &Path, states: States) -> Result<(), SourceError> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) => {
                self.missed(folder, error);
                return Ok(());
            }
        };
        for entry in entries {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.missed(folder, error);
                    return Ok(());
                }
            };
            self.enter(&entry.path(), states, entry.file_type().map(|kind| kind.is_symlink()), || {
                entry.metadata()
            })?;
        }
        Ok(())
    }

    /// Looks for fixed names without listing the folder.
    fn probe(&mut self, folder: &Path, states: States, names: &[&str]) -> Result<(), SourceError> {
        for name in names {
            let path = folder.join(name);
            match fs::symlink_metadata(&path) {
                // Nothing of that name: it simply does not match.
                Err(error) if absent(&error) => {}
                Err(error) => self.missed(&path, error),
                Ok(metadata) => self.enter(&path, states, Ok(metadata.is_symlink()), || Ok(metadata))?,
            }
        }
        Ok(())
    }

    /// One entry of a folder: hand it out, go into it later, or neither.
    fn enter(
        &mut self,
        path: &Path,
        states: States,
        symlink: io::Result<bool>,
        metadata: impl FnOnce() -> io::Result<Metadata>,
    ) -> Result<(), SourceError> {
        self.entries += 1;
        if self.entries.is_multiple_of(CHECK_EVERY) && (self.stopped)() {
            return Err(SourceError::canceled());
        }
        let name = path.file_name().map(OsStr::as_encoded_bytes).unwrap_or_default();
        let matched = self.pattern.matches(states, name);
        if !matched.file && matched.follow | matched.descend == 0 {
            return Ok(());
        }
        let symlink = match symlink {
            Ok(true) if !matched.file && matched.follow == 0 => return Ok(()),
            Ok(symlink) => symlink,
            Err(error) => {
                self.missed(path, error);
                return Ok(());
            }
        };
        let metadata = match if symlink { fs::metadata(path) } else { metadata() } {
            Ok(metadata) => metadata,
            Err(error) if symlink && (absent(&error) || error.raw_os_error() == Some(ELOOP)) => {
                self.skipped.broken_links += 1;
                return Ok(());
            }
            Err(error) => {
                self.missed(path, error);
                return Ok(());
            }
        };
        if metadata.is_dir() {
            let states = if symlink { matched.follow } else { matched.follow | matched.descend };
            if states != 0 {
                self.folders.push((path.to_owned(), states));
            }
        } else if metadata.is_file() && matched.file {
            (self.visit)(path, &metadata, symlink)?;
        }
        Ok(())
    }

    /// Something that was there a moment ago cannot be read.
    fn missed(&mut self, path: &Path, error: io::Error) {
        if absent(&error) {
            self.skipped.vanished += 1;
        } else {
            self.skipped.unreadable.add(path, error);
        }
    }
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The absolute path with `.` and `..` taken away as text, links not resolved: document ids depend on it, and Elastic's
/// connector does the same.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    let mut absolute = PathBuf::new();
    for component in std::path::absolute(path)?.components() {
        match component {
            Component::ParentDir => {
                absolute.pop();
            }
            Component::CurDir => {}
            other => absolute.push(other),
        }
    }
    Ok(absolute)
}

/// What a file holds.
#[derive(Debug, PartialEq)]
pub(super) enum FileContent {
    /// All bytes are text.
    Text(String),
    /// Something else, and binary content was wanted.
    Binary(Vec<u8>),
    /// Neither of them, or too large.
    Unwanted,
}

/// Upper bounds, in bytes, for what is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wanted {
    /// Longest text.
    pub text: u64,
    /// Longest binary content; none: not wanted.
    pub binary: Option<u64>,
}

/// Which file was listed: a path may lead to another one by the time it is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Identity([u64; 2], [i64; 2], u32);

impl Identity {
    /// Device and inode, and what changes with every change of permissions.
    pub(super) fn of(metadata: &Metadata) -> Self {
        let changed = [metadata.ctime(), metadata.ctime_nsec()];
        Self([metadata.dev(), metadata.ino()], changed, metadata.mode())
    }
}

/// Reads a file of about this length, in bytes, as far as its content is wanted. A file that is not `only` this one any more
/// counts as vanished.
pub(super) fn read(
    path: &Path,
    length: u64,
    wanted: Wanted,
    only: Option<Identity>,
) -> io::Result<FileContent> {
    /// Enough to recognise most binary formats without reading them whole.
    const HEAD: u64 = 8 * 1024;
    let limit = wanted.text.max(wanted.binary.unwrap_or(0));
    if length > limit {
        return Ok(FileContent::Unwanted);
    }
    let mut file = File::open(path)?;
    if let Some(only) = only
        && Identity::of(&file.metadata()?) != only
    {
        return Err(io::Error::new(
            io::ErrorKind::NotFound,
            "it was changed or replaced after it was listed",
        ));
    }
    let mut bytes = Vec::new();
    if length > HEAD && wanted.binary.is_none_or(|binary| length > binary) {
        bytes.reserve_exact(usize::try_from(length).unwrap_or(0).saturating_add(1));
        file.by_ref().take(HEAD).read_to_end(&mut bytes)?;
        if !starts_as_text(&bytes) {
            return Ok(FileContent::Unwanted);
        }
    } else if read_at_once(&mut file, length, &mut bytes)? {
        return Ok(content_of(bytes, wanted));
    }
    // A file that grows while it is read is read to the limit at most.
    let rest = (limit + 1).saturating_sub(bytes.len() as u64);
    file.take(rest).read_to_end(&mut bytes)?;
    Ok(content_of(bytes, wanted))
}

/// Reads this many bytes, and tells whether that was certainly all there is: there was room for more, and none came.
fn read_at_once(file: &mut File, length: u64, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let length = usize::try_from(length).map_err(io::Error::other)?;
    bytes.resize(length.saturating_add(1), 0);
    let read = loop {
        match file.read(bytes) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            done => break done?,
        }
    };
    bytes.truncate(read);
    Ok(read == length)
}

fn content_of(mut bytes: Vec<u8>, wanted: Wanted) -> FileContent {
    let length = bytes.len() as u64;
    let fits = length.saturating_mul(LONGEST_ESCAPE) <= wanted.text || escaped_len(&bytes) <= wanted.text;
    if fits {
        match into_text(bytes) {
            Ok(text) => return FileContent::Text(text),
            Err(other) => bytes = other,
        }
    }
    match wanted.binary {
        Some(binary) if length <= binary => FileContent::Binary(bytes),
        _ => FileContent::Unwanted,
    }
}

/// Whether these first bytes of a file may be the start of a text.
fn starts_as_text(head: &[u8]) -> bool {
    match std::str::from_utf8(head) {
        Ok(_) => is_text(head).is_some(),
        // The last character was cut off.
        Err(error) if error.error_len().is_none() => is_text(&head[..error.valid_up_to()]).is_some(),
        Err(_) => false,
    }
}

/// Bytes that one byte of a text takes in JSON at most.
const LONGEST_ESCAPE: u64 = 6;

/// Bytes the text takes as a JSON string: that is what Elasticsearch is sent, and what the limit is for.
fn escaped_len(text: &[u8]) -> u64 {
    text.iter()
        .map(|byte| match byte {
            b'"' | b'\\' | b'\n' | b'\r' | b'\t' | 0x08 | 0x0c => 2,
            0..=0x1f => LONGEST_ESCAPE,
            _ => 1,
        })
        .sum()
}
