//! Arguments of `backup` and `restore`.

use std::path::PathBuf;

use clap::Args;

/// Arguments of `backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// The file to write; it must not be there yet
    pub file: PathBuf,
}

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// A file that `x0x backup` wrote
    pub file: PathBuf,
    /// Put it in the place of the list that is here, which is kept beside it
    #[arg(long)]
    pub replace: bool,
}
