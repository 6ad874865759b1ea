//! Buffers that bulk requests were built in, kept for the next ones: growing a fresh one for every request costs copies, and
//! leaves holes in the heap that only fill again slowly.

use std::sync::{Mutex, PoisonError};

/// Buffers kept; more than this wait for use only for moments.
const SPARE: usize = 2;

/// A few spare buffers.
#[derive(Debug, Default)]
pub(crate) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// A spare buffer, or a new one.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps a buffer, unless there are enough.
    pub(crate) fn give(&self, buffer: Option<Vec<u8>>) {
        let mut spare = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            spare.extend(buffer);
        }
    }
}
