//! Records on disk: sorted runs, then one sorted file.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use super::{Record, merge};

/// Bytes of a record on disk.
const RECORD: usize = 24;
/// Records read for one look-up: about a page of the file system.
const BLOCK: usize = 170;
/// Guesses before a look-up halves what is left.
const GUESSES: usize = 6;

fn encode(record: Record) -> [u8; RECORD] {
    let mut bytes = [0; RECORD];
    bytes[..16].copy_from_slice(&record.id.to_be_bytes());
    bytes[16..].copy_from_slice(&record.timestamp.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8; RECORD]) -> Record {
    let mut id = [0; 16];
    let mut timestamp = [0; 8];
    id.copy_from_slice(&bytes[..16]);
    timestamp.copy_from_slice(&bytes[16..]);
    Record { id: u128::from_be_bytes(id), timestamp: u64::from_be_bytes(timestamp) }
}

/// Writes sorted runs.
#[derive(Debug)]
pub(super) struct Spiller {
    directory: PathBuf,
    runs: Vec<(File, usize)>,
}

impl Spiller {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, runs: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Moves the records to a new run.
    pub(super) fn spill(&mut self, records: &mut Vec<Record>) -> io::Result<()> {
        records.sort_unstable();
        let mut writer = BufWriter::new(tempfile::tempfile_in(&self.directory)?);
        for record in records.iter() {
            writer.write_all(&encode(*record))?;
        }
        let mut file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.rewind()?;
        self.runs.push((file, records.len()));
        records.clear();
        Ok(())
    }

    /// Merges the runs into one sorted file without duplicates.
    pub(super) fn merge(self) -> io::Result<Spilled> {
        let mut writer = BufWriter::new(tempfile::tempfile_in(&self.directory)?);
        let mut runs: Vec<Run> = self
            .runs
            .into_iter()
            .map(|(file, remaining)| Run { reader: BufReader::new(file), remaining })
            .collect();
        let mut heap = BinaryHeap::with_capacity(runs.len());
        for (index, run) in runs.iter_mut().enumerate() {
            if let Some(record) = run.next()? {
                heap.push(Reverse((record, index)));
            }
        }
        let mut len = 0;
        let mut last: Option<Record> = None;
        while let Some(Reverse((record, index))) = heap.pop() {
            if let Some(next) = runs[index].next()? {
                heap.push(Reverse((next, index)));
            }
            if last.as_mut().is_some_and(|earlier| merge(earlier, record)) {
                continue;
            }
            if let Some(done) = last.replace(record) {
                writer.write_all(&encode(done))?;
                len += 1;
            }
        }
        if let Some(done) = last {
            writer.write_all(&encode(done))?;
            len += 1;
        }
        let file = writer.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok(Spilled { file, len })
    }
}

struct Run {
    reader: BufReader<File>,
    remaining: usize,
}

impl Run {
    fn next(&mut self) -> io::Result<Option<Record>> {
        if self.remaining == 0 {
            return Ok(None);
        }
        let mut bytes = [0; RECORD];
        self.reader.read_exact(&mut bytes)?;
        self.remaining -= 1;
        Ok(Some(decode(&bytes)))
    }
}

/// A sorted file of records. It has no name: it is gone with the process, however that ends.
#[derive(Debug)]
pub(super) struct Spilled {
    file: File,
    len: usize,
}

impl Spilled {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Looks an id up, by interpolation: hashes are evenly spread. The first guess is off by about the root of their number; what
    /// is read there says how far, and the next one is nearly always in the right block.
    pub(super) fn find(&self, id: u128) -> io::Result<Option<(usize, Record)>> {
        let (mut low, mut high) = (0, self.len);
        let mut guess = interpolate(id, self.len);
        let mut block = [0; RECORD * BLOCK];
        let mut guesses = 0;
        while low < high {
            let start = guess.saturating_sub(BLOCK / 2).clamp(low, high - 1);
            let end = (start + BLOCK).min(high);
            let bytes = &mut block[..(end - start) * RECORD];
            self.file.read_exact_at(bytes, (start * RECORD) as u64)?;
            let (records, _) = bytes.as_chunks::<RECORD>();
            let (first, last) = (decode(&records[0]), decode(&records[records.len() - 1]));
            guesses += 1;
            if id < first.id {
                high = start;
                guess = start.saturating_sub(interpolate(first.id - id, self.len));
            } else if id > last.id {
                low = end;
                guess = end.saturating_add(interpolate(id - last.id, self.len));
            } else {
                let found = records.binary_search_by_key(&id, |bytes| decode(bytes).id);
                return Ok(found.ok().map(|at| (start + at, decode(&records[at]))));
            }
            // Halves end in any case, however the ids are spread.
            if guesses > GUESSES {
                guess = low.midpoint(high);
            }
        }
        Ok(None)
    }
}

/// Where an id is expected among `len` sorted ones.
fn interpolate(id: u128, len: usize) -> usize {
    // The upper 64 bits say where it is; the product of two 64-bit numbers fits.
    usize::try_from(((id >> 64) * len as u128) >> 64).unwrap_or(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uneven_ids_are_found_too() {
        let mut spiller = Spiller::new(std::env::temp_dir());
        let mut records: Vec<Record> =
            (0..3_000_u128).map(|id| Record { id: id * 7, timestamp: 1 }).collect();
        records.push(Record { id: u128::MAX, timestamp: 2 });
        spiller.spill(&mut records).unwrap();
        assert!(records.is_empty());
        let file = spiller.merge().unwrap();
        assert_eq!(file.len(), 3_001);
        for id in 0..3_000 {
            let (position, record) = file.find(id * 7).unwrap().unwrap();
            assert_eq!((position as u128, record.id), (id, id * 7));
            assert_eq!(file.find(id * 7 + 3).unwrap(), None);
        }
        assert_eq!(file.find(u128::MAX).unwrap().unwrap().1.timestamp, 2);
        assert_eq!(file.find(u128::MAX - 1).unwrap(), None);
    }
}
