//! What a line of a file says that the list does not know yet: the three-way merge of one record.
//!
//! Base is the line as last imported or exported, theirs is the file, ours is the document. Only
//! what the file changed becomes an edit, and a value that the field has held before is old news.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::text;
use crate::document::schema::{self, Place};
use crate::document::{Content, Document, Edit, Heads, History, elements};
use crate::issue::{as_text, elements_of, list_of};
use crate::state;
use crate::timestamp::{self, Timestamp};

/// Fields of a record: name -> compact JSON text.
pub type Fields = BTreeMap<String, String>;

/// Fields that say who works on an issue; they follow from records and are not imported.
const CLAIM_FIELDS: [&str; 2] = ["claim", "shard"];

/// The line as it was last seen.
#[derive(Clone, Debug)]
pub struct Base {
    /// What it said.
    pub fields: Fields,
    /// The document's heads at that moment.
    pub heads: Heads,
    /// Whether the line held older values that were not imported then.
    pub stale: bool,
    /// Fields whose value in the line waited for somebody who may set it.
    pub pending: Vec<String>,
}

/// What the importer may do.
#[derive(Clone, Copy, Debug)]
pub struct Powers {
    /// Take the file's value also where it is an older one.
    pub take_file: bool,
    /// End issues and open them again.
    pub may_rule: bool,
}

/// What to do about one record.
#[derive(Clone, Debug, Default)]
pub struct Decision {
    /// To be written on top of the document.
    pub on_top: Edit,
    /// To be written beside what came after these heads: both sides changed these fields.
    pub beside: Option<(Heads, Edit)>,
    /// Fields whose value in the file is an older one, with that value.
    pub old_news: Vec<(String, String)>,
    /// Fields that the importer may not set, with the reason.
    pub pending: Vec<(String, String)>,
    /// Fields that are never imported, with the reason.
    pub refused: Vec<(String, String)>,
}

impl Decision {
    /// Tells whether nothing would be written.
    pub fn is_empty(&self) -> bool {
        self.on_top.is_empty() && self.beside.is_none()
    }

    /// Returns the names of the fields that would be written.
    pub fn fields(&self) -> Vec<String> {
        let beside = self.beside.iter().flat_map(|(_, edit)| edit.fields());
        let mut names: Vec<String> =
            self.on_top.fields().into_iter().chain(beside).map(str::to_owned).collect();
        names.sort();
        names.dedup();
        names.retain(|name| name != "updated_at" || self.is_date_alone());
        names
    }

    fn is_date_alone(&self) -> bool {
        self.beside.is_none() && self.on_top.fields() == ["updated_at"]
    }
}

/// Returns the edit that makes a new document say what a record says.
pub fn creation(fields: &Fields, empty: &Content) -> Edit {
    let mut edit = Edit::default();
    for (name, json) in fields {
        edit.set(empty, name, Some(json));
    }
    edit
}

/// Returns what a file's record means to a document that is here already.
pub fn decide(
    file: &Fields,
    base: Option<&Base>,
    document: &Document,
    powers: Powers,
    now: Timestamp,
) -> Decision {
    let content = document.read();
    let history = OnceCell::new();
    let merge = Merge::new(file, base, document, &content, &history, powers);
    let mut decision = Decision::default();
    for name in merge.names() {
        merge.field(&name, &mut decision);
    }
    merge.conflicts(&mut decision);
    if !decision.is_empty() {
        let date = merge.new_date(now);
        decision.on_top.set(&content, "updated_at", Some(&date));
    }
    decision
}

struct Merge<'a> {
    file: &'a Fields,
    base: Option<Base>,
    document: &'a Document,
    now: &'a Content,
    history: &'a OnceCell<History>,
    powers: Powers,
    /// Whether the line is another version of the base rather than a hand edit of it.
    is_other_version: bool,
    /// Whether it is older than everything that was ever seen of this issue here.
    predates_all: bool,
}

impl<'a> Merge<'a> {
    fn new(
        file: &'a Fields,
        base: Option<&Base>,
        document: &'a Document,
        now: &'a Content,
        history: &'a OnceCell<History>,
        powers: Powers,
    ) -> Self {
        let date = |fields: &Fields| fields.get("updated_at").and_then(|json| as_text(json));
        let theirs = date(file);
        let mut merge = Self {
            file,
            base: base.filter(|base| document.holds(&base.heads)).cloned(),
            document,
            now,
            history,
            powers,
            is_other_version: true,
            predates_all: false,
        };
        match &mut merge.base {
            Some(base) => {
                let is_dated_alike = date(&base.fields) == theirs;
                merge.is_other_version = !is_dated_alike && !is_newest(&theirs, document, history);
                let then = || document.read_at(&base.heads).issue.fields;
                // The values that were passed over then are taken now.
                if base.stale && powers.take_file {
                    base.fields = then();
                } else if powers.may_rule && !base.pending.is_empty() {
                    let then = then();
                    for name in &base.pending {
                        match then.get(name) {
                            Some(json) => base.fields.insert(name.clone(), json.clone()),
                            None => base.fields.remove(name),
                        };
                    }
                }
            }
            None => {
                let version = theirs.as_deref().and_then(|date| merge.history().dated(date));
                if let Some(past) = version {
                    let fields = past.content.issue.fields.clone();
                    let heads = vec![past.hash];
                    merge.base = Some(Base { fields, heads, stale: false, pending: Vec::new() });
                    merge.is_other_version = false;
                }
            }
        }
        if merge.is_other_version {
            let first = merge.history().first_updated_at();
            merge.predates_all = match (&theirs, &first) {
                (Some(theirs), Some(first)) => timestamp::compare(theirs, first).is_lt(),
                _ => false,
            };
        }
        merge
    }

    fn history(&self) -> &'a History {
        self.history.get_or_init(|| self.document.history())
    }

    /// Returns the fields to look at: all that any side has, except those with rules of their own.
    fn names(&self) -> Vec<String> {
        let base = self.base.iter().flat_map(|base| base.fields.keys());
        let mut names: Vec<String> = self.file.keys().chain(base).cloned().collect();
        names.sort();
        names.dedup();
        names.retain(|name| {
            !matches!(name.as_str(), "id" | "created_at" | "updated_at" | "conflicts")
        });
        names
    }

    fn field(&self, name: &str, decision: &mut Decision) {
        let theirs = self.file.get(name).map(String::as_str);
        let ours = self.now.issue.json(name);
        let base = self.base.as_ref().map(|base| base.fields.get(name).map(String::as_str));
        let changed_nothing = base.is_some_and(|base| same(theirs, base));
        if changed_nothing || same(theirs, ours) {
            return;
        }
        if base.is_none() && theirs.is_none() {
            // A line that is silent on a field has not removed it.
            return;
        }
        if CLAIM_FIELDS.contains(&name) {
            let reason = "it follows from the claims and is not imported".to_owned();
            decision.refused.push((name.to_owned(), reason));
            return;
        }
        if name == "state" && !self.powers.may_rule && rules(theirs, ours) {
            let reason = "only a maintainer may end an issue or open it again".to_owned();
            decision.pending.push((name.to_owned(), reason));
            return;
        }
        let is_list = |json: Option<&str>| json.is_none_or(|json| json.starts_with('['));
        let all_lists = is_list(theirs) && is_list(ours) && base.is_none_or(is_list);
        if schema::place_of(name) == Place::Elements && all_lists {
            self.list(name, base.flatten(), decision);
        } else {
            self.register(name, base, decision);
        }
    }

    fn register(&self, name: &str, base: Option<Option<&str>>, decision: &mut Decision) {
        let theirs = self.file.get(name).map(String::as_str);
        let ours = self.now.issue.json(name);
        if self.is_old_news(|history| history.held(name, theirs)) {
            decision.old_news.push((name.to_owned(), theirs.unwrap_or("absent").to_owned()));
            return;
        }
        let both_changed = match base {
            Some(base) => !same(base, ours),
            None => !self.is_newer_than_ours(),
        };
        let heads = match &self.base {
            Some(base) => base.heads.clone(),
            None => {
                self.history().versions().first().map(|past| vec![past.hash]).unwrap_or_default()
            }
        };
        if both_changed && !self.powers.take_file && !heads.is_empty() {
            let (_, edit) = decision.beside.get_or_insert_with(|| (heads, Edit::default()));
            edit.set(self.now, name, theirs);
        } else {
            decision.on_top.set(self.now, name, theirs);
        }
    }

    fn list(&self, name: &str, base: Option<&str>, decision: &mut Decision) {
        let theirs = self.file.get(name).map(String::as_str);
        if self.is_old_news(|history| history.held(name, theirs)) {
            decision.old_news.push((name.to_owned(), theirs.unwrap_or("absent").to_owned()));
            return;
        }
        let known_base = self.base.is_some();
        let mut wanted = elements_of(theirs.unwrap_or("null"));
        let mut before = match base {
            _ if known_base => elements_of(base.unwrap_or("null")),
            _ => self.now.issue.elements(name),
        };
        let old_adds = self.old_elements(name, &wanted, &before, History::held_element);
        let old_removals = if known_base {
            self.old_elements(name, &before, &wanted, History::lacked_element)
        } else {
            only_in(&before, &wanted)
        };
        let same_members = old_adds.is_empty()
            && only_in(&wanted, &before).is_empty()
            && only_in(&before, &wanted).is_empty();
        wanted.retain(|json| !old_adds.contains(json));
        before.retain(|json| !old_removals.contains(json));
        if self.is_other_version && !same_members && !self.powers.take_file {
            before = in_order_of(before, &wanted);
        }
        let told = if known_base { [old_adds, old_removals].concat() } else { old_adds };
        if !told.is_empty() {
            decision.old_news.push((name.to_owned(), list_of(&told)));
        }
        if before != wanted {
            let (before, wanted) = (list_of(&before), list_of(&wanted));
            decision.on_top.merge(self.now, name, Some(&before), Some(&wanted));
        }
    }

    /// Returns the elements that only the first list has and that are old news.
    fn old_elements(
        &self,
        name: &str,
        of: &[String],
        not_of: &[String],
        was_so: fn(&History, &str, &str) -> bool,
    ) -> Vec<String> {
        let others: Vec<String> = elements::keyed(not_of).into_iter().map(|(key, _)| key).collect();
        elements::keyed(of)
            .into_iter()
            .filter(|(key, _)| !others.contains(key))
            .filter(|(key, _)| self.is_old_news(|history| was_so(history, name, key)))
            .map(|(_, json)| json)
            .collect()
    }

    /// Adds values that a merge of files listed and that are nowhere in the history.
    fn conflicts(&self, decision: &mut Decision) {
        let Some(listed) = self.file.get("conflicts") else { return };
        if self.base.as_ref().is_some_and(|base| base.fields.get("conflicts") == Some(listed)) {
            return;
        }
        let Ok(listed) = serde_json::from_str::<BTreeMap<String, Vec<serde_json::Value>>>(listed)
        else {
            return;
        };
        let mut stored = self.now.issue.conflicts.clone();
        let mut is_news = false;
        for (name, values) in listed {
            for value in values.iter().map(crate::issue::compact_value) {
                let known = stored.get(&name).is_some_and(|all| all.contains(&value));
                let theirs = self.file.get(&name).is_some_and(|theirs| text::equal(theirs, &value));
                if !known && !theirs && !self.history().held(&name, Some(&value)) {
                    stored.entry(name.clone()).or_default().push(value);
                    is_news = true;
                }
            }
        }
        if is_news {
            let fields: Vec<String> = stored
                .iter()
                .map(|(name, values)| {
                    format!("{}:{}", crate::document::scalar::quote(name), list_of(values))
                })
                .collect();
            let json = format!("{{{}}}", fields.join(","));
            decision.on_top.set(self.now, "conflicts", Some(&json));
        }
    }

    fn is_old_news(&self, was_so: impl FnOnce(&History) -> bool) -> bool {
        !self.powers.take_file
            && self.is_other_version
            && (self.predates_all || was_so(self.history()))
    }

    fn is_newer_than_ours(&self) -> bool {
        let date = |json: Option<&str>| json.and_then(as_text).unwrap_or_default();
        let theirs = date(self.file.get("updated_at").map(String::as_str));
        let ours = date(self.now.issue.json("updated_at"));
        timestamp::compare(&theirs, &ours).is_gt()
    }

    /// Returns the date of the edit: the file's where it is later than what is here, else now.
    fn new_date(&self, now: Timestamp) -> String {
        match self.file.get("updated_at") {
            Some(theirs) if self.is_newer_than_ours() => theirs.clone(),
            _ => {
                let ours = self.now.issue.text("updated_at");
                let ours = ours.as_deref().and_then(Timestamp::parse);
                crate::document::scalar::quote(&now.after(ours).to_string())
            }
        }
    }
}

/// Tells whether a line is dated after all that was ever seen of its issue here.
///
/// Such a line was not left behind by anybody: it was written by someone who had the line that was
/// recorded here, so what it says is what was meant, also where that was said before.
fn is_newest(date: &Option<String>, document: &Document, history: &OnceCell<History>) -> bool {
    let history = history.get_or_init(|| document.history());
    let Some(date) = date.as_deref().filter(|date| Timestamp::parse(date).is_some()) else {
        return false;
    };
    history.last_updated_at().is_none_or(|last| timestamp::compare(date, &last).is_gt())
}

fn same(a: Option<&str>, b: Option<&str>) -> bool {
    match (a, b) {
        (Some(a), Some(b)) => text::equal(a, b),
        (None, None) => true,
        _ => false,
    }
}

/// Tells whether a change of state ends the issue or opens it again.
fn rules(theirs: Option<&str>, ours: Option<&str>) -> bool {
    let ended = |json: Option<&str>| state::is_terminal(json.and_then(as_text).as_deref());
    ended(theirs) || ended(ours)
}

/// Returns the elements that only the first list has.
fn only_in(of: &[String], not_of: &[String]) -> Vec<String> {
    let others: Vec<String> = elements::keyed(not_of).into_iter().map(|(key, _)| key).collect();
    elements::keyed(of)
        .into_iter()
        .filter(|(key, _)| !others.contains(key))
        .map(|(_, json)| json)
        .collect()
}

/// Returns a list with the elements that the other has too in the other's order.
fn in_order_of(list: Vec<String>, other: &[String]) -> Vec<String> {
    let (mut common, rest): (Vec<String>, Vec<String>) =
        list.into_iter().partition(|json| other.contains(json));
    common.sort_by_key(|json| other.iter().position(|candidate| candidate == json));
    common.extend(rest);
    common
}
