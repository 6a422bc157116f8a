//! The `swift-host` executable.
//!
//! What was asked for is understood in [`command_line`], checked and completed in [`settings`], and done in [`run`],
//! [`infer`], [`deploy`], [`export`], [`models`], [`inspect`] and [`check`]. Results go to stdout, everything else to
//! stderr through [`console`]; errors are worded in
//! [`report`] and [`usage`].

mod allocator;
mod answer_plugins;
mod arguments;
mod author;
mod check;
mod command_line;
mod console;
mod dataset_adapter;
mod definition;
mod deploy;
mod directories;
mod engine_flags;
mod export;
mod grants;
mod infer;
mod inspect;
mod interrupt;
mod lock;
mod migrating;
mod model_files;
mod models;
mod normalise;
mod pins;
mod plugins;
mod progress;
mod publish;
mod recipe;
mod registry;
mod report;
mod reward;
mod run;
mod settings;
mod template;
mod trace;
mod usage;

use std::process::ExitCode;

use swift_tensor::with_workers;
use swift_train::Ending;

use crate::command_line::Invocation;
use crate::console::Console;

fn main() -> ExitCode {
    start().unwrap_or_else(report::report)
}

fn start() -> anyhow::Result<ExitCode> {
    allocator::keep_freed_memory();
    let console = Console::start()?;
    let (invocation, plugins) = command_line::parse(std::env::args_os(), &console)?;
    match invocation {
        Invocation::Plugin(command) => return inspect::plugin(&command, &plugins),
        Invocation::Models(arguments) => return models::models(&arguments, &plugins),
        Invocation::Export(arguments) => return export::export(&arguments, &plugins, &console),
        Invocation::Infer(arguments) => {
            let infer = || infer::infer(&arguments, &plugins, &console);
            return arguments.engine.device.with(|| with_workers(infer));
        }
        Invocation::Deploy(arguments) => {
            return arguments.engine.device.with(|| deploy::deploy(&arguments, &plugins, &console));
        }
        Invocation::Run(run) => {
            let interrupt = interrupt::watch(console.clone(), interrupt::SAVING)?;
            let device = run.arguments.model.device.clone();
            let (summary, folder) =
                device.with(|| with_workers(|| run::run(*run, &plugins, &console, interrupt)))?;
            run::conclude(&summary, &folder, &console);
            if summary.ending == Ending::Interrupted {
                return Ok(ExitCode::from(report::INTERRUPTED));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
