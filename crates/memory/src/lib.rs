//! How the C library's allocator treats memory that is not used any more.
//!
//! By default glibc keeps eight heaps for each processor, and what was freed in one of them stays the process's. A node
//! that had indexed for ten seconds kept 325 MB, of which it used 40. See `docs/adr/0003-tell-glibc-to-return-memory.md`.
//!
//! On other systems than Linux with glibc nothing here does anything.

/// Allocations of this many bytes get pages of their own, which are returned as soon as they are freed. glibc's own limit
/// starts at half of it, but grows to 32 MiB with the first large buffer that is freed.
pub const LARGE: usize = 256 * 1024;

/// Environment variables by which an operator chooses for himself.
const CHOSEN: [&str; 3] = ["GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_"];

/// What a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    /// To take little: one heap for every two processors, and large buffers outside of them.
    Small,
    /// To be quick under load: two heaps for each processor.
    Fast,
}

/// To be called first in a program. Does nothing where `GLIBC_TUNABLES`, `MALLOC_ARENA_MAX` or `MALLOC_MMAP_THRESHOLD_` is
/// set. Tells whether it did something.
pub fn set_limits(aim: Aim) -> bool {
    if CHOSEN.iter().any(|name| std::env::var_os(name).is_some()) {
        return false;
    }
    let processors = std::thread::available_parallelism().map_or(2, |count| count.get().max(2));
    match aim {
        Aim::Small => platform::set_limits(processors / 2, Some(LARGE)),
        Aim::Fast => platform::set_limits(2 * processors, None),
    }
}

/// Returns what is free to the system. It looks at every heap, a matter of milliseconds: to be called when a piece of work
/// is done. Tells whether something was returned.
pub fn give_back() -> bool {
    platform::give_back()
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod platform {
    use libc::c_int;

    #[allow(unsafe_code)]
    pub(super) fn set_limits(heaps: usize, large: Option<usize>) -> bool {
        let as_int = |value: usize| c_int::try_from(value).unwrap_or(c_int::MAX);
        // SAFETY: mallopt takes two integers and changes settings of the allocator under its own lock; it may be called
        // at any time, and touches no memory of ours. (man 3 mallopt)
        unsafe {
            libc::mallopt(libc::M_ARENA_MAX, as_int(heaps)) == 1
                && large.is_none_or(|large| libc::mallopt(libc::M_MMAP_THRESHOLD, as_int(large)) == 1)
        }
    }

    #[allow(unsafe_code)]
    pub(super) fn give_back() -> bool {
        // SAFETY: malloc_trim takes the allocator's locks and returns pages that hold nothing allocated; it may be called
        // at any time and from any thread. (man 3 malloc_trim: MT-Safe)
        unsafe { libc::malloc_trim(0) == 1 }
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
mod platform {
    pub(super) fn set_limits(_heaps: usize, _large: Option<usize>) -> bool {
        false
    }

    pub(super) fn give_back() -> bool {
        false
    }
}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    /// Anonymous memory of this process, in KiB.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("RssAnon:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    #[test]
    fn what_is_freed_goes_back_to_the_system() {
        assert!(set_limits(Aim::Small) || CHOSEN.iter().any(|name| std::env::var_os(name).is_some()));
        let before = resident();
        // Small pieces, of which the last one holds the heap's end in place.
        let mut pieces: Vec<Vec<u8>> = (0..64_000).map(|_| vec![1; 1000]).collect();
        let last = pieces.pop().unwrap();
        let full = resident();
        assert!(full > before + 60_000, "{before} {full}");
        drop(pieces);
        assert!(give_back());
        let after = resident();
        assert!(after < before + 10_000, "{before} {full} {after}");
        drop(last);
    }
}
