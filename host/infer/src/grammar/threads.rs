use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Something to compute.
type Job = Box<dyn FnOnce() + Send>;

/// The most threads for grammars.
const MOST_THREADS: usize = 4;
/// Bytes of the stack of each, since expressions are taken apart recursively.
const STACK: usize = 32 << 20;

/// Threads for grammars, beside those that compute the model. They end when the last clone is dropped.
#[derive(Clone)]
pub(super) struct Threads(Sender<Job>);

impl Threads {
    pub(super) fn start() -> std::io::Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let (sender, jobs) = channel();
        let jobs = Arc::new(Mutex::new(jobs));
        for _ in 0..cores.div_ceil(2).min(MOST_THREADS) {
            let jobs: Arc<Mutex<Receiver<Job>>> = jobs.clone();
            let thread = std::thread::Builder::new().name("grammar".into()).stack_size(STACK);
            thread.spawn(move || {
                loop {
                    let job = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match job {
                        Ok(job) => job(),
                        Err(_) => return,
                    }
                }
            })?;
        }
        Ok(Self(sender))
    }

    /// Has something computed; the receiver gets it, or nothing if that panicked.
    pub(super) fn run<T: Send + 'static>(&self, compute: impl FnOnce() -> T + Send + 'static) -> Receiver<T> {
        let (sender, result) = channel();
        let job = move || {
            let computed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(compute));
            // Whoever asked may have gone.
            let _ = computed.map(|computed| sender.send(computed));
        };
        // The threads live as long as something can send to them.
        let _ = self.0.send(Box::new(job));
        result
    }

    /// Has something computed, and waits for it.
    pub(super) fn wait<T: Send + 'static>(&self, compute: impl FnOnce() -> T + Send + 'static) -> Option<T> {
        self.run(compute).recv().ok()
    }
}
