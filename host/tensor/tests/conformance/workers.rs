//! The threads that operations are computed by.

use std::ops::Range;

use rayon::prelude::*;
use swift_tensor::{with_awake_workers, with_workers};

#[test]
fn work_is_done_on_this_thread_as_one_of_a_pool() {
    let thread = || std::thread::current().id();
    let (here, threads) = (thread(), rayon::current_num_threads());
    let within = with_workers(|| (thread(), rayon::current_thread_index(), rayon::current_num_threads()));
    assert_eq!(within, (here, Some(0), threads));
}

#[test]
fn threads_that_are_awake_share_operations_and_let_the_work_end() {
    let sum = |count: u64| rayon::iter::split(0..count, halves).map(|range| range.sum::<u64>()).sum::<u64>();
    assert_eq!(with_awake_workers(|| sum(10)), 45, "of no pool");
    with_workers(|| {
        for _ in 0..3 {
            assert_eq!(with_awake_workers(|| (0..100).map(|_| sum(1000)).sum::<u64>()), 100 * 499_500);
        }
        let failed = std::panic::catch_unwind(|| with_awake_workers(|| std::panic::panic_any("as it may")));
        assert_eq!(failed.unwrap_err().downcast_ref(), Some(&"as it may"));
    });
}

fn halves(range: Range<u64>) -> (Range<u64>, Option<Range<u64>>) {
    let middle = range.start.midpoint(range.end);
    if range.end - range.start < 10 { (range, None) } else { (range.start..middle, Some(middle..range.end)) }
}
