//! Where each JSONL field lives in an issue's document, and how two edits of it merge.
//!
//! The one table that reading, editing, import, export and `issues/schema.md` agree on.

/// The maps that genesis makes under the root; nested objects are made nowhere else.
///
/// Part of the frozen genesis bytes: names are never changed or removed, and a map of a later
/// version comes as a second deterministic change.
pub const GENESIS_MAPS: [&str; 8] = [
    FIELDS_MAP,
    "labels",
    "blocked_by",
    "acceptance",
    "validation",
    "links",
    "comments",
    RECORDS_MAP,
];

/// The map of registers: one scalar per top-level JSONL field, known or not.
pub const FIELDS_MAP: &str = "fields";

/// The map of signed records (claims, ends, rulings), keyed by the hash of their bytes.
pub const RECORDS_MAP: &str = "records";

/// Where a field lives in the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the root, written by genesis; it names the document and never changes.
    Genesis,
    /// One scalar in the map `fields`.
    Register,
    /// A map of its own: hash of the element -> order and element.
    Elements,
    /// Not written by editing: computed from records when shown.
    Records,
    /// Not stored while it can be computed: the losing values of concurrent edits.
    Conflicts,
}

impl Place {
    /// Returns the place as `issues/schema.md` writes it.
    pub fn describe(self, name: &str) -> String {
        match self {
            Self::Genesis => format!("`{name}` in the root (genesis)"),
            Self::Register => format!("`fields.{name}`"),
            Self::Elements => format!("`{name}.<hash of the element>`"),
            Self::Records => "`records`, computed".to_owned(),
            Self::Conflicts => "computed".to_owned(),
        }
    }

    /// Returns the merge rule as `issues/schema.md` writes it.
    pub fn merge_rule(self, name: &str) -> &'static str {
        match (self, name) {
            (Self::Genesis, _) => "never changes: with `id` it names the document",
            (_, "updated_at") => "the latest time counts",
            (Self::Register, _) => "one value wins, the others are listed under `conflicts`",
            (Self::Elements, _) => {
                "element by element: equal ones are one; a removal stands until the element is added again"
            }
            (Self::Records, _) => "follows from the records; import never changes it",
            (Self::Conflicts, _) => "gone once somebody writes the field",
        }
    }
}

/// When a field is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// In every issue that x0x creates.
    Always,
    /// When it was given.
    Optional,
    /// Only while it has something to say.
    WhenPresent,
}

/// One row of the schema.
#[derive(Clone, Copy, Debug)]
pub struct FieldRule {
    /// The JSONL key.
    pub name: &'static str,
    /// The JSON type, for people.
    pub json_type: &'static str,
    /// Where it lives.
    pub place: Place,
    /// When it is written.
    pub presence: Presence,
}

const fn rule(
    name: &'static str,
    json_type: &'static str,
    place: Place,
    presence: Presence,
) -> FieldRule {
    FieldRule { name, json_type, place, presence }
}

/// Every field that x0x knows, in the order of canonical export.
pub const FIELDS: [FieldRule; 21] = [
    rule("id", "string", Place::Genesis, Presence::Always),
    rule("identifier", "string", Place::Register, Presence::Always),
    rule("title", "string", Place::Register, Presence::Always),
    rule("description", "string or null", Place::Register, Presence::Always),
    rule("priority", "1 (urgent) to 4 (low), or null", Place::Register, Presence::Always),
    rule("state", "string", Place::Register, Presence::Always),
    rule("branch_name", "string or null", Place::Register, Presence::Always),
    rule("url", "string or null", Place::Register, Presence::Always),
    rule("labels", "list of strings", Place::Elements, Presence::Always),
    rule("blocked_by", "list of ids or identifiers", Place::Elements, Presence::Always),
    rule("created_at", "RFC 3339 time", Place::Genesis, Presence::Always),
    rule("updated_at", "RFC 3339 time", Place::Register, Presence::Always),
    rule("acceptance", "list of strings", Place::Elements, Presence::Optional),
    rule("validation", "list of strings", Place::Elements, Presence::Optional),
    rule("assignee", "string or null", Place::Register, Presence::Optional),
    rule("estimate", "number or string", Place::Register, Presence::Optional),
    rule(
        "handoff",
        "object {summary, files_changed, validation, follow_up, proofs_dir?}",
        Place::Register,
        Presence::Optional,
    ),
    rule("links", "list of objects {kind, url, note?}", Place::Elements, Presence::Optional),
    rule("shard", "object", Place::Records, Presence::Optional),
    rule("claim", "object", Place::Records, Presence::Optional),
    rule(
        "comments",
        "list of objects {id, author, at, body}",
        Place::Elements,
        Presence::WhenPresent,
    ),
];

/// Known fields that canonical export writes after [`FIELDS`].
pub const TRAILING_FIELDS: [FieldRule; 2] = [
    rule("deleted_at", "RFC 3339 time", Place::Register, Presence::WhenPresent),
    rule("conflicts", "object {field: [values]}", Place::Conflicts, Presence::WhenPresent),
];

/// Returns every rule, in canonical order.
pub fn rules() -> impl Iterator<Item = &'static FieldRule> {
    FIELDS.iter().chain(&TRAILING_FIELDS)
}

/// Returns the rule of a known field.
pub fn rule_of(name: &str) -> Option<&'static FieldRule> {
    rules().find(|rule| rule.name == name)
}

/// Returns where a field lives; a field that x0x does not know is a register.
pub fn place_of(name: &str) -> Place {
    rule_of(name).map_or(Place::Register, |rule| rule.place)
}

/// Returns the names of the fields in canonical order.
pub fn canonical_order() -> Vec<&'static str> {
    rules().map(|rule| rule.name).collect()
}
