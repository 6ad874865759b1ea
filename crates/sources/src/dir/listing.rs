//! What an earlier sync found, kept on this machine so that the next one can tell what changed and what is gone.
//!
//! A file for each listing, in the connector's state folder; the sync cursor names it. It holds 24 bytes for each file of the
//! directory: the document's id (MD5) and a stamp of everything about the file that its document depends on.

use std::fs::{self, File, Metadata};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use md5::{Digest, Md5};
use serde_json::{Value, json};

/// First bytes of a listing's file; the last of them is the version of the format.
const MAGIC: &[u8; 8] = b"dirlist1";
/// Listings kept: the last one, the one before in case its job did not complete, and one to spare.
const KEPT: usize = 3;
const ENTRY: usize = 24;

/// A document's id in binary form.
pub(super) type Id = [u8; 16];

/// What of a file decides about its document, in short.
pub(super) type Stamp = [u8; 8];

/// The stamp of a file.
pub(super) fn stamp(metadata: &Metadata, access: Option<&[String]>) -> Stamp {
    let mut hash = Md5::new();
    for number in [metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec()] {
        hash.update(number.to_le_bytes());
    }
    for number in [metadata.len(), metadata.ino(), metadata.dev()] {
        hash.update(number.to_le_bytes());
    }
    for identity in access.into_iter().flatten() {
        hash.update(identity);
        hash.update([0]);
    }
    first(&hash.finalize())
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut part = [0; N];
    part.copy_from_slice(&bytes[..N]);
    part
}

/// Where listings are kept, and for which settings of the source: a listing made with others does not count.
#[derive(Debug, Clone)]
pub(super) struct Shelf {
    folder: PathBuf,
    settings: [u8; 16],
}

impl Shelf {
    pub(super) fn new(folder: &Path, settings: &str) -> Self {
        Self { folder: folder.to_owned(), settings: Md5::digest(settings).into() }
    }

    fn path(&self, name: &str) -> Option<PathBuf> {
        // The cursor is stored where others can write it.
        let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        (plain && name.starts_with("listing-")).then(|| self.folder.join(name))
    }

    /// The listing a cursor names; none if it is not here any more, or was made with other settings.
    pub(super) fn open(&self, cursor: Option<&Value>) -> io::Result<Option<Known>> {
        let name = cursor.and_then(|cursor| cursor["listing"].as_str());
        let Some(path) = name.and_then(|name| self.path(name)) else { return Ok(None) };
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let head = [&MAGIC[..], &self.settings].concat();
        Ok(bytes
            .strip_prefix(head.as_slice())
            .filter(|rest| rest.len().is_multiple_of(ENTRY))
            .map(|rest| Known::parse(name.unwrap_or_default(), rest)))
    }

    /// Begins a new listing. The one to `keep` is what the cursor names until the job has completed.
    pub(super) fn write(&self, keep: Option<String>) -> io::Result<Writer> {
        fs::create_dir_all(&self.folder)?;
        let now = Timestamp::now();
        let name = format!("listing-{}-{}", now.as_nanosecond(), std::process::id());
        let mut file = BufWriter::new(File::create_new(self.folder.join(&name))?);
        file.write_all(MAGIC)?;
        file.write_all(&self.settings)?;
        Ok(Writer { shelf: self.clone(), name, file, begun: now, keep, finished: false })
    }

    /// Removes all but the last listings and this one.
    fn tidy(&self, keep: Option<&str>) -> io::Result<()> {
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            names.extend(entry?.file_name().into_string().ok().filter(|name| name.starts_with("listing-")));
        }
        // The time in the name has the same number of digits for the next 250 years.
        names.sort();
        for name in names.iter().rev().skip(KEPT).filter(|name| Some(name.as_str()) != keep) {
            fs::remove_file(self.folder.join(name))?;
        }
        Ok(())
    }
}

/// A listing being written. One that is not finished is removed.
#[derive(Debug)]
pub(super) struct Writer {
    shelf: Shelf,
    name: String,
    file: BufWriter<File>,
    begun: Timestamp,
    keep: Option<String>,
    finished: bool,
}

impl Writer {
    pub(super) fn add(&mut self, id: &Id, stamp: Stamp) -> io::Result<()> {
        self.file.write_all(id)?;
        self.file.write_all(&stamp)
    }

    /// Completes the listing; answers the cursor that names it.
    pub(super) fn finish(mut self) -> io::Result<Value> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        self.finished = true;
        self.shelf.tidy(self.keep.as_deref())?;
        Ok(
            json!({"listing": self.name, "cursor_timestamp": connectors_protocol::timestamp::format(self.begun)}),
        )
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished
            && let Err(error) = fs::remove_file(self.shelf.folder.join(&self.name))
        {
            tracing::debug!("an unfinished listing stays behind: {error}");
        }
    }
}

/// An earlier listing.
#[derive(Debug)]
pub(super) struct Known {
    /// Its name in the cursor.
    pub name: String,
    /// Sorted by id; whether it was seen again.
    entries: Vec<(Id, Stamp, bool)>,
}

impl Known {
    fn parse(name: &str, bytes: &[u8]) -> Self {
        let mut entries: Vec<_> =
            bytes.chunks_exact(ENTRY).map(|entry| (first(entry), first(&entry[16..]), false)).collect();
        entries.sort_unstable();
        Self { name: name.to_owned(), entries }
    }

    /// Whether the file is as it was. It counts as seen from now on.
    pub(super) fn is_unchanged(&mut self, id: &Id, stamp: Stamp) -> bool {
        let Ok(position) = self.entries.binary_search_by(|(known, ..)| known.cmp(id)) else { return false };
        let (_, before, seen) = &mut self.entries[position];
        *seen = true;
        *before == stamp
    }

    /// Documents whose files were not seen again.
    pub(super) fn gone(&self) -> impl Iterator<Item = &Id> {
        self.entries.iter().filter(|(.., seen)| !seen).map(|(id, ..)| id)
    }
}
