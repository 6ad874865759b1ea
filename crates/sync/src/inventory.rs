//! What the index holds before a job: one small record for each id, not the ids themselves.
//!
//! A record is a seeded 128-bit hash of the id and a 64-bit hash of its timestamp or content: 32 bytes. Past a budget, sorted runs go to
//! a temporary file and are merged into one; looking an id up there reads one block, because hashes are evenly spread and so
//! their place can be computed. With 128 bits, two of a billion ids collide with a probability of 10⁻²¹; the seed is new for
//! every job, so that nobody can prepare ids that collide.

mod spill;

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use self::spill::{Spilled, Spiller};

/// Hash of the timestamp of a document that has none.
const NO_TIMESTAMP: u64 = 0;

/// One id of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Record {
    id: u128,
    timestamp: u64,
}

/// What the inventory knows of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Its id is not in the index.
    New,
    /// It is in the index with another timestamp, or one of both has none.
    Changed,
    /// It is in the index with the same timestamp.
    Unchanged,
}

/// What tells two versions of a document apart.
#[derive(Debug, Default)]
pub(crate) struct Revision<'a> {
    /// The timestamp, or else the hash of the content: two kinds of text that are never alike.
    version: Option<&'a str>,
    /// Sorted.
    access: Vec<&'a str>,
}

impl<'a> Revision<'a> {
    /// What tells the version (a timestamp, or a hash of the content), and who may see the document: that may change without
    /// the document.
    pub(crate) fn new(version: Option<&'a str>, access: impl IntoIterator<Item = &'a str>) -> Self {
        let mut access: Vec<_> = access.into_iter().collect();
        access.sort_unstable();
        Self { version, access }
    }
}

impl<'a> From<Option<&'a str>> for Revision<'a> {
    fn from(version: Option<&'a str>) -> Self {
        Self { version, access: Vec::new() }
    }
}

/// Seeded hashing of ids and timestamps.
#[derive(Debug, Clone, Copy)]
struct Hashing {
    seed: u64,
}

impl Hashing {
    fn new() -> Self {
        Self { seed: RandomState::new().build_hasher().finish() }
    }

    fn id(self, id: &str) -> u128 {
        xxh3_128_with_seed(id.as_bytes(), self.seed)
    }

    /// Two spellings of the same instant (`Z` and `+00:00`, with and without fractions) hash alike.
    fn revision(self, revision: &Revision<'_>) -> u64 {
        let Some(text) = revision.version else { return NO_TIMESTAMP };
        let mut hash = match text.parse::<Timestamp>() {
            Ok(instant) => xxh3_64_with_seed(&instant.as_nanosecond().to_le_bytes(), !self.seed),
            Err(_) => xxh3_64_with_seed(text.as_bytes(), self.seed),
        };
        for identity in &revision.access {
            hash = xxh3_64_with_seed(identity.as_bytes(), hash);
        }
        hash.max(1)
    }
}

/// Collects the records.
#[derive(Debug)]
pub(crate) struct InventoryBuilder {
    hashing: Hashing,
    records: Vec<Record>,
    spiller: Spiller,
    budget: usize,
}

impl InventoryBuilder {
    /// Keeps at most `budget` bytes of records in memory; more go to unnamed files in `directory`.
    pub(crate) fn new(budget: usize, directory: PathBuf) -> Self {
        Self {
            hashing: Hashing::new(),
            records: Vec::new(),
            spiller: Spiller::new(directory),
            budget: (budget / size_of::<Record>()).max(1),
        }
    }

    /// Adds a document of the index.
    pub(crate) fn add<'a>(&mut self, id: &str, revision: impl Into<Revision<'a>>) -> io::Result<()> {
        if self.records.len() == self.budget {
            self.spiller.spill(&mut self.records)?;
        }
        self.records
            .push(Record { id: self.hashing.id(id), timestamp: self.hashing.revision(&revision.into()) });
        Ok(())
    }

    /// Sorts the records, so that they can be looked up.
    pub(crate) fn finish(mut self) -> io::Result<Inventory> {
        let records = if self.spiller.is_empty() {
            self.records.sort_unstable();
            self.records.dedup_by(|later, earlier| merge(earlier, *later));
            self.records.shrink_to_fit();
            Records::Memory(self.records)
        } else {
            self.spiller.spill(&mut self.records)?;
            drop(self.records);
            Records::File(self.spiller.merge()?)
        };
        let len = records.len();
        Ok(Inventory { hashing: self.hashing, records, seen: vec![0; len.div_ceil(64)], seen_count: 0 })
    }
}

/// Merges the record of the same id into `earlier`. Two documents of the index may have one id; unless their timestamps agree,
/// the document is written again.
fn merge(earlier: &mut Record, later: Record) -> bool {
    if earlier.id != later.id {
        return false;
    }
    if earlier.timestamp != later.timestamp {
        earlier.timestamp = NO_TIMESTAMP;
    }
    true
}

#[derive(Debug)]
enum Records {
    Memory(Vec<Record>),
    File(Spilled),
}

impl Records {
    fn len(&self) -> usize {
        match self {
            Self::Memory(records) => records.len(),
            Self::File(spilled) => spilled.len(),
        }
    }

    fn find(&self, id: u128) -> io::Result<Option<(usize, Record)>> {
        match self {
            Self::Memory(records) => Ok(records
                .binary_search_by_key(&id, |record| record.id)
                .ok()
                .map(|position| (position, records[position]))),
            Self::File(spilled) => spilled.find(id),
        }
    }
}

/// The finished inventory, which also keeps which of its ids were seen in the source.
#[derive(Debug)]
pub(crate) struct Inventory {
    hashing: Hashing,
    records: Records,
    /// One bit for each record.
    seen: Vec<u64>,
    seen_count: usize,
}

impl Inventory {
    /// Number of ids.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// Marks the document as seen in the source, and compares it with the index.
    pub(crate) fn see<'a>(&mut self, id: &str, revision: impl Into<Revision<'a>>) -> io::Result<Known> {
        let Some((position, record)) = self.records.find(self.hashing.id(id))? else { return Ok(Known::New) };
        let (word, bit) = (&mut self.seen[position / 64], 1 << (position % 64));
        if *word & bit == 0 {
            *word |= bit;
            self.seen_count += 1;
        }
        let timestamp = self.hashing.revision(&revision.into());
        let same = timestamp != NO_TIMESTAMP && timestamp == record.timestamp;
        Ok(if same { Known::Unchanged } else { Known::Changed })
    }

    /// Number of ids that were not seen in the source.
    pub(crate) fn leftovers(&self) -> usize {
        self.len() - self.seen_count
    }

    /// Whether this id was in the index before the job and was not seen in the source.
    pub(crate) fn is_leftover(&self, id: &str) -> io::Result<bool> {
        Ok(match self.records.find(self.hashing.id(id))? {
            Some((position, _)) => self.seen[position / 64] & (1 << (position % 64)) == 0,
            None => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inventory(budget: usize, documents: &[(String, Option<&str>)]) -> Inventory {
        let mut builder = InventoryBuilder::new(budget, std::env::temp_dir());
        for (id, timestamp) in documents {
            builder.add(id, *timestamp).unwrap();
        }
        builder.finish().unwrap()
    }

    #[test]
    fn who_may_see_a_document_is_a_part_of_its_version() {
        let revision =
            |access: &[&'static str]| Revision::new(Some("2026-01-01T00:00:00Z"), access.iter().copied());
        let mut builder = InventoryBuilder::new(1 << 20, std::env::temp_dir());
        builder.add("a", revision(&["user:1", "group:2"])).unwrap();
        let mut inventory = builder.finish().unwrap();
        assert_eq!(inventory.see("a", revision(&["group:2", "user:1"])).unwrap(), Known::Unchanged);
        for other in [&["user:1"][..], &["user:1", "group:2", "everyone"], &["user:1group:2"], &[]] {
            assert_eq!(inventory.see("a", revision(other)).unwrap(), Known::Changed, "{other:?}");
        }
    }

    #[test]
    fn a_record_is_small() {
        assert!(size_of::<Record>() <= 32);
    }

    #[test]
    fn documents_are_compared_by_instant() {
        let documents = [
            ("same".to_owned(), Some("2026-01-01T00:00:00Z")),
            ("changed".to_owned(), Some("2026-01-01T00:00:00Z")),
            ("none".to_owned(), None),
            ("text".to_owned(), Some("v7")),
        ];
        let mut inventory = inventory(1 << 20, &documents);
        assert_eq!(inventory.len(), 4);
        for (id, timestamp, expected) in [
            ("same", Some("2026-01-01T01:00:00.000+01:00"), Known::Unchanged),
            ("changed", Some("2026-01-01T00:00:01Z"), Known::Changed),
            ("changed", None, Known::Changed),
            ("none", None, Known::Changed),
            ("text", Some("v7"), Known::Unchanged),
            ("text", Some("v8"), Known::Changed),
            ("new", Some("v7"), Known::New),
        ] {
            assert_eq!(inventory.see(id, timestamp).unwrap(), expected, "{id} {timestamp:?}");
        }
        assert_eq!(inventory.leftovers(), 0);
    }

    #[test]
    fn what_was_not_seen_is_left_over() {
        let documents: Vec<_> = (0..200).map(|index| (index.to_string(), None)).collect();
        let mut inventory = inventory(1 << 20, &documents);
        for index in (0..200).step_by(2) {
            inventory.see(&index.to_string(), None).unwrap();
            inventory.see(&index.to_string(), None).unwrap();
        }
        inventory.see("new", None).unwrap();
        assert_eq!(inventory.leftovers(), 100);
        assert!(inventory.is_leftover("1").unwrap());
        assert!(!inventory.is_leftover("2").unwrap());
        assert!(!inventory.is_leftover("new").unwrap(), "written by this job");
    }

    #[test]
    fn two_documents_of_one_id_are_one() {
        let twice = |first, second| {
            let documents = [("a".to_owned(), first), ("a".to_owned(), second)];
            let mut inventory = inventory(1 << 20, &documents);
            assert_eq!(inventory.len(), 1);
            inventory.see("a", Some("1")).unwrap()
        };
        assert_eq!(twice(Some("1"), Some("1")), Known::Unchanged);
        assert_eq!(twice(Some("1"), Some("2")), Known::Changed);
    }

    #[test]
    fn a_spilled_inventory_answers_like_one_in_memory() {
        let documents: Vec<_> = (0..5_000).map(|index| (format!("id-{index}"), Some("t1"))).collect();
        let again: Vec<_> = documents.iter().chain(&documents[..50]).cloned().collect();
        for budget in [100, 999, 5_049].map(|records| records * size_of::<Record>()) {
            let mut inventory = inventory(budget, &again);
            assert!(matches!(inventory.records, Records::File(_)), "budget {budget}");
            assert_eq!(inventory.len(), 5_000);
            for (index, (id, _)) in documents.iter().enumerate() {
                let timestamp = if index % 3 == 0 { "t1" } else { "t2" };
                let expected = if index % 3 == 0 { Known::Unchanged } else { Known::Changed };
                if index % 5 != 0 {
                    assert_eq!(inventory.see(id, Some(timestamp)).unwrap(), expected, "{id}");
                }
            }
            for index in 0..1_000 {
                assert_eq!(inventory.see(&format!("other-{index}"), None).unwrap(), Known::New);
            }
            assert_eq!(inventory.leftovers(), 1_000);
            assert!(inventory.is_leftover("id-5").unwrap());
            assert!(!inventory.is_leftover("id-6").unwrap());
        }
    }

    #[test]
    fn an_empty_inventory_knows_nothing() {
        let mut inventory = inventory(100, &[]);
        assert_eq!((inventory.len(), inventory.leftovers()), (0, 0));
        assert_eq!(inventory.see("a", None).unwrap(), Known::New);
    }

    #[test]
    fn a_missing_directory_is_an_error_when_it_is_needed() {
        let mut builder = InventoryBuilder::new(1, PathBuf::from("/does/not/exist"));
        builder.add("a", None).unwrap();
        assert!(builder.add("b", None).is_err());
    }
}
