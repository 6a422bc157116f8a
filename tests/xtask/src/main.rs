//! Developer commands: `cargo xtask COMMAND`.

mod bench;
mod build;
mod c;
mod cuda;
mod demo;
mod docs;
mod fuzz;
mod javascript;
mod peft;
mod plugins;
mod python;
mod sdk;
mod steps;
mod synthetic;
mod test;
mod workspace;

use std::process::ExitCode;

/// What `cargo xtask` can do.
struct Command {
    name: &'static str,
    summary: &'static str,
    run: fn(arguments: &[String]) -> anyhow::Result<()>,
}

const COMMANDS: &[Command] = &[
    Command {
        name: "demo",
        summary: "Train and align a small model, and print what it learned",
        run: demo::run,
    },
    Command { name: "test", summary: "Run every check: format, tests, lints", run: test::run },
    Command {
        name: "bench",
        summary: "Measure: `plugin`, `languages`, `gemm`, `attention`, `train` or `load`, some beside a `--peer`",
        run: bench::run,
    },
    Command {
        name: "python",
        summary: "Check the Python SDK, plugins written with it, and the server by its clients",
        run: python::run,
    },
    Command {
        name: "peft",
        summary: "Check adapters that are trained here against PEFT, which is installed with torch",
        run: peft::run,
    },
    Command {
        name: "fuzz",
        summary: "Look for bytes that the loader of plugins panics on: `[--seconds N]`",
        run: fuzz::run,
    },
    Command {
        name: "javascript",
        summary: "Check the JavaScript SDK, and plugins written with it",
        run: javascript::run,
    },
    Command {
        name: "build",
        summary: "Build plugins and the executable; with `--cuda` for CUDA devices, and then `--check` alone",
        run: cuda::build,
    },
    Command {
        name: "emulation",
        summary: "Check the operations for CUDA devices on the CPU, with kernels that are emulated",
        run: cuda::emulation,
    },
    Command {
        name: "gpu",
        summary: "Pack what checks the build for CUDA on a machine with a GPU",
        run: cuda::pack,
    },
    Command { name: "c", summary: "Check the C SDK, and a loss written with it", run: c::run },
    Command {
        name: "docs",
        summary: "Write the reference of the contract, or `--check` that it is written",
        run: docs::run,
    },
    Command { name: "plugins", summary: "Build the plugins into target/plugins", run: plugins::run },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let asked = arguments.split_first();
    let Some((command, arguments)) =
        asked.and_then(|(name, rest)| Some((COMMANDS.iter().find(|command| command.name == name)?, rest)))
    else {
        usage();
        return ExitCode::from(2);
    };
    let result = (command.run)(arguments);
    steps::tell();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn usage() {
    eprintln!("usage: cargo xtask COMMAND\n");
    for command in COMMANDS {
        eprintln!("  {:10} {}", command.name, command.summary);
    }
}
