//! One record as a program gets it, in the shape that was asked for.

use x0x_tracker::interface::{Kept, Shown};

use crate::args::filter::ShapeArgs;

pub use x0x_tracker::interface::record::{Record, object, quoted};

/// Returns an issue in the shape that was asked for; the whole record must have been read for more
/// than the brief one.
pub fn shaped(shown: &Shown, shape: &ShapeArgs) -> String {
    match shown.answer_json() {
        Some(json) if !shape.fields.is_empty() => Record::of(&json).pick(&shape.fields),
        Some(json) if !shape.brief => json,
        _ => shown.brief_json(),
    }
}

/// Returns an issue whose claim was kept, in the shape that was asked for; the brief one has the claim
/// too. The whole record must have been read.
pub fn shaped_claim(kept: &Kept, shape: &ShapeArgs) -> String {
    let shown = &kept.issue;
    let json = kept.answer_json().unwrap_or_else(|| shown.brief_json());
    let record = Record::of(&json);
    if !shape.fields.is_empty() {
        return record.pick(&shape.fields);
    }
    if !shape.brief {
        return json;
    }
    let short = shown.brief_json();
    let members = Record::of(&short);
    object(members.fields().chain(record.get("claim").map(|claim| ("claim", claim))))
}
