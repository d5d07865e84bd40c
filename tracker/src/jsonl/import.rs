//! What a line of a file says that the list does not know yet: the three-way merge of one record.
//!
//! Base is the line as last imported or exported, theirs is the file, ours is the document. Only
//! what the file changed becomes an edit, and a value that the field has held before is old news.

use std::cell::OnceCell;
use std::collections::BTreeMap;

use super::text;
use crate::claim::tree::handoff_json;
use crate::document::edit::same;
use crate::document::schema::{self, Place};
use crate::document::{Content, Document, Edit, Heads, History, elements, verdict};
use crate::issue::{as_text, elements_of, list_of};
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
    /// The document's heads when the line last said what the issue said.
    pub since: Heads,
    /// Whether the line held older values that were not imported then.
    pub old_news: bool,
    /// Fields whose value in the line waits for somebody to decide on it.
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
    /// The heads after which the file may know nothing.
    pub since: Heads,
    /// Fields whose value in the file is an older one, with that value.
    pub old_news: Vec<(String, String)>,
    /// Those among them that the file keeps until somebody decides.
    pub kept: Vec<String>,
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
    let mut decision = Decision { since: merge.since(), ..Decision::default() };
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

impl Base {
    /// Takes back what was passed over, where it can be taken now or has to be named again.
    fn look_again(&mut self, document: &Document, powers: Powers) {
        if self.old_news && powers.take_file {
            self.fields = document.read_at(&self.heads).issue.fields;
        } else if !self.pending.is_empty() {
            let then = document.read_at(&self.heads).issue.fields;
            for name in &self.pending {
                match then.get(name) {
                    Some(json) => self.fields.insert(name.clone(), json.clone()),
                    None => self.fields.remove(name),
                };
            }
        }
    }
}

struct Merge<'a> {
    file: &'a Fields,
    base: Option<Base>,
    document: &'a Document,
    now: &'a Content,
    history: &'a OnceCell<History<'a>>,
    powers: Powers,
    /// Whether the line is another version of the base rather than a hand edit of it.
    is_other_version: bool,
    /// Whether it is older than everything that was ever seen of this issue here.
    predates_all: bool,
    /// Whether it is newer than everything that was ever seen of this issue here.
    is_newest: bool,
}

impl<'a> Merge<'a> {
    fn new(
        file: &'a Fields,
        base: Option<&Base>,
        document: &'a Document,
        now: &'a Content,
        history: &'a OnceCell<History<'a>>,
        powers: Powers,
    ) -> Self {
        let mut merge = Self {
            file,
            base: base
                .filter(|base| document.holds(&base.heads) && document.holds(&base.since))
                .cloned(),
            document,
            now,
            history,
            powers,
            is_other_version: true,
            predates_all: false,
            is_newest: false,
        };
        let date = file.get("updated_at");
        match &mut merge.base {
            Some(base) => {
                merge.is_other_version = base.fields.get("updated_at") != date;
                base.look_again(document, powers);
            }
            None => {
                let text = date.and_then(|json| as_text(json));
                let version = text.and_then(|date| merge.history().dated(&date));
                if let Some(past) = version {
                    let (fields, heads) = (past.content.issue.fields.clone(), vec![past.hash]);
                    let (since, pending) = (heads.clone(), Vec::new());
                    merge.base = Some(Base { fields, heads, since, old_news: false, pending });
                    merge.is_other_version = false;
                }
            }
        }
        if let Some(time) = date.and_then(|json| as_text(json)).and_then(|d| Timestamp::parse(&d))
            && merge.is_other_version
        {
            let (first, last) = merge.history().first_and_last();
            merge.predates_all = first.is_some_and(|first| time < first);
            merge.is_newest = last.is_some_and(|last| time > last);
        }
        merge
    }

    fn history(&self) -> &'a History<'a> {
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
        if self.follows_from_claims(name) {
            // An older or newer version of the line says how claims stood then.
            if !self.is_other(name) {
                let reason = "it follows from the claims and is not imported".to_owned();
                decision.refused.push((name.to_owned(), reason));
            }
            return;
        }
        if name == "state"
            && let Some(reason) = verdict::obstacle(self.now, theirs)
        {
            if !self.is_other(name) {
                decision
                    .refused
                    .push((name.to_owned(), format!("it follows from a claim: {reason}")));
            }
            return;
        }
        if name == "state" && !self.powers.may_rule {
            return self.state_of_worker(decision, base);
        }
        let is_list = |json: Option<&str>| json.is_none_or(|json| json.starts_with('['));
        let all_lists = is_list(theirs) && is_list(ours) && base.is_none_or(is_list);
        if schema::place_of(name) == Place::Elements && all_lists {
            self.list(name, base.flatten(), decision);
        } else {
            self.register(name, base, decision);
        }
    }

    /// Decides on a state that somebody changed who may not rule: what ends the issue or opens it
    /// again, here or as the file knows it, waits in the file for a maintainer.
    fn state_of_worker(&self, decision: &mut Decision, base: Option<Option<&str>>) {
        let before = decision.clone();
        self.register("state", base, decision);
        let beside = decision.beside.as_ref();
        let rules = decision.on_top.needs_maintainer(self.now)
            || beside
                .is_some_and(|(heads, edit)| edit.needs_maintainer(&self.document.read_at(heads)));
        if rules {
            let reason = "only a maintainer may end an issue or open it again".to_owned();
            *decision = before;
            decision.pending.push(("state".to_owned(), reason));
        }
    }

    /// Tells whether a field follows from claims here, whatever a file says.
    fn follows_from_claims(&self, name: &str) -> bool {
        let was_handed_off = || {
            let records = self.now.tree.records().values();
            records.into_iter().any(|record| handoff_json(record).is_some())
        };
        CLAIM_FIELDS.contains(&name) || (name == "handoff" && was_handed_off())
    }

    fn register(&self, name: &str, base: Option<Option<&str>>, decision: &mut Decision) {
        let theirs = self.file.get(name).map(String::as_str);
        let ours = self.now.issue.json(name);
        if self.passes_over(name, |history| history.held(name, theirs), decision) {
            decision.old_news.push((name.to_owned(), theirs.unwrap_or("absent").to_owned()));
            return;
        }
        let both_changed = match base {
            Some(base) => !same(base, ours),
            None => !self.is_newer_than_ours(),
        };
        let heads = self.since();
        if both_changed && !self.powers.take_file && !heads.is_empty() {
            let then = self.document.read_at(&heads);
            let (_, edit) = decision.beside.get_or_insert_with(|| (heads, Edit::default()));
            // A ruling answers those that its author knew; other fields are written as they stand.
            edit.set(if name == "state" { &then } else { self.now }, name, theirs);
        } else {
            decision.on_top.set(self.now, name, theirs);
        }
    }

    fn list(&self, name: &str, base: Option<&str>, decision: &mut Decision) {
        let theirs = self.file.get(name).map(String::as_str);
        if self.is_other(name)
            && !self.powers.take_file
            && self.history().held(name, theirs)
            && self.passes_over(name, |_| true, decision)
        {
            decision.old_news.push((name.to_owned(), theirs.unwrap_or("absent").to_owned()));
            return;
        }
        let known_base = self.base.is_some();
        let mut wanted = elements_of(theirs.unwrap_or("null"));
        let mut before = match base {
            _ if known_base => elements_of(base.unwrap_or("null")),
            _ => self.now.issue.elements(name),
        };
        let (added, removed) = (only_in(&wanted, &before), only_in(&before, &wanted));
        let here: Vec<String> = elements::keyed(&self.now.issue.elements(name))
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        let mut told = Vec::new();
        for (key, json) in added.iter().filter(|(key, _)| !here.contains(key)) {
            // What was never said here is never lost; a comment stands by itself and is taken.
            let is_old = |history: &History<'_>| history.held_element(name, key);
            let is_comment = name == "comments" && !is_old(self.history());
            if !is_comment && self.passes_over(name, is_old, decision) {
                wanted.retain(|other| other != json);
                told.push(json.clone());
            }
        }
        for (key, json) in removed.iter().filter(|(key, _)| here.contains(key)) {
            let was_absent = |history: &History<'_>| history.lacked_element(name, key);
            if !known_base {
                before.retain(|other| other != json);
            } else if self.passes_over(name, was_absent, decision) {
                before.retain(|other| other != json);
                told.push(json.clone());
            }
        }
        let is_reordered = added.is_empty() && removed.is_empty();
        if self.is_other(name) && !is_reordered && !self.powers.take_file {
            before = in_order_of(before, &wanted);
        }
        if !told.is_empty() {
            decision.old_news.push((name.to_owned(), list_of(&told)));
        }
        if before != wanted {
            let (before, wanted) = (list_of(&before), list_of(&wanted));
            decision.on_top.merge(self.now, name, Some(&before), Some(&wanted));
        } else if told.is_empty() && known_base && (theirs.is_none() != base.is_none()) {
            decision.on_top.merge(self.now, name, base, theirs);
        }
    }

    /// Returns the heads after which the file may know nothing; without a base, the first version's.
    fn since(&self) -> Heads {
        match &self.base {
            Some(base) => base.since.clone(),
            None => self.history().first().map(|hash| vec![hash]).unwrap_or_default(),
        }
    }

    /// Tells whether a field's value comes from another version of the line.
    fn is_other(&self, name: &str) -> bool {
        self.is_other_version || self.waits(name)
    }

    /// Tells whether a field waits for a decision since an earlier import.
    fn waits(&self, name: &str) -> bool {
        let waits = |base: &Base| base.old_news && base.pending.iter().any(|field| field == name);
        self.base.as_ref().is_some_and(waits)
    }

    /// Tells whether a value is passed over, and notes whether the file keeps it: export writes over
    /// what was said here before, but neither over what the newest line says nor over what was never
    /// seen here.
    fn passes_over(
        &self,
        name: &str,
        was_so: impl FnOnce(&History<'_>) -> bool,
        decision: &mut Decision,
    ) -> bool {
        if self.powers.take_file || !self.is_other(name) {
            return false;
        }
        let was_so = was_so(self.history());
        if !was_so && !self.predates_all {
            return false;
        }
        let is_kept = !was_so || self.is_newest || self.waits(name);
        if is_kept && !decision.kept.iter().any(|kept| kept == name) {
            decision.kept.push(name.to_owned());
        }
        true
    }

    /// Adds values that a merge of files listed and that are nowhere in the history, or that its
    /// choice replaces now.
    fn conflicts(&self, decision: &mut Decision) {
        let Some(listed) = self.file.get("conflicts") else { return };
        if self.base.as_ref().is_some_and(|base| base.fields.get("conflicts") == Some(listed)) {
            return;
        }
        let Ok(listed) =
            serde_json::from_str::<BTreeMap<String, Vec<&serde_json::value::RawValue>>>(listed)
        else {
            return;
        };
        let mut stored = self.now.issue.conflicts.clone();
        let mut is_news = false;
        for (name, values) in listed {
            if self.follows_from_claims(&name) {
                continue;
            }
            for value in values.iter().map(|value| text::compact(value.get())) {
                let known = stored.get(&name).is_some_and(|all| all.contains(&value));
                let theirs = self.file.get(&name).is_some_and(|theirs| text::equal(theirs, &value));
                let is_replaced = decision.on_top.fields().contains(&name.as_str())
                    && same(self.now.issue.json(&name), Some(&value));
                if !known && !theirs && (is_replaced || !self.history().held(&name, Some(&value))) {
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

/// Returns the elements that only the first list has, with their keys.
fn only_in(of: &[String], not_of: &[String]) -> Vec<(String, String)> {
    let others: Vec<String> = elements::keyed(not_of).into_iter().map(|(key, _)| key).collect();
    elements::keyed(of).into_iter().filter(|(key, _)| !others.contains(key)).collect()
}

/// Returns a list with the elements that the other has too in the other's order.
fn in_order_of(list: Vec<String>, other: &[String]) -> Vec<String> {
    let (mut common, rest): (Vec<String>, Vec<String>) =
        list.into_iter().partition(|json| other.contains(json));
    common.sort_by_key(|json| other.iter().position(|candidate| candidate == json));
    common.extend(rest);
    common
}
