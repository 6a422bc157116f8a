//! `cargo xtask bench load [--seconds N]`: many clients at the server, some of which go away in the middle of an answer.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::{folder, large_model};
use crate::synthetic::{Random, Shape, write_model};
use crate::{build, plugins};

/// Clients that ask at the same time.
const CLIENTS: u64 = 64;
/// Blocks of the cache: fewer than all clients could fill, so that sequences have to give theirs back.
const BLOCKS: &str = "384";
/// Clients whose throughput is compared with that of one.
const CONCURRENT: u64 = 32;
/// Tokens of each answer of the comparison, and answers that one client reads.
const TOKENS: u64 = 64;
const ALONE: u64 = 4;
/// What the resident set may be larger by at the end than in the middle, in MiB.
const GROWTH_MIB: f64 = 32.0;
/// How long the server may take to notice that the last client has gone.
const SETTLED: Duration = Duration::from_secs(30);

pub(super) fn run(seconds: u64) -> Result<()> {
    plugins::run(&[])?;
    let swift_host = build::swift_host()?;
    // Many clients are worth what they share: the weights, which are read once for all of them. So the comparison takes a model
    // whose weights are far larger than any cache, and the load one that answers quickly.
    let (alone, together) = {
        let server = server(&swift_host, &large_model()?, &["--torch-dtype", "bfloat16"])?;
        server.throughput(1, 1, TOKENS)?;
        (server.throughput(1, ALONE, TOKENS)?, server.throughput(CONCURRENT, CONCURRENT * 2, TOKENS)?)
    };
    let model = folder()?.join("small shape");
    write_model(&model, &Shape::DEMO, 1)?;
    let server = server(&swift_host, &model, &["--num-blocks", BLOCKS])?;
    let first = server.load(seconds.div_ceil(2), 1)?;
    let middle = server.resident_mib()?;
    let second = server.load(seconds / 2, 2)?;
    let end = server.resident_mib()?;
    let [free, all, preemptions] = server.settled()?;

    let counted = |of: fn(&Counts) -> &AtomicU64| {
        of(&first).load(Ordering::Relaxed) + of(&second).load(Ordering::Relaxed)
    };
    let (finished, left, failed) = (counted(|c| &c.finished), counted(|c| &c.left), counted(|c| &c.failed));
    println!("clients                         {CLIENTS}, {seconds} s");
    println!("answers that were read          {finished}");
    println!("clients that went away          {left}");
    println!("errors                          {failed}");
    println!("blocks free at the end          {free} of {all}");
    println!("sequences that gave blocks back {preemptions}");
    println!("resident set, middle and end    {middle:.1} MiB, {end:.1} MiB");
    let ratio = together / alone;
    println!("tokens/s, 1 and {CONCURRENT} clients      {alone:.1}, {together:.1}: {ratio:.2}");
    let document = json!({
        "clients": CLIENTS, "seconds": seconds, "finished": finished, "went_away": left, "errors": failed,
        "blocks_free": free, "blocks": all, "preemptions": preemptions, "resident_mib": [middle, end],
        "tokens_per_second": {"1": alone, "32": together}, "ratio": ratio,
    });
    let path = folder()?.join("load.json");
    fs::write(&path, serde_json::to_string_pretty(&document)?)?;
    println!("written to `{}`", path.display());
    if failed > 0 || free < all || end > middle + GROWTH_MIB {
        bail!("the server did not stand the load");
    }
    Ok(())
}

fn server(swift_host: &Path, model: &Path, options: &[&str]) -> Result<Server> {
    let mut command = Command::new(swift_host);
    command.args("deploy --port 0 --max-model-len 512 --served-model-name m --model".split(' '));
    Server::start(command.arg(model).args(options))
}

/// What became of requests.
#[derive(Default)]
struct Counts {
    /// Answered to the end.
    finished: AtomicU64,
    /// Left by the client on purpose.
    left: AtomicU64,
    /// Refused, or broken off by the server.
    failed: AtomicU64,
}

/// The server, ended when dropped.
pub(super) struct Server {
    pub(super) child: Child,
    address: String,
}

impl Server {
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn().context("can't start the server")?;
        let output = child.stdout.take().context("it has no output")?;
        let mut server = Self { child, address: String::new() };
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().rsplit_once("http://").map(|(_, address)| address.to_owned());
        server.address = address.with_context(|| format!("the server said `{line}`"))?;
        Ok(server)
    }

    /// Tokens a second that so many clients get together.
    fn throughput(&self, clients: u64, requests: u64, tokens: u64) -> Result<f64> {
        let (next, started) = (AtomicU64::new(0), Instant::now());
        let one = || -> Result<u64> {
            let mut count = 0;
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                if index >= requests {
                    return Ok(count);
                }
                let body = json!({"model": "m", "prompt": format!("{index} {clients} apples"), "seed": index,
                                  "max_tokens": tokens, "ignore_eos": true});
                let answer = String::from_utf8(self.ask("/v1/completions", Some(&body))?.read_to_end()?)?;
                let body = answer.split_once("\r\n\r\n").context("an answer without a body")?.1;
                let answer: Value = serde_json::from_str(body).with_context(|| format!("`{answer}`"))?;
                count += answer
                    .pointer("/usage/completion_tokens")
                    .and_then(|count| count.as_u64())
                    .context("no `usage`")?;
            }
        };
        let counts: Result<Vec<u64>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..clients).map(|_| scope.spawn(one)).collect();
            let ended = threads.into_iter().map(|thread| thread.join());
            ended.map(|count| count.unwrap_or_else(|_| bail!("a client panicked"))).collect()
        });
        Ok(counts?.iter().sum::<u64>() as f64 / started.elapsed().as_secs_f64())
    }

    /// Requests of random lengths for a while, of which some clients go away at a random moment.
    fn load(&self, seconds: u64, seed: u64) -> Result<Counts> {
        let (counts, until) = (Counts::default(), Instant::now() + Duration::from_secs(seconds));
        std::thread::scope(|scope| {
            for client in 0..CLIENTS {
                let counts = &counts;
                scope.spawn(move || {
                    let mut random = Random(seed * 1000 + client);
                    while Instant::now() < until {
                        let counter = match self.one(&mut random) {
                            Ok(true) => &counts.finished,
                            Ok(false) => &counts.left,
                            Err(error) => {
                                eprintln!("{error:#}");
                                &counts.failed
                            }
                        };
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
        });
        Ok(counts)
    }

    /// One request; says whether its answer was read to the end.
    fn one(&self, random: &mut Random) -> Result<bool> {
        let words = 1 + random.below(60);
        let prompt: Vec<String> = (0..words).map(|_| random.below(1000).to_string()).collect();
        let (stream, leaves) = (random.below(2) == 0, random.below(4) == 0);
        let body = json!({"model": "m", "prompt": prompt.join(" "), "max_tokens": 1 + random.below(96),
                          "ignore_eos": true, "seed": random.below(1 << 30), "stream": stream});
        let mut answer = self.ask("/v1/completions", Some(&body))?;
        if leaves {
            let mut part = vec![0; random.below(2000) as usize];
            let mut read = 0;
            while let Some(rest) = part.get_mut(read..).filter(|rest| !rest.is_empty()) {
                match answer.stream.read(rest)? {
                    0 => break,
                    count => read += count,
                }
            }
            return Ok(false);
        }
        let answer = String::from_utf8_lossy(&answer.read_to_end()?).into_owned();
        let end = if stream { "data: [DONE]" } else { "\"usage\"" };
        if !answer.starts_with("HTTP/1.1 200") || !answer.contains(end) {
            bail!("the server answered `{answer}`");
        }
        Ok(true)
    }

    pub(super) fn ask(&self, path: &str, body: Option<&Value>) -> Result<Answer> {
        let mut stream = TcpStream::connect(&self.address)?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let method = if body.is_empty() { "GET" } else { "POST" };
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )?;
        Ok(Answer { stream })
    }

    /// Free and all blocks, and how often blocks were given back, once nothing is computed any more.
    fn settled(&self) -> Result<[u64; 3]> {
        let until = Instant::now() + SETTLED;
        loop {
            let text = String::from_utf8(self.ask("/metrics", None)?.read_to_end()?)?;
            let number = |name: &str| -> Result<u64> {
                let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
                line.and_then(|number| number.parse().ok()).with_context(|| format!("no `{name}`: {text}"))
            };
            let busy = number("swift_sequences_running")? + number("swift_sequences_waiting")?;
            if busy == 0 || Instant::now() > until {
                let names = ["swift_cache_blocks_free", "swift_cache_blocks", "swift_preemptions_total"];
                let [free, all, preemptions] = names.map(number);
                return Ok([free?, all?, preemptions?]);
            }
        }
    }

    fn resident_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<f64>().ok());
        Ok(kib.context("no `VmRSS`")? / 1024.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server sends.
pub(super) struct Answer {
    stream: TcpStream,
}

impl Answer {
    pub(super) fn read_to_end(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.stream.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
