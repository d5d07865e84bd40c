//! `x0x`: what a person or a runner types. Starts the program and turns its end into an exit code.

mod args;
mod commands;
mod error;
mod files;
mod git;
mod input;
mod mirror;
mod output;
mod resolve;
mod runner;

use std::process::ExitCode;

/// The system's allocator keeps hundreds of megabytes of holes after an import that compacts documents.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    x0x::service::silence_caught_panics();
    if let Some(task) = runner::keeper::Task::from_args(std::env::args_os().skip(1)) {
        return runner::keeper::run(&task);
    }
    let typed = match args::parse() {
        Ok(typed) => typed,
        Err(exit) => return exit.into(),
    };
    let output = output::Output::new(&typed.global);
    let done = resolve::Session::new(typed.global, output)
        .and_then(|session| commands::run(&session, typed.command));
    match done {
        Ok(exit) => exit.into(),
        Err(error) => error.report(&output).into(),
    }
}
