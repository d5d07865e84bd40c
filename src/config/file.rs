//! The text of a configuration file: what it says, and all that is wrong with it.

use std::net::SocketAddr;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{FILE_BYTES_MAX, Fault, Given, Setting, Source};
use crate::logs::{Filter, FilterError, Format, nearest};

/// The tables, and the keys of each.
const TABLES: [(&str, &[&str]); 2] =
    [("node", &["listen", "api", "allow-remote", "advertise"]), ("log", &["level", "format"])];

/// How many addresses a node may advertise.
const ADVERTISED_MAX: usize = crate::wire::ADDRESSES_MAX;

/// Reads a file; what is wrong with it is left out of what it says.
pub(super) fn parse(bytes: &[u8]) -> (Given, Vec<Fault>) {
    let fault = |what: String| (Given::default(), vec![Fault { line: Some(1), what }]);
    if bytes.len() > FILE_BYTES_MAX {
        return fault(format!("the file has more than {FILE_BYTES_MAX} bytes"));
    }
    let text = match str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = Some(line_at(bytes, error.valid_up_to()));
            let what = "this is not UTF-8".to_owned();
            return (Given::default(), vec![Fault { line, what }]);
        }
    };
    let (root, errors) = DeTable::parse_recoverable(text);
    let mut reading = Reading { text, given: Given::default(), faults: Vec::new() };
    reading.root(root.get_ref());
    let Reading { given, faults: meant, .. } = reading;
    let mut faults: Vec<Fault> = errors
        .iter()
        .map(|error| {
            let at = error.span().map_or(0, |span| span.start);
            Fault { line: Some(line_at(bytes, at)), what: error.message().replace('\n', "; ") }
        })
        .collect();
    // What is no TOML says nothing, whatever was made of it.
    for fault in meant {
        if !faults.iter().any(|other| other.line == fault.line) {
            faults.push(fault);
        }
    }
    (given, faults)
}

fn line_at(text: &[u8], at: usize) -> usize {
    1 + text.iter().take(at).filter(|byte| **byte == b'\n').count()
}

struct Reading<'a> {
    text: &'a str,
    given: Given,
    faults: Vec<Fault>,
}

impl Reading<'_> {
    fn line<T>(&self, at: &Spanned<T>) -> usize {
        line_at(self.text.as_bytes(), at.span().start)
    }

    fn fault<T>(&mut self, at: &Spanned<T>, what: String) {
        self.faults.push(Fault { line: Some(self.line(at)), what });
    }

    fn root(&mut self, root: &DeTable<'_>) {
        for (name, value) in root {
            let (key, keys) = (name.get_ref().as_ref(), keys_of(name.get_ref()));
            match (keys, value.get_ref()) {
                (Some(_), DeValue::Table(table)) => self.table(key, table),
                (Some(_), _) => self.fault(name, format!("`{key}` is a table: write [{key}]")),
                (None, value) => {
                    let what = match (table_of(key), value.is_table()) {
                        (Some(table), _) => format!("`{key}` belongs into [{table}]"),
                        (None, true) => no_table(key),
                        (None, false) => no_key(key, None),
                    };
                    self.fault(name, what);
                }
            }
        }
    }

    fn table(&mut self, table: &str, entries: &DeTable<'_>) {
        for (name, value) in entries {
            let key = name.get_ref().as_ref();
            if keys_of(table).is_some_and(|keys| keys.contains(&key)) {
                self.value(name, value);
            } else if let Some(other) = table_of(key) {
                self.fault(name, format!("`{key}` belongs into [{other}], not into [{table}]"));
            } else {
                self.fault(name, no_key(key, Some(table)));
            }
        }
    }

    fn value(&mut self, name: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let (key, source) = (name.get_ref().as_ref(), Source::Line(self.line(name)));
        let text = value.get_ref().as_str();
        let said = match key {
            "listen" => address(text).map(|a| self.given.listen = Some(Setting::new(a, source))),
            "api" => address(text).map(|a| self.given.api = Some(Setting::new(a, source))),
            "allow-remote" => value
                .get_ref()
                .as_bool()
                .ok_or("true or false".to_owned())
                .map(|may| self.given.allow_remote = Some(Setting::new(may, source))),
            "advertise" => addresses(value.get_ref())
                .map(|all| self.given.advertise = Some(Setting::new(all, source))),
            "level" => level(text).map(|l| self.given.level = Some(Setting::new(l, source))),
            _ => format(text).map(|f| self.given.format = Some(Setting::new(f, source))),
        };
        if let Err(wanted) = said {
            let is = self.text.get(value.span()).unwrap_or_default();
            let is: String = is.chars().take(60).map(|c| if c == '\n' { ' ' } else { c }).collect();
            self.fault(name, format!("`{key}` is {wanted}, not {is}"));
        }
    }
}

const ADDRESS: &str = "HOST:PORT as text, like \"127.0.0.1:12700\"";

fn address(text: Option<&str>) -> Result<SocketAddr, String> {
    text.and_then(|text| text.parse().ok()).ok_or_else(|| ADDRESS.to_owned())
}

fn addresses(value: &DeValue<'_>) -> Result<Vec<SocketAddr>, String> {
    let wanted = || format!("a list of at most {ADVERTISED_MAX}, each {ADDRESS}");
    let all = value.as_array().filter(|all| all.len() <= ADVERTISED_MAX).ok_or_else(wanted)?;
    all.iter()
        .map(|one| address(one.get_ref().as_str()))
        .collect::<Result<_, _>>()
        .map_err(|_| wanted())
}

fn level(text: Option<&str>) -> Result<Filter, String> {
    const WANTED: &str = "a log filter as text, like \"info,x0x::node=debug\"";
    let text = text.ok_or_else(|| WANTED.to_owned())?;
    text.parse().map_err(|error: FilterError| format!("{WANTED} ({})", error.why()))
}

fn format(text: Option<&str>) -> Result<Format, String> {
    let all = [Format::Text, Format::Json];
    let found = all.into_iter().find(|format| text == Some(format.name()));
    found.ok_or_else(|| "\"text\" or \"json\"".to_owned())
}

fn keys_of(table: &str) -> Option<&'static [&'static str]> {
    TABLES.iter().find(|(name, _)| *name == table).map(|(_, keys)| *keys)
}

fn table_of(key: &str) -> Option<&'static str> {
    TABLES.iter().find(|(_, keys)| keys.contains(&key)).map(|(name, _)| *name)
}

fn no_table(name: &str) -> String {
    match nearest(name, TABLES.iter().map(|(table, _)| *table)) {
        Some(near) => format!("[{name}] is no table of this file; [{near}] is meant?"),
        None => format!("[{name}] is no table of this file; [node] and [log] are"),
    }
}

/// Says that no table, or not this one, has a key, and what is meant.
fn no_key(key: &str, table: Option<&str>) -> String {
    let own = table.and_then(keys_of).unwrap_or_default();
    let all = || TABLES.iter().flat_map(|(_, keys)| keys.iter().copied());
    let near = nearest(key, own.iter().copied()).or_else(|| nearest(key, all()));
    let of = table.map_or("this file".to_owned(), |table| format!("[{table}]"));
    match near {
        Some(near) if own.contains(&near) => {
            format!("`{key}` is no key of {of}; `{near}` is meant?")
        }
        Some(near) => {
            let table = table_of(near).unwrap_or_default();
            format!("`{key}` is no key of {of}; `{near}` in [{table}] is meant?")
        }
        None => {
            let keys = if own.is_empty() { all().collect() } else { own.to_vec() };
            format!("`{key}` is no key of {of}; its keys are {}", keys.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(text: &str) -> Vec<(usize, String)> {
        let (_, faults) = parse(text.as_bytes());
        let mut told: Vec<_> =
            faults.into_iter().map(|fault| (fault.line.unwrap(), fault.what)).collect();
        told.sort();
        told
    }

    #[test]
    fn every_key_is_read() {
        let text = "[node]\nlisten = '[::1]:1'\napi = '127.0.0.1:2'\nallow-remote = true\n\
                    advertise = ['192.0.2.1:1', '192.0.2.2:2']\n[log]\nlevel = 'debug'\nformat = 'json'\n";
        let (given, faults) = parse(text.as_bytes());
        assert_eq!(faults, []);
        assert_eq!(given.listen.unwrap().source, Source::Line(2));
        assert_eq!(given.api.unwrap().source, Source::Line(3));
        assert!(given.allow_remote.unwrap().value);
        assert_eq!(given.advertise.unwrap().value.len(), 2);
        assert_eq!(given.level.unwrap().value.to_string(), "debug");
        assert_eq!(given.format.unwrap(), Setting::new(Format::Json, Source::Line(8)));
    }

    #[test]
    fn each_fault_is_named_with_its_line_and_what_is_meant() {
        for (text, line, what) in [
            ("\nlisten = '127.0.0.1:1'", 2, "`listen` belongs into [node]"),
            ("[log]\nlisten = '127.0.0.1:1'", 2, "`listen` belongs into [node], not into [log]"),
            ("[node]\n\nlisen = 1", 3, "`lisen` is no key of [node]; `listen` is meant?"),
            ("[node]\nallow_remote = true", 2, "`allow-remote` is meant?"),
            ("[node]\nlevl = 'info'", 2, "`level` in [log] is meant?"),
            ("[node]\nzzzzzzzzzz = 1", 2, "its keys are listen, api, allow-remote, advertise"),
            ("[nod]\nlisten = 1", 1, "[nod] is no table of this file; [node] is meant?"),
            ("[zzzzzzz]", 1, "[node] and [log] are"),
            ("node = 1", 1, "`node` is a table: write [node]"),
            (
                "[node]\nlisten = 12700",
                2,
                "`listen` is HOST:PORT as text, like \"127.0.0.1:12700\", not 12700",
            ),
            ("[node]\napi = 'localhost'", 2, "`api` is HOST:PORT"),
            ("[node]\nallow-remote = 'yes'", 2, "`allow-remote` is true or false, not 'yes'"),
            ("[node]\nadvertise = '192.0.2.1:1'", 2, "`advertise` is a list"),
            ("[node]\nadvertise = [1]", 2, "`advertise` is a list"),
            ("[log]\nlevel = 'inof'", 2, "'info' is meant?"),
            ("[log]\nformat = 'xml'", 2, "`format` is \"text\" or \"json\", not 'xml'"),
            ("[node]\nlisten = '127.0.0.1:1'\nlisten = '127.0.0.1:1'", 3, "duplicate"),
            ("[node]\nlisten = ", 2, ""),
        ] {
            let found = faults(text);
            assert_eq!(found.len(), 1, "{text}: {found:?}");
            assert!(found[0].0 == line && found[0].1.contains(what), "{text}: {found:?}");
        }
    }

    #[test]
    fn all_faults_are_named_not_only_the_first() {
        let found = faults("lisen = 1\n[node]\napi = 1\nx = [\n[log]\nformat = 1\nlevel = 2\n");
        assert!(found.len() >= 3, "{found:?}");
        let found = faults("lisen = 1\n[node]\napi = 1\n[log]\nformat = 1\nlevel = 2\n");
        let lines: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 3, 5, 6], "{found:?}");
    }

    #[test]
    fn bytes_that_are_no_text_are_a_fault_of_their_line() {
        let (_, faults) = parse(b"[node]\n\xff");
        assert_eq!(faults[0].line, Some(2));
    }
}
