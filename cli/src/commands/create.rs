//! `x0x issues create`: a new issue.

use std::io::Write;

use x0x_tracker::interface::{Draft, FieldChange};

use super::fields;
use crate::args::fields::CreateArgs;
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::resolve::Session;

/// Creates an issue and says its name.
pub fn run(session: &Session, args: &CreateArgs) -> Result<Exit, CliError> {
    let title = args.title.as_ref().or(args.title_option.as_ref());
    let mut draft = Draft::titled(title.map_or("", String::as_str));
    let changes = fields::typed(&args.fields, &mut Texts::default())?;
    let names = changes.iter().map(|(name, _)| name.as_str());
    fields::refuse_twice(std::iter::once("title").chain(names))?;
    for (name, change) in changes {
        if let FieldChange::Set(json) = change {
            draft = draft.with(&name, &json);
        }
    }
    let mut tracker = session.writer()?;
    let shown = tracker.create(&draft)?;
    if args.silent {
        session.output.data(|stdout| writeln!(stdout, "{}", shown.row.id))?;
    } else {
        super::answer(session, &*tracker, &shown)?;
    }
    Ok(Exit::Done)
}
