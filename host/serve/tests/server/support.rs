use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use swift_data::{Template, TemplateOptions, Tokenizer};
use swift_infer::{
    Backend as _, Engine, EngineOptions, GenerationConfig, GrammarLimits, Grammars, ModelBackend, Sampler,
    Worker,
};
use swift_model::{LoadOptions, Model};
use swift_runtime::{Limits, Registry};
use swift_serve::{ServeOptions, Server, Service};
use swift_standard_plugins::STANDARD;
use swift_tensor::{DType, Device};
use tokio::runtime::Runtime;

/// A server and what it runs on.
pub(crate) struct Running<W = Worker<ModelBackend>> {
    pub(crate) runtime: Runtime,
    pub(crate) server: Server,
    pub(crate) worker: W,
    pub(crate) address: SocketAddr,
}

/// Status, head and body of an answer.
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Reply {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

pub(crate) fn folder(model: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/golden/models")).join(model)
}

/// A model, with its tokeniser and template if it has them, served on a free port with so many blocks of four tokens.
pub(crate) fn serve(model: &str, blocks: usize, engine: EngineOptions, options: ServeOptions) -> Running {
    serve_with(model, blocks, engine, options, Vec::new())
}

/// The standard plugins and files.
pub(crate) fn registry() -> Registry {
    let cache_directory = Some(concat!(env!("CARGO_TARGET_TMPDIR"), "/cache/plugins").into());
    let options = swift_runtime::EngineOptions { cache_directory, ..Default::default() };
    Registry::new(swift_runtime::Engine::new(options).unwrap(), STANDARD)
}

/// The same with samplers that requests may name.
pub(crate) fn serve_with(
    model: &str,
    blocks: usize,
    engine: EngineOptions,
    options: ServeOptions,
    samplers: Vec<Sampler>,
) -> Running {
    let definition = registry().resolve("llama").unwrap().model(&Limits::default()).unwrap();
    let load = LoadOptions { dtype: DType::F32, device: Device::Cpu, quantisation: None };
    let loaded = Model::load(&folder(model), definition, &load).unwrap();
    let ends = GenerationConfig::read(&folder(model)).unwrap().ends;
    let has_tokenizer = folder(model).join("tokenizer.json").exists();
    let tokenizer = has_tokenizer.then(|| Tokenizer::load(&folder(model)).unwrap());
    let template = tokenizer
        .as_ref()
        .map(|tokenizer| Template::of_model(tokenizer, TemplateOptions::default()).unwrap());
    let backend = ModelBackend::new(loaded, blocks, 4, engine.context_length).unwrap();
    let grammars = tokenizer.as_ref().map(|tokenizer| {
        Arc::new(Grammars::new(tokenizer, &ends, backend.vocab_size(), GrammarLimits::default()).unwrap())
    });
    let engine = Engine::new(backend, tokenizer.clone(), ends, engine);
    let context_length = engine.context_length();
    let (worker, _) = Worker::start(engine).unwrap();
    let generator = Arc::new(worker.clone());
    let service =
        Service { generator, tokenizer, template, grammars, samplers, tool_parser: None, context_length };
    start(service, options, worker)
}

/// Anything that generates, served on a free port.
pub(crate) fn start<W>(service: Service, options: ServeOptions, worker: W) -> Running<W> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let options = ServeOptions { port: 0, ..options };
    let server = runtime.block_on(Server::start(service, options)).unwrap();
    Running { address: server.address(), runtime, server, worker }
}

impl<W> Running<W> {
    /// Sends a request, and gives the connection back after the head of the answer.
    pub(crate) fn open(&self, method: &str, path: &str, body: &[u8], headers: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(self.address).unwrap();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        // A server that refuses a body need not read it.
        let _ = stream.write_all(body);
        BufReader::new(stream)
    }

    pub(crate) fn send(&self, method: &str, path: &str, body: &[u8], headers: &str) -> Reply {
        let mut reader = self.open(method, path, body, headers);
        let head = read_head(&mut reader);
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let mut body = String::new();
        reader.read_to_string(&mut body).unwrap();
        Reply { status, head, body }
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.send("POST", path, body.to_string().as_bytes(), "")
    }
}

impl Running {
    /// Waits until nothing has a block of the cache.
    pub(crate) fn is_free(&self) -> bool {
        (0..1_000_000).any(|_| {
            let statistics = self.worker.call(|engine| engine.statistics()).unwrap();
            statistics.free_blocks == statistics.total_blocks
        })
    }
}

pub(crate) fn read_head(reader: &mut BufReader<TcpStream>) -> String {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        assert!(reader.read_line(&mut head).unwrap() > 0, "{head}");
    }
    head
}
