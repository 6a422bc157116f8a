use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::app::{App, Phase};
use crate::routes::router;
use crate::{ServeOptions, Service};

/// How long connections may take to hear that their answers were cancelled.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A server that listens.
pub struct Server {
    address: SocketAddr,
    phase: watch::Sender<Phase>,
    task: JoinHandle<std::io::Result<()>>,
    shutdown_timeout: Duration,
}

impl Server {
    /// Binds the port and begins to serve, on the present runtime of `tokio`.
    ///
    /// # Errors
    /// The port can't be had, or the folder of adapters is not there.
    pub async fn start(service: Service, options: ServeOptions) -> std::io::Result<Self> {
        let (phase, watched) = watch::channel(Phase::Serving);
        let listener = TcpListener::bind((options.host.as_str(), options.port)).await?;
        let address = listener.local_addr()?;
        let shutdown_timeout = options.shutdown_timeout;
        let app = Arc::new(App::new(service, options, watched.clone())?);
        let ends = async move {
            let mut watched = watched;
            // A server that nobody can end any more ends too.
            let _ = watched.wait_for(|phase| *phase != Phase::Serving).await;
        };
        let serve = axum::serve(listener, router(app)).with_graceful_shutdown(ends);
        let task = tokio::spawn(serve.into_future());
        Ok(Self { address, phase, task, shutdown_timeout })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Accepts no more, waits for what is being answered, and cancels what takes too long.
    ///
    /// # Errors
    /// The server failed before.
    pub async fn shut_down(mut self) -> std::io::Result<()> {
        self.phase.send_replace(Phase::Draining);
        let mut ended = tokio::time::timeout(self.shutdown_timeout, &mut self.task).await;
        if ended.is_err() {
            self.phase.send_replace(Phase::Ending);
            ended = tokio::time::timeout(LAST_WORDS, &mut self.task).await;
        }
        match ended {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(std::io::Error::other(error)),
            // A client that does not read holds nobody up.
            Err(_) => {
                self.task.abort();
                Ok(())
            }
        }
    }
}
