//! Arguments of `init`.

use std::path::PathBuf;

use clap::Args;

use super::values;

/// Arguments of `x0x init`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  x0x init
  x0x init --name pump --prefix PUMP --jsonl tracker/issues.jsonl
  x0x init --merge-driver          also in every clone: git's configuration is not cloned")]
pub struct InitArgs {
    /// What people call the list [default: the directory's name]
    #[arg(long)]
    pub name: Option<String>,
    /// What new ids start with [default: as in the JSONL file, else from the name]
    #[arg(long, value_parser = values::prefix)]
    pub prefix: Option<String>,
    /// The JSONL file, which may be there or not [default: issues/issues.jsonl at the root]
    #[arg(long, value_name = "PATH")]
    pub jsonl: Option<PathBuf>,
    /// Have git merge the file by records: a line in .gitattributes, and the driver in this
    /// repository's git configuration
    #[arg(long)]
    pub merge_driver: bool,
}
