//! The memory this process really holds, and the allocator's part in it.
//!
//! The allocator keeps freed pages for a second, so that small inputs, which never come near their memory, do not pay for
//! having them cleared again. Once the process holds a good part of what it may use, freed pages go back at once.

use std::thread;
use std::time::Duration;

use libmimalloc_sys::{mi_option_set, mi_option_t};

/// The part of the project's memory from which freed pages go back at once.
const MARK: f64 = 0.8;
/// How often that is looked at.
const EVERY: Duration = Duration::from_millis(100);
/// `mi_option_purge_delay` of mimalloc's `mi_option_t`, in its versions 2 and 3: milliseconds that freed pages are kept.
const PURGE_DELAY: mi_option_t = 15;

/// Watches over the memory of the process for as long as it runs.
pub(crate) fn watch(memory_bytes: u64) {
    let mark = (memory_bytes as f64 * MARK) as u64;
    let watching = thread::Builder::new().name("memory".to_owned()).spawn(move || {
        while let Some(held) = resident_bytes() {
            if held > mark {
                return give_back_at_once();
            }
            thread::sleep(EVERY);
        }
    });
    if let Err(error) = watching {
        tracing::warn!(%error, "memory is not watched over");
    }
}

/// Bytes of the process that are in RAM; `None` where the system does not tell.
pub(crate) fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<u64>().ok()? * 1024)
}

#[expect(unsafe_code, reason = "the allocator is told through its C interface")]
fn give_back_at_once() {
    // SAFETY: sets one number of the allocator, which any thread may do at any time.
    unsafe { mi_option_set(PURGE_DELAY, 0) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_knows_what_it_holds() {
        assert!(resident_bytes().is_none_or(|bytes| bytes > 1 << 20));
    }
}
