//! The JSONL file: its lines as text, and what they mean to a task list.

pub mod import;
pub mod layout;
pub mod merge;
pub mod read;
pub mod record;
pub mod resolve;
pub mod text;
pub mod write;
