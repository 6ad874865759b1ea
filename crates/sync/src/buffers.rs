//! Buffers that bulk requests were built in, kept for the next ones: growing a fresh one for every request costs copies, and
//! leaves holes in the heap that only fill again slowly.

use std::sync::{Mutex, PoisonError};

/// Buffers kept; more than this wait for use only for moments.
const SPARE: usize = 2;

/// A few spare buffers.
#[derive(Debug)]
pub(crate) struct Buffers {
    spare: Mutex<Vec<Vec<u8>>>,
    largest: usize,
}

impl Buffers {
    /// For requests of about this many bytes. A buffer of more than twice that held a document too large to be usual, and is
    /// not kept.
    pub(crate) fn new(request_bytes: usize) -> Self {
        Self { spare: Mutex::default(), largest: request_bytes.saturating_mul(2) }
    }

    /// A spare buffer, or a new one.
    pub(crate) fn take(&self) -> Vec<u8> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Keeps a buffer, unless there are enough or it is too large.
    pub(crate) fn give(&self, buffer: Option<Vec<u8>>) {
        let mut spare = self.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE {
            spare.extend(buffer.filter(|buffer| buffer.capacity() <= self.largest));
        }
    }
}
