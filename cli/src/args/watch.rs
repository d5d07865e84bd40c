//! Arguments of `watch`.

use clap::Args;
use clap::builder::PossibleValuesParser;
use x0x::node::KINDS;

/// Arguments of `watch`.
#[derive(Debug, Args)]
pub struct WatchArgs {
    /// Each event as one JSON object a line
    #[arg(long)]
    pub jsonl: bool,
    /// Only events of these kinds, separated by commas; `reset` is always told
    #[arg(long, value_name = "KIND", value_delimiter = ',', hide_possible_values = true)]
    #[arg(value_parser = PossibleValuesParser::new(KINDS))]
    pub kind: Vec<String>,
    /// Begin after the event with this id, the "event_id" of an event
    #[arg(long, value_name = "ID", value_parser = event_id)]
    pub since: Option<String>,
    /// End after that many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
}

/// Reads the id of an event: the run of the node in hex digits, a dash, and a number.
fn event_id(text: &str) -> Result<String, String> {
    let is_id = text.split_once('-').is_some_and(|(run, number)| {
        u64::from_str_radix(run, 16).is_ok() && number.parse::<u64>().is_ok()
    });
    if is_id {
        return Ok(text.to_owned());
    }
    Err("expected an id as an event has it, such as 5f1c09d2a7e344b1-17".to_owned())
}
