use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::{Backend, Engine, Error, Request, RequestId, Result, Statistics};

/// Something to be done with the engine between two steps.
type Task<B> = Box<dyn FnOnce(&mut Engine<B>) + Send>;

/// An engine at work on a thread of its own. Cheap to clone; the thread ends when the last one is dropped and everything
/// submitted has been answered.
pub struct Worker<B> {
    tasks: Sender<Task<B>>,
    statistics: Arc<Mutex<Statistics>>,
}

impl<B> Clone for Worker<B> {
    fn clone(&self) -> Self {
        Self { tasks: self.tasks.clone(), statistics: self.statistics.clone() }
    }
}

impl<B: Backend + 'static> Worker<B> {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system has no thread to give.
    pub fn start(engine: Engine<B>) -> std::io::Result<(Self, JoinHandle<()>)> {
        let (tasks, received) = channel();
        let statistics = Arc::new(Mutex::new(engine.statistics()));
        let shown = statistics.clone();
        let thread = std::thread::Builder::new().name("engine".into());
        let device = swift_tensor::current_device();
        let thread = thread.spawn(move || {
            swift_tensor::with_device(&device, || {
                swift_tensor::with_workers(|| run(engine, &received, &shown));
            });
        })?;
        Ok((Self { tasks, statistics }, thread))
    }

    /// Does something with the engine between two steps, without waiting for it.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the thread has ended.
    pub fn send(&self, task: impl FnOnce(&mut Engine<B>) + Send + 'static) -> Result<()> {
        self.tasks.send(Box::new(task)).map_err(|_| Error::Stopped)
    }

    /// Does something with the engine between two steps and waits for the result.
    ///
    /// # Errors
    /// [`Error::Stopped`] if the thread has ended.
    pub fn call<R: Send + 'static>(
        &self,
        task: impl FnOnce(&mut Engine<B>) -> R + Send + 'static,
    ) -> Result<R> {
        let (sender, result) = channel();
        self.send(move |engine| {
            // Whoever asked may have gone.
            let _ = sender.send(task(engine));
        })?;
        result.recv().map_err(|_| Error::Stopped)
    }

    /// Submits a request.
    ///
    /// # Errors
    /// As [`Engine::submit`], and if the thread has ended.
    pub fn submit(&self, request: Request) -> Result<RequestId> {
        self.call(move |engine| engine.submit(request))?
    }

    /// What the engine was at after its last step.
    pub fn statistics(&self) -> Statistics {
        *self.statistics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn run<B: Backend>(mut engine: Engine<B>, tasks: &Receiver<Task<B>>, shown: &Mutex<Statistics>) {
    loop {
        if engine.is_idle() {
            let Ok(task) = tasks.recv() else { return };
            task(&mut engine);
        }
        // Those that are there by now, and not those that come meanwhile: whoever asks again and again would hold up the answers.
        let ready: Vec<Task<B>> = tasks.try_iter().collect();
        ready.into_iter().for_each(|task| task(&mut engine));
        engine.step();
        *shown.lock().unwrap_or_else(PoisonError::into_inner) = engine.statistics();
    }
}
