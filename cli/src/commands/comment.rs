//! `x0x issues comment`: a word on an issue.

use x0x_tracker::interface::Comment;

use crate::args::CommentArgs;
use crate::error::{CliError, Exit};
use crate::input::Texts;
use crate::resolve::Session;

/// Adds a comment.
pub fn run(session: &Session, args: CommentArgs) -> Result<Exit, CliError> {
    let typed = args.body.or(args.body_option).unwrap_or_default();
    let comment = Comment { body: Texts::default().read(&typed)?, author: args.author, key: None };
    let mut tracker = session.writer()?;
    let shown = tracker.comment(&args.id, &comment)?;
    super::answer(session, &*tracker, &shown)?;
    Ok(Exit::Done)
}
