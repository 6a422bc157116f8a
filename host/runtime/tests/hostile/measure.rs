//! How much memory a process has.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Bytes that were allocated and not freed.
static ALLOCATED: AtomicI64 = AtomicI64::new(0);

/// Bytes by which what is allocated may differ: the harness of the tests allocates too.
const SLACK: i64 = 256 << 10;

/// The same for the memory that the system sees, in which freed pieces may stay for a while: less than one memory of a
/// plugin that takes all it may.
const RESIDENT_SLACK: i64 = 192 << 20;

/// The system's allocator, which counts.
struct Counting;

#[expect(unsafe_code, reason = "there is no safe way to count allocations; everything is passed on as it is")]
// SAFETY: every call goes to the system's allocator with the arguments that it came with.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.fetch_add(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of the trait.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        ALLOCATED.fetch_sub(layout.size() as i64, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of the trait.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The turn of one test.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs something after which memory must be where it was.
pub(crate) fn measure(run: impl FnOnce()) {
    let (allocated, resident) = (ALLOCATED.load(Ordering::Relaxed), resident());
    run();
    let growth = ALLOCATED.load(Ordering::Relaxed) - allocated;
    assert!(growth < SLACK, "{growth} bytes were not freed");
    let growth = self::resident() - resident;
    assert!(growth < RESIDENT_SLACK, "the process has {growth} bytes more");
}

/// Bytes of memory that the process has, where Linux says it; memories of WebAssembly are not allocated as the rest is.
fn resident() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse::<i64>().ok());
    pages.unwrap_or(0) * 4096
}
