//! What an issue is called: finding it by a name, and naming it so that nothing else is meant.

use super::Host;
use super::watching::{Outlook, Watching};
use crate::document::Document;
use crate::id::{self, DocumentKey};
use crate::interface::report::Row;
use crate::interface::{Shown, TrackerError};
use crate::store::{Meta, Reading, Rows, Tables};

/// How many candidates an ambiguous name lists.
const CANDIDATES_MAX: usize = 8;

/// Digits of the suffix that tells issues of one identifier apart.
const SUFFIX_DIGITS: usize = 4;

/// Returns the one issue that a name means: an id, an identifier, a suffixed identifier, or a
/// unique prefix of one.
///
/// A number is never the beginning of random digits: who types `X0X-9` means no issue whose id
/// happens to go on from there.
pub(super) fn resolve(tables: &impl Tables, name: &str) -> Result<Vec<u8>, TrackerError> {
    let not_found = || TrackerError::NotFound { name: name.to_owned() };
    if name.trim().is_empty() {
        return Err(not_found());
    }
    let mut exact = tables.rows_named(name)?;
    if exact.is_empty() {
        exact = tables.rows_named(name.trim())?;
    }
    let name = name.trim();
    match exact.as_slice() {
        [] => {}
        [only] => return Ok(only.clone()),
        several => return Err(ambiguous(tables, name, several)?),
    }
    match suffixed(tables, name)?.as_slice() {
        [] => {}
        [only] => return Ok(only.clone()),
        several => return Err(ambiguous(tables, name, several)?),
    }
    let mut starting = tables.rows_starting(name, CANDIDATES_MAX + 1)?;
    if number_of(name, &tables.prefix()?).is_some() {
        starting = without_random_digits(tables, name, starting)?;
    }
    match starting.as_slice() {
        [] => Err(not_found()),
        [only] => Ok(only.clone()),
        several => Err(ambiguous(tables, name, several)?),
    }
}

/// Returns the rows whose name goes on from a number other than by random digits.
fn without_random_digits(
    tables: &impl Tables,
    name: &str,
    rows: Vec<Vec<u8>>,
) -> Result<Vec<Vec<u8>>, TrackerError> {
    let mut kept = Vec::new();
    for key in rows {
        let row = row(tables, &key)?;
        let is_named = row.identifier.as_ref().is_some_and(|other| other.starts_with(name));
        if is_named || own_digits(&row).is_none() {
            kept.push(key);
        }
    }
    Ok(kept)
}

/// Returns the issues that share a name and are told apart by what follows the last `-` in this one.
fn suffixed(tables: &impl Tables, name: &str) -> Result<Vec<Vec<u8>>, TrackerError> {
    let Some((stem, suffix)) = name.rsplit_once('-') else { return Ok(Vec::new()) };
    let mut found = Vec::new();
    for candidate in tables.rows_named(stem)? {
        let row = row(tables, &candidate)?;
        let has_suffix = suffix.len() >= SUFFIX_DIGITS
            && (own_digits(&row).is_some_and(|digits| digits.ends_with(suffix))
                || key_digits(&row).starts_with(suffix));
        if has_suffix {
            found.push(candidate);
        }
    }
    Ok(found)
}

/// Returns the name to call an issue by: its identifier, else its id, with a suffix where another
/// issue has the same: the end of its id, or, where that does not tell them apart, the start of its
/// document's key.
pub(super) fn display_name(tables: &impl Tables, row: &Row) -> Result<String, TrackerError> {
    let name = row.identifier.as_deref().unwrap_or(&row.id);
    let holders = tables.rows_named(name)?;
    if holders.len() < 2 {
        return Ok(name.to_owned());
    }
    let others: Vec<Row> = holders
        .iter()
        .map(|key| self::row(tables, key))
        .filter(|other| other.as_ref().map_or(true, |other| other.key != row.key))
        .collect::<Result<_, _>>()?;
    let by_id = own_digits(row).and_then(|digits| {
        (SUFFIX_DIGITS..=digits.len()).map(|length| &digits[digits.len() - length..]).find(|end| {
            !others
                .iter()
                .any(|other| own_digits(other).is_some_and(|digits| digits.ends_with(end)))
        })
    });
    let key = key_digits(row);
    let by_key = || {
        (SUFFIX_DIGITS..=key.len())
            .map(|length| &key[..length])
            .find(|start| !others.iter().any(|other| key_digits(other).starts_with(start)))
            .unwrap_or(&key)
    };
    Ok(format!("{name}-{}", by_id.unwrap_or_else(by_key)))
}

/// Returns the random digits of an id that x0x gave.
fn own_digits(row: &Row) -> Option<&str> {
    id::is_opaque_issue_id(&row.id).then(|| row.id.rsplit('-').next()).flatten()
}

fn key_digits(row: &Row) -> String {
    row.key.to_string()
}

/// Returns an issue with its name and record.
pub(super) fn shown(
    tables: &impl Tables,
    row_key: &[u8],
    outlook: Outlook,
) -> Result<Shown, TrackerError> {
    let row = row(tables, row_key)?;
    let name = display_name(tables, &row)?;
    let json = tables.view(row.key)?;
    let watching = Watching::of(tables, outlook);
    let (watch, rest_left_ms) = (watching.watch(&row)?, watching.rest_left_ms(&row)?);
    Ok(Shown { json, watch, rest_left_ms, ..Shown::plain(name, row) })
}

/// Returns the row of a key that was just found.
pub(super) fn row(tables: &impl Tables, row_key: &[u8]) -> Result<Row, TrackerError> {
    tables
        .row(row_key)?
        .ok_or_else(|| TrackerError::Damaged { what: "a named row is missing".to_owned() })
}

/// Returns the document of a row that was just found.
pub(super) fn document(tables: &impl Tables, key: DocumentKey) -> Result<Document, TrackerError> {
    tables.document(key)?.ok_or_else(|| TrackerError::Damaged {
        what: "the document of a row is missing".to_owned(),
    })
}

/// Returns the next identifier that no issue has: the prefix and a number of at least four digits.
pub(super) fn next_identifier(tables: &impl Tables, prefix: &str) -> Result<String, TrackerError> {
    let mut number = tables.next_number()?;
    loop {
        let identifier = format!("{prefix}-{number:04}");
        if tables.rows_named(&identifier)?.is_empty() {
            return Ok(identifier);
        }
        number += 1;
    }
}

/// Returns the number in a name that has the form of an identifier of this list, however many digits
/// it has; ten digits are an opaque id's.
pub(super) fn number_of(name: &str, prefix: &str) -> Option<u64> {
    let digits = name.strip_prefix(prefix)?.strip_prefix('-')?;
    let is_number = (1..id::ISSUE_ID_DIGITS).contains(&digits.len())
        && digits.bytes().all(|digit| digit.is_ascii_digit());
    if is_number { digits.parse().ok() } else { None }
}

fn ambiguous(
    tables: &impl Tables,
    name: &str,
    rows: &[Vec<u8>],
) -> Result<TrackerError, TrackerError> {
    let mut candidates = Vec::new();
    for key in rows.iter().take(CANDIDATES_MAX) {
        candidates.push(display_name(tables, &row(tables, key)?)?);
    }
    if rows.len() > CANDIDATES_MAX {
        candidates.push("...".to_owned());
    }
    Ok(TrackerError::Ambiguous { name: name.to_owned(), candidates })
}

/// Returns an id that no issue has.
pub(super) fn unused_id(
    reading: &Reading,
    host: &Host,
    prefix: &str,
) -> Result<String, TrackerError> {
    loop {
        let mut random = [0; 8];
        (host.entropy)(&mut random);
        let id = id::issue_id(prefix, random);
        if reading.rows_named(&id)?.is_empty() {
            return Ok(id);
        }
    }
}
