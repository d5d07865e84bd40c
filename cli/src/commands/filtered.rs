//! What is said where a filter lets nothing pass, or asks for a state that there is not.

use std::ops::ControlFlow;

use x0x_tracker::Tracker;
use x0x_tracker::interface::Filter;
use x0x_tracker::state::State;

use crate::args::filter::FilterArgs;
use crate::error::CliError;
use crate::output::Output;

/// Notes states that no issue is in and x0x does not know; tells whether there were any.
///
/// Costs a walk over the issues for each word that x0x does not know.
pub fn note_unknown_states(
    output: &Output,
    tracker: &dyn Tracker,
    args: &FilterArgs,
) -> Result<bool, CliError> {
    let mut is_noted = false;
    let states = if output.notes() { args.filter(false).states } else { Vec::new() };
    for state in states.into_iter().filter(|state| State::parse(state).is_none()) {
        let mut is_there = false;
        let filter = Filter {
            states: vec![state.clone()],
            deleted: true,
            limit: Some(1),
            ..Filter::default()
        };
        tracker.list(&filter, &mut |_| {
            is_there = true;
            ControlFlow::Break(())
        })?;
        if !is_there {
            let known = State::ALL.map(State::name).join(", ");
            output.note(&format!("no issue is in state '{state}'; known states: {known}"));
            is_noted = true;
        }
    }
    Ok(is_noted)
}
