//! `x0x diagnostics`: what goes on inside the node that runs here.

mod dm;
mod drawing;
mod gossip;

use crate::args::diagnostics::DiagnosticsCommand;
use crate::error::{CliError, Exit};
use crate::resolve::Session;

/// Does what was typed.
pub fn run(session: &Session, command: &DiagnosticsCommand) -> Result<Exit, CliError> {
    match command {
        DiagnosticsCommand::Dm => dm::run(session),
        DiagnosticsCommand::Gossip(args) => gossip::run(session, args),
    }
}
