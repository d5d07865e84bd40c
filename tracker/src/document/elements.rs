//! Lists as maps: what a list field's element is called, where it stands, and what must be written
//! to turn one list into another.
//!
//! An element's key is the hash of its content, so that equal inserts on two nodes become one.
//! Its place is a fractional order value. A second entry, `<key>~`, holds what happened to it since:
//! another place, or that it was removed. So a removal stands against a move, and against a second
//! import of the same element, made elsewhere at the same time.

use std::collections::{BTreeMap, BTreeSet};

use automerge::ScalarValue;
use data_encoding::HEXLOWER;
use fractional_index::FractionalIndex;

use crate::id;
use crate::jsonl::record::FIELD_BYTES_MAX;
use crate::jsonl::text;
use crate::timestamp::Timestamp;

/// What the key of the entry ends in that says what happened to an element since it was added.
pub(super) const SINCE: &str = "~";

/// What such an entry holds for an element that was removed; else it holds the new order value.
pub(super) const REMOVED: &str = "-";

/// The hex digits of a key: half of a hash.
const KEY_DIGITS: usize = 32;

/// The most hex digits of an order value; they grow by a few with every element that is put between
/// two others.
pub(super) const ORDER_DIGITS_MAX: usize = 4_096;

/// One element of a list field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// Hash of the content, and of how many equal ones stand before it.
    pub key: String,
    /// Hex digits; elements are sorted by it.
    pub order: String,
    /// Compact JSON text.
    pub json: String,
}

/// An entry to be written to the map of a list field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListOp {
    /// Adds an element.
    Put(Element),
    /// Gives an element another place.
    Move {
        /// Which element.
        key: String,
        /// Its new place.
        order: String,
    },
    /// Takes an element out.
    Delete {
        /// Which element.
        key: String,
    },
}

/// Returns the elements of a list with their keys; the n-th of several equal ones has its own.
pub fn keyed(values: &[String]) -> Vec<(String, String)> {
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    values
        .iter()
        .map(|json| {
            let content = normal_form(json);
            let occurrence = seen.entry(content.clone()).or_default();
            let hash = id::labelled_hash(
                "x0x/element/v1",
                &[content.as_bytes(), &occurrence.to_le_bytes()],
            );
            *occurrence += 1;
            (HEXLOWER.encode(&hash[..16]), json.clone())
        })
        .collect()
}

/// Returns the first elements of a list that had none.
pub fn fresh(values: &[String]) -> Vec<Element> {
    let mut order = FractionalIndex::default();
    let mut elements = Vec::with_capacity(values.len());
    for (key, json) in keyed(values) {
        elements.push(Element { key, order: order.to_string(), json });
        order = FractionalIndex::new_after(&order);
    }
    elements
}

/// Puts elements in the order in which they are shown: by order value, then by time, then by key.
pub fn sort(elements: &mut [Element]) {
    // Comments that were added side by side stand in the order of their times.
    elements.sort_by_cached_key(|element| {
        (element.order.clone(), time_of(&element.json), element.key.clone())
    });
}

fn time_of(json: &str) -> Option<Timestamp> {
    if !json.starts_with('{') {
        return None;
    }
    let value: serde_json::Value = serde_json::from_str(json).ok()?;
    Timestamp::parse(value.get("at")?.as_str()?)
}

/// Returns what must be written so that what turned `base` into `wanted` happens to `current`.
///
/// Elements that others added to `current` stay, and those that others removed stay removed.
pub fn plan(base: &[String], wanted: &[String], current: &[Element]) -> Vec<ListOp> {
    let base = keyed(base);
    let wanted = keyed(wanted);
    let base_keys: BTreeSet<&str> = base.iter().map(|(key, _)| key.as_str()).collect();
    let wanted_keys: BTreeSet<&str> = wanted.iter().map(|(key, _)| key.as_str()).collect();
    let current_keys: BTreeSet<&str> = current.iter().map(|e| e.key.as_str()).collect();

    let removed = |key: &str| base_keys.contains(key) && !wanted_keys.contains(key);
    let mut ops: Vec<ListOp> = current
        .iter()
        .filter(|element| removed(&element.key))
        .map(|element| ListOp::Delete { key: element.key.clone() })
        .collect();

    let moved = moved_keys(&base, &wanted);
    let mut places: Vec<Slot<'_>> = current
        .iter()
        .filter(|e| !removed(&e.key) && !moved.contains(e.key.as_str()))
        .map(|e| Slot { key: &e.key, order: Some(e.order.clone()), json: None })
        .collect();
    let mut at = 0;
    for (key, json) in &wanted {
        if let Some(found) = places.iter().position(|slot| slot.key == key.as_str()) {
            at = found + 1;
        } else if moved.contains(key.as_str()) && current_keys.contains(key.as_str()) {
            places.insert(at, Slot { key, order: None, json: None });
            at += 1;
        } else if !base_keys.contains(key.as_str()) && !current_keys.contains(key.as_str()) {
            places.insert(at, Slot { key, order: None, json: Some(json) });
            at += 1;
        }
    }
    ops.extend(give_orders(places));
    ops
}

/// Returns the elements after some operations, in order.
pub fn apply(mut current: Vec<Element>, ops: Vec<ListOp>) -> Vec<Element> {
    for op in ops {
        match op {
            ListOp::Put(element) => current.push(element),
            ListOp::Move { key, order } => {
                if let Some(element) = current.iter_mut().find(|element| element.key == key) {
                    element.order = order;
                }
            }
            ListOp::Delete { key } => current.retain(|element| element.key != key),
        }
    }
    sort(&mut current);
    current
}

struct Slot<'a> {
    key: &'a str,
    order: Option<String>,
    /// Set for elements that are new.
    json: Option<&'a str>,
}

/// Returns the keys of elements whose place among the others changed, as few as explain it.
fn moved_keys<'a>(
    base: &'a [(String, String)],
    wanted: &'a [(String, String)],
) -> BTreeSet<&'a str> {
    let rank: BTreeMap<&str, usize> =
        base.iter().enumerate().map(|(i, (key, _))| (key.as_str(), i)).collect();
    let kept: Vec<(&str, usize)> = wanted
        .iter()
        .filter_map(|(key, _)| Some((key.as_str(), *rank.get(key.as_str())?)))
        .collect();
    let stays = longest_increasing(&kept);
    kept.iter().map(|(key, _)| *key).filter(|key| !stays.contains(key)).collect()
}

/// Returns the members of a longest subsequence of growing rank (patience sorting).
fn longest_increasing<'a>(items: &[(&'a str, usize)]) -> BTreeSet<&'a str> {
    let mut piles: Vec<usize> = Vec::new();
    let mut before: Vec<Option<usize>> = vec![None; items.len()];
    for (i, (_, rank)) in items.iter().enumerate() {
        let pile = piles.partition_point(|&top| items[top].1 < *rank);
        before[i] = pile.checked_sub(1).map(|left| piles[left]);
        if pile == piles.len() {
            piles.push(i);
        } else {
            piles[pile] = i;
        }
    }
    let mut stays = BTreeSet::new();
    let mut at = piles.last().copied();
    while let Some(i) = at {
        stays.insert(items[i].0);
        at = before[i];
    }
    stays
}

/// Gives an order value to every slot without one; where two neighbours leave no room, the later
/// one is moved too.
fn give_orders(mut slots: Vec<Slot<'_>>) -> Vec<ListOp> {
    let mut ops = Vec::new();
    let mut previous: Option<FractionalIndex> = None;
    for i in 0..slots.len() {
        let own = slots[i].order.as_deref().and_then(|hex| FractionalIndex::from_string(hex).ok());
        let fits = |order: &FractionalIndex| previous.as_ref().is_none_or(|p| p < order);
        if let Some(order) = own.filter(fits) {
            previous = Some(order);
            continue;
        }
        if slots[i].order.is_some() && !slots[..i].iter().any(|slot| slot.order.is_none()) {
            // Ties that stand in the document need no repair as long as nothing goes between them.
            continue;
        }
        let next = slots[i + 1..]
            .iter()
            .filter_map(|slot| slot.order.as_deref())
            .filter_map(|hex| FractionalIndex::from_string(hex).ok())
            .find(|order| previous.as_ref().is_none_or(|p| p < order));
        let order = FractionalIndex::new(previous.as_ref(), next.as_ref()).unwrap_or_else(|| {
            previous.as_ref().map_or_else(FractionalIndex::default, FractionalIndex::new_after)
        });
        let (key, text) = (slots[i].key.to_owned(), order.to_string());
        ops.push(match slots[i].json {
            Some(json) => ListOp::Put(Element { key, order: text, json: json.to_owned() }),
            None => ListOp::Move { key, order: text },
        });
        slots[i].order = None;
        previous = Some(order);
    }
    ops
}

/// Returns the text that is hashed for a key: object keys sorted, so that spelling does not count.
fn normal_form(json: &str) -> String {
    if !json.starts_with(['{', '[']) {
        return json.to_owned();
    }
    match serde_json::from_str::<serde_json::Value>(json) {
        Ok(mut value) => {
            value.sort_all_objects();
            value.to_string()
        }
        // Too deep for a tree, or a lone surrogate: its compact spelling names it.
        Err(_unparsed) => text::compact(json),
    }
}

/// Tells whether a value is one that may stand in the map of a list field.
pub(super) fn is_entry(key: &str, value: &ScalarValue) -> bool {
    let ScalarValue::Str(value) = value else { return false };
    let is_order =
        |hex: &str| hex.len() <= ORDER_DIGITS_MAX && FractionalIndex::from_string(hex).is_ok();
    if let Some(key) = key.strip_suffix(SINCE) {
        return is_key(key) && (value == REMOVED || is_order(value));
    }
    let is_json = |json: &str| {
        json.len() <= FIELD_BYTES_MAX
            && text::validate(json.as_bytes()).is_ok()
            && text::compact(json) == json
    };
    let element = decode(key, value);
    is_key(key) && element.is_some_and(|e| is_order(&e.order) && is_json(&e.json))
}

fn is_key(key: &str) -> bool {
    let is_digit = |digit: u8| matches!(digit, b'0'..=b'9' | b'a'..=b'f');
    key.len() == KEY_DIGITS && key.bytes().all(is_digit)
}

/// Returns one element as the map holds it.
pub(super) fn encode(element: &Element) -> String {
    format!("{} {}", element.order, element.json)
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(key: &str, value: &str) -> Option<Element> {
    let (order, json) = value.split_once(' ')?;
    Some(Element { key: key.to_owned(), order: order.to_owned(), json: json.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(text: &str) -> Vec<String> {
        text.chars().map(|c| format!("\"{c}\"")).collect()
    }

    fn text_of(elements: &[Element]) -> String {
        elements.iter().map(|e| e.json.trim_matches('"')).collect()
    }

    fn turn(base: &str, wanted: &str) -> String {
        let current = fresh(&list(base));
        text_of(&apply(current.clone(), plan(&list(base), &list(wanted), &current)))
    }

    #[test]
    fn a_list_becomes_any_other_list() {
        for (base, wanted) in [
            ("", "abc"),
            ("abc", ""),
            ("abc", "xabc"),
            ("abc", "abcx"),
            ("abc", "axbxc"),
            ("abcd", "dcba"),
            ("abcd", "bcda"),
            ("abcdef", "fxaycb"),
            ("aab", "aba"),
            ("ab", "aab"),
        ] {
            assert_eq!(turn(base, wanted), wanted, "{base} to {wanted}");
        }
    }

    #[test]
    fn what_others_did_meanwhile_stays() {
        let current =
            apply(fresh(&list("abc")), plan(&list("abc"), &list("acz"), &fresh(&list("abc"))));
        assert_eq!(text_of(&current), "acz");
        let ops = plan(&list("abc"), &list("cab"), &current);
        assert_eq!(text_of(&apply(current, ops)), "caz");
    }

    #[test]
    fn moving_one_element_writes_one_entry() {
        let current = fresh(&list("abcdefgh"));
        assert_eq!(plan(&list("abcdefgh"), &list("habcdefg"), &current).len(), 1);
    }

    #[test]
    fn equal_order_values_make_room_for_what_goes_between() {
        let mut current = fresh(&list("ab"));
        current[1].order = current[0].order.clone();
        sort(&mut current);
        let shown: Vec<String> = current.iter().map(|e| e.json.clone()).collect();
        let mut wanted = shown.clone();
        wanted.insert(1, "\"x\"".to_owned());
        let after = apply(current.clone(), plan(&shown, &wanted, &current));
        assert_eq!(after.iter().map(|e| e.json.clone()).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn spelling_of_an_object_does_not_make_another_element() {
        let a = keyed(&["{\"kind\":\"adr\",\"url\":\"x\"}".to_owned()]);
        let b = keyed(&["{\"url\":\"x\",\"kind\":\"adr\"}".to_owned()]);
        assert_eq!(a[0].0, b[0].0);
    }
}
