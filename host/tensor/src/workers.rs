use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::current_device;

/// For how long a thread without work stays awake: several times what lies between two operations.
const AWAKE: Duration = Duration::from_millis(1);
/// How often a thread without work looks for some before it lets others have the processor.
const LOOKS: u32 = 64;

/// Does some work on this thread, which shares its operations with as many others as the global pool of `rayon` has.
///
/// A thread of no pool hands each operation over to the global one and waits for it: two switches between threads, which take
/// as long as a small product. Meant for long work; on a thread that has a pool already nothing changes.
pub fn with_workers<R>(work: impl FnOnce() -> R) -> R {
    let pool = rayon::ThreadPoolBuilder::new()
        .use_current_thread()
        .num_threads(rayon::current_num_threads())
        .thread_name(|index| format!("worker {index}"));
    // If there are no threads to be had, the global ones compute as before.
    let _pool = pool.build().ok();
    work()
}

/// Does some work of many small operations, while the other threads of the pool that this thread is one of stay awake for them:
/// they would fall asleep between two, and to wake them takes as long as a small product. They sleep once they found nothing to
/// do for a millisecond.
pub fn with_awake_workers<R>(work: impl FnOnce() -> R) -> R {
    let Some(here) = rayon::current_thread_index().filter(|_| current_device().is_cpu()) else {
        return work();
    };
    let done = AtomicBool::new(false);
    rayon::in_place_scope(|scope| {
        scope.spawn_broadcast(|_, context| {
            if context.index() != here {
                stay_awake(&done);
            }
        });
        // However the work ends.
        let _ending = Ending(&done);
        work()
    })
}

struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Does what there is to do.
fn stay_awake(done: &AtomicBool) {
    let (mut worked, mut looks) = (Instant::now(), 0);
    while !done.load(Ordering::Relaxed) && worked.elapsed() < AWAKE {
        if let Some(rayon::Yield::Executed) = rayon::yield_now() {
            (worked, looks) = (Instant::now(), 0);
            continue;
        }
        looks += 1;
        if looks % LOOKS == 0 {
            std::thread::yield_now();
        } else {
            std::hint::spin_loop();
        }
    }
}
