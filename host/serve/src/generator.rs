use std::path::PathBuf;

use swift_infer::{Backend, Error, Pooling, Request, RequestId, Result, Statistics, Worker};
use tokio::sync::oneshot;

/// A result that comes when the engine has time for it; it does not come if the engine has ended.
pub type Reply<T> = oneshot::Receiver<Result<T>>;

/// What answers requests: [`Worker`], whatever it computes with. Nothing here waits.
pub trait Generator: Send + Sync {
    /// Takes requests, whose answers go to their receivers: all of them, which begin together, or none.
    fn submit(&self, requests: Vec<Request>) -> Reply<Vec<RequestId>>;
    /// Ends a request.
    fn cancel(&self, request: RequestId);
    /// The vector of a prompt.
    fn embed(&self, prompt: Vec<u32>, pooling: Pooling) -> Reply<Vec<f32>>;
    /// The names of the adapters.
    fn adapters(&self) -> Reply<Vec<String>>;
    /// Reads an adapter.
    fn load_adapter(&self, name: String, folder: PathBuf) -> Reply<()>;
    /// Forgets an adapter.
    fn unload_adapter(&self, name: String) -> Reply<()>;
    /// What the engine is at.
    fn statistics(&self) -> Statistics;
    /// Whether the engine lives, busy or not.
    fn lives(&self) -> bool;
}

/// Has the engine do something between two steps, unless nobody waits for it any more when it comes to it.
fn ask<B: Backend + 'static, T: Send + 'static>(
    worker: &Worker<B>,
    task: impl FnOnce(&mut swift_infer::Engine<B>) -> Result<T> + Send + 'static,
) -> Reply<T> {
    let (sender, reply) = oneshot::channel();
    // If the thread has ended, the sender is dropped, which says so; whoever asked may have gone.
    let _ = worker.send(move |engine| {
        if !sender.is_closed() {
            drop(sender.send(task(engine)));
        }
    });
    reply
}

impl<B: Backend + 'static> Generator for Worker<B> {
    fn submit(&self, requests: Vec<Request>) -> Reply<Vec<RequestId>> {
        ask(self, move |engine| engine.submit_all(requests))
    }

    fn cancel(&self, request: RequestId) {
        // Without a thread there is nothing to end.
        let _ = self.send(move |engine| engine.cancel(request));
    }

    fn embed(&self, prompt: Vec<u32>, pooling: Pooling) -> Reply<Vec<f32>> {
        ask(self, move |engine| {
            let (vocabulary, context) = (engine.backend().vocab_size(), engine.context_length());
            if prompt.is_empty() {
                return Err(Error::Option { name: "input", rule: "must have at least one token" });
            }
            if prompt.len() > context {
                return Err(Error::PromptTooLong { prompt: prompt.len(), context });
            }
            if prompt.iter().any(|id| *id as usize >= vocabulary) {
                let rule = "has a token that the model does not know";
                return Err(Error::Option { name: "input", rule });
            }
            engine.backend().embed(&prompt, pooling)
        })
    }

    fn adapters(&self) -> Reply<Vec<String>> {
        ask(self, |engine| Ok(engine.backend().adapters()))
    }

    fn load_adapter(&self, name: String, folder: PathBuf) -> Reply<()> {
        ask(self, move |engine| engine.backend().load_adapter(&name, &folder))
    }

    fn unload_adapter(&self, name: String) -> Reply<()> {
        ask(self, move |engine| engine.unload_adapter(&name))
    }

    fn statistics(&self) -> Statistics {
        self.statistics()
    }

    fn lives(&self) -> bool {
        self.send(|_| {}).is_ok()
    }
}
