//! What a node is told at its start, by flags, by the environment and by a file, and which of them counts.
//! It starts nothing and writes nothing.

mod file;

use std::fs;
use std::io::{self, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::home::Home;
use crate::logs::{Filter, Format, Log};
use crate::node;
use crate::rest::Limits;
use crate::wire::ADDRESSES_MAX;

/// The name of the file in the data directory.
pub const FILE: &str = "config.toml";

/// The largest file, in bytes.
pub const FILE_BYTES_MAX: usize = 64 * 1024;

/// Where a value comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The flag of this name.
    Flag(&'static str),
    /// The environment variable of this name.
    Environment(&'static str),
    /// This line of the file, from 1.
    Line(usize),
    /// Nobody said it.
    Default,
}

/// A value, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting<T> {
    /// The value.
    pub value: T,
    /// Where it comes from.
    pub source: Source,
}

impl<T> Setting<T> {
    /// Returns what one source says.
    pub fn new(value: T, source: Source) -> Self {
        Self { value, source }
    }
}

/// What one source says; the rest is left to others.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// Where to listen for other nodes.
    pub listen: Option<Setting<SocketAddr>>,
    /// Where to answer programs.
    pub api: Option<Setting<SocketAddr>>,
    /// Whether that may be where other machines reach it.
    pub allow_remote: Option<Setting<bool>>,
    /// Where others can call it.
    pub advertise: Option<Setting<Vec<SocketAddr>>>,
    /// Which events are shown.
    pub level: Option<Setting<Filter>>,
    /// How they are written.
    pub format: Option<Setting<Format>>,
}

impl Given {
    /// Returns what this source says, and where it says nothing what another does.
    fn or(self, other: Self) -> Self {
        Self {
            listen: self.listen.or(other.listen),
            api: self.api.or(other.api),
            allow_remote: self.allow_remote.or(other.allow_remote),
            advertise: self.advertise.or(other.advertise),
            level: self.level.or(other.level),
            format: self.format.or(other.format),
        }
    }
}

/// Something in a file, or among flags, that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The line of the file, from 1; `None` where it is not in the file.
    pub line: Option<usize>,
    /// What is wrong, and what is meant.
    pub what: String,
}

/// What a node is told cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Something in it makes no sense.
    #[error("{}", told(path, faults))]
    Faults {
        /// The file.
        path: PathBuf,
        /// All that is wrong, in the order of its lines.
        faults: Vec<Fault>,
    },
}

fn told(path: &Path, faults: &[Fault]) -> String {
    let mut text = match faults.len() {
        1 => "the configuration has a fault".to_owned(),
        count => format!("the configuration has {count} faults"),
    };
    for Fault { line, what } in faults {
        match line {
            Some(line) => text.push_str(&format!("\n  {}:{line}: {what}", path.display())),
            None => text.push_str(&format!("\n  {what}")),
        }
    }
    text
}

impl ConfigError {
    /// Returns the word that programs tell errors apart by.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "io",
            Self::Faults { .. } => "bad_config",
        }
    }

    /// Returns what to do about it.
    pub fn hint(&self) -> String {
        match self {
            Self::Unreadable { source, .. } if source.kind() == io::ErrorKind::NotFound => {
                "check the path; it is taken from the current directory".to_owned()
            }
            Self::Unreadable { source, .. } => {
                x0x_tracker::interface::error::hint_of(source).to_owned()
            }
            Self::Faults { .. } => "correct it, and look with `x0x daemon --check`".to_owned(),
        }
    }

    /// Returns each fault as programs read it.
    pub fn details(&self) -> Value {
        let Self::Faults { path, faults } = self else { return json!([]) };
        let detail = |fault: &Fault| {
            let file = fault.line.map(|_| path.display().to_string());
            json!({"file": file, "line": fault.line, "detail": fault.what})
        };
        faults.iter().map(detail).collect()
    }
}

/// What a node is told, with where each value comes from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file.
    pub path: PathBuf,
    /// Whether it is there.
    pub is_read: bool,
    /// See [`node::Config::listen`].
    pub listen: Setting<Option<SocketAddr>>,
    /// See [`node::Config::api`].
    pub api: Setting<Option<SocketAddr>>,
    /// See [`node::Config::allow_remote`].
    pub allow_remote: Setting<bool>,
    /// See [`node::Config::advertise`].
    pub advertise: Setting<Vec<SocketAddr>>,
    /// Which events are shown.
    pub level: Setting<Filter>,
    /// How they are written.
    pub format: Setting<Format>,
}

impl Settings {
    /// Returns what flags and environment say, then what the file says, then what goes where nobody says
    /// anything. A file that is `named` must be there; else it is the data directory's, which may be not.
    ///
    /// # Errors
    /// Where the file cannot be read, or has a fault; all faults are told.
    pub fn load(
        dir: &Path,
        named: Option<&Path>,
        given: Given,
        level: Filter,
    ) -> Result<Self, ConfigError> {
        let path = named.map_or_else(|| dir.join(FILE), Path::to_owned);
        let bytes = match read(&path) {
            Ok(bytes) => Some(bytes),
            Err(error) if named.is_none() && error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(ConfigError::Unreadable { path, source }),
        };
        let is_read = bytes.is_some();
        let (said, mut faults) = file::parse(&bytes.unwrap_or_default());
        let given = given.or(said);
        let settings = Self {
            listen: optional(given.listen),
            api: optional(given.api),
            allow_remote: given.allow_remote.unwrap_or(Setting::new(false, Source::Default)),
            advertise: given.advertise.unwrap_or(Setting::new(Vec::new(), Source::Default)),
            level: given.level.unwrap_or(Setting::new(level, Source::Default)),
            format: given.format.unwrap_or(Setting::new(Format::default(), Source::Default)),
            path,
            is_read,
        };
        faults.extend(settings.remote_api());
        faults.extend(settings.unreachable());
        if faults.is_empty() {
            return Ok(settings);
        }
        faults.sort_by_key(|fault| fault.line);
        Err(ConfigError::Faults { path: settings.path, faults })
    }

    /// Returns what is wrong with the addresses that others are told.
    fn unreachable(&self) -> Option<Fault> {
        let all = &self.advertise.value;
        let is_none = |address: &&SocketAddr| address.port() == 0 || address.ip().is_unspecified();
        let told = self.advertise.source.told(&self.path);
        let what = match all.iter().find(is_none) {
            Some(none) => format!("{none} is no address that others could call ({told})"),
            None if all.len() > ADDRESSES_MAX => {
                format!("{} addresses to advertise, more than {ADDRESSES_MAX} ({told})", all.len())
            }
            None => return None,
        };
        Some(Fault { line: self.advertise.source.line(), what })
    }

    /// Returns what is wrong with answering programs where other machines reach it, unless that is allowed.
    fn remote_api(&self) -> Option<Fault> {
        let address = self.api.value.filter(|address| !address.ip().is_loopback())?;
        if self.allow_remote.value {
            return None;
        }
        let line = self.api.source.line();
        let what = format!(
            "{address} is not an address of this machine alone: answer on loopback, or say \
             `allow-remote` ({})",
            self.api.source.told(&self.path)
        );
        Some(Fault { line, what })
    }

    /// Returns how a node is to run.
    pub fn node(&self, home: Home, lock_wait: Duration, log: Option<Arc<dyn Log>>) -> node::Config {
        node::Config {
            limits: Limits::default(),
            home,
            listen: self.listen.value,
            api: self.api.value,
            allow_remote: self.allow_remote.value,
            advertise: self.advertise.value.clone(),
            lock_wait,
            log,
        }
    }

    /// Returns each key with its value and where that comes from, as people read it.
    pub fn lines(&self) -> Vec<String> {
        let here = match self.is_read {
            true => "",
            false => " (not there)",
        };
        let mut lines = vec![format!("{:<18}{}{here}", "file", self.path.display())];
        for (key, value, source) in self.table() {
            let text = match &value {
                Value::Null => unsaid(key).to_owned(),
                Value::Array(all) if all.is_empty() => unsaid(key).to_owned(),
                Value::Array(all) => {
                    all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
                }
                Value::String(text) => text.clone(),
                value => value.to_string(),
            };
            lines.push(format!("{key:<18}{text}  ({})", source.told(&self.path)));
        }
        lines
    }

    /// Returns the same for programs; what nobody said is null.
    pub fn json(&self) -> Value {
        let entry = |(key, value, source): (&str, Value, Source)| json!({"key": key, "value": value, "from": source.told(&self.path)});
        let settings: Vec<Value> = self.table().into_iter().map(entry).collect();
        json!({"file": self.path.display().to_string(), "is_read": self.is_read, "settings": settings})
    }

    fn table(&self) -> [(&'static str, Value, Source); 6] {
        let address = |address: &Option<SocketAddr>| json!(address.map(|a| a.to_string()));
        let all: Vec<String> = self.advertise.value.iter().map(SocketAddr::to_string).collect();
        [
            ("node.listen", address(&self.listen.value), self.listen.source),
            ("node.api", address(&self.api.value), self.api.source),
            ("node.allow-remote", json!(self.allow_remote.value), self.allow_remote.source),
            ("node.advertise", json!(all), self.advertise.source),
            ("log.level", json!(self.level.value.to_string()), self.level.source),
            ("log.format", json!(self.format.value.name()), self.format.source),
        ]
    }
}

/// Returns what goes where nobody said a key.
fn unsaid(key: &str) -> &'static str {
    match key {
        "node.listen" => "the port used before, else 12700, else any, on every address",
        "node.api" => "127.0.0.1:12700, else any port",
        _ => "where it listens",
    }
}

impl Source {
    /// Returns the line of the file that says it.
    fn line(self) -> Option<usize> {
        match self {
            Self::Line(line) => Some(line),
            _ => None,
        }
    }

    fn told(self, path: &Path) -> String {
        match self {
            Self::Flag(name) | Self::Environment(name) => name.to_owned(),
            Self::Line(line) => format!("{}:{line}", path.display()),
            Self::Default => "default".to_owned(),
        }
    }
}

fn optional<T>(said: Option<Setting<T>>) -> Setting<Option<T>> {
    match said {
        Some(Setting { value, source }) => Setting::new(Some(value), source),
        None => Setting::new(None, Source::Default),
    }
}

/// Reads a file, and one byte more than it may have.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    fs::File::open(path)?.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, given: Given) -> Result<Settings, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), text).unwrap();
        Settings::load(dir.path(), None, given, "warn".parse().unwrap())
    }

    #[test]
    fn what_was_typed_wins_over_the_file_and_the_file_over_defaults() {
        let text = "[node]\nlisten = '127.0.0.1:1'\nadvertise = ['192.0.2.7:12700']\n\
                    [log]\nlevel = 'info,x0x::node=debug'\n";
        let typed = Setting::new("127.0.0.1:2".parse().unwrap(), Source::Flag("--listen"));
        let settings = load(text, Given { listen: Some(typed), ..Given::default() }).unwrap();
        assert_eq!(settings.listen.value, Some("127.0.0.1:2".parse().unwrap()));
        assert_eq!(settings.listen.source, Source::Flag("--listen"));
        assert_eq!(settings.advertise.source, Source::Line(3));
        assert_eq!(settings.level.value.to_string(), "info,x0x::node=debug");
        assert_eq!(settings.format, Setting::new(Format::Text, Source::Default));
    }

    #[test]
    fn a_file_that_nobody_named_need_not_be_there_and_a_named_one_must() {
        let dir = tempfile::tempdir().unwrap();
        let load = |named| {
            let level = "warn".parse().unwrap();
            Settings::load(dir.path(), named, Given::default(), level)
        };
        assert!(!load(None).unwrap().is_read);
        let error = load(Some(Path::new("/nowhere/x.toml"))).unwrap_err();
        assert!(matches!(error, ConfigError::Unreadable { .. }), "{error}");
    }

    #[test]
    fn an_api_that_others_reach_is_a_fault_unless_it_is_allowed() {
        let text = "[node]\napi = '192.0.2.1:1'\n";
        let error = load(text, Given::default()).unwrap_err().to_string();
        assert!(error.contains("config.toml:2: 192.0.2.1:1 is not"), "{error}");
        let allowed = Given {
            allow_remote: Some(Setting::new(true, Source::Flag("--allow-remote"))),
            ..Given::default()
        };
        assert!(load(text, allowed).is_ok());
    }

    #[test]
    fn a_file_is_read_up_to_its_bound() {
        let text = "# comment\n".repeat(FILE_BYTES_MAX / 10 + 1);
        let error = load(&text, Given::default()).unwrap_err().to_string();
        assert!(error.contains("more than 65536 bytes"), "{error}");
        assert!(load(&text[..FILE_BYTES_MAX], Given::default()).is_ok());
    }
}
