//! What a program says of what happens in it: which of it is shown, in which form, and how that is changed
//! while it runs. The library only emits events; a program that wants them shown calls [`start`], once.

pub mod file;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use clap::ValueEnum;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::{Layer, Registry, fmt as written};

/// The longest filter, in bytes.
pub const FILTER_BYTES_MAX: usize = 1_024;

/// The levels by name, from nothing to everything.
const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// How a filter is spelled.
pub const FILTER_HINT: &str = "write a level (off, error, warn, info, debug, trace), and after commas levels of \
                               single parts, as in info,x0x::node=debug";

/// Which events are shown: a level, and levels of single parts, as in `info,x0x::node=debug`.
#[derive(Clone, Debug, PartialEq)]
pub struct Filter {
    text: String,
    targets: Targets,
}

/// A text is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{filter}' is no log filter: {why}")]
pub struct FilterError {
    filter: String,
    why: String,
}

impl FilterError {
    /// Returns what is wrong, without the text.
    pub fn why(&self) -> &str {
        &self.why
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    /// Reads a filter of at most [`FILTER_BYTES_MAX`] bytes. What names no level is refused, where
    /// `tracing` would take it for a part of which everything is shown.
    fn from_str(text: &str) -> Result<Self, FilterError> {
        let refuse = |why: String| {
            let shown: String = text.chars().take(80).collect();
            FilterError { filter: shown, why }
        };
        if text.len() > FILTER_BYTES_MAX {
            return Err(refuse(format!("it has more than {FILTER_BYTES_MAX} bytes")));
        }
        let (mut all, mut parts, mut spelled) = (None, Vec::new(), Vec::new());
        for directive in text.split(',').map(str::trim) {
            match directive.split_once('=') {
                None => {
                    let level = level(directive).map_err(refuse)?;
                    if all.replace(level).is_some() {
                        return Err(refuse("it has two levels for everything".to_owned()));
                    }
                    spelled.push(directive.to_ascii_lowercase());
                }
                Some((part, level_name)) => {
                    let (part, level_name) = (part.trim(), level_name.trim());
                    if !is_part(part) {
                        return Err(refuse(format!("'{part}' is no part of a program")));
                    }
                    if parts.iter().any(|(known, _)| known == part) {
                        return Err(refuse(format!("'{part}' has two levels")));
                    }
                    parts.push((part.to_owned(), level(level_name).map_err(refuse)?));
                    spelled.push(format!("{part}={}", level_name.to_ascii_lowercase()));
                }
            }
        }
        let targets =
            Targets::new().with_targets(parts).with_default(all.unwrap_or(LevelFilter::OFF));
        Ok(Self { text: spelled.join(","), targets })
    }
}

/// Tells whether a text may be the path of a module.
fn is_part(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'))
    };
    text.split("::").all(is_name)
}

fn level(name: &str) -> Result<LevelFilter, String> {
    let found = LEVELS.iter().find(|(known, _)| name.eq_ignore_ascii_case(known));
    found.map(|(_, level)| *level).ok_or_else(|| {
        let near = nearest(name, LEVELS.iter().map(|(known, _)| *known));
        let meant = near.map_or(String::new(), |near| format!("; '{near}' is meant?"));
        format!("'{name}' is no level{meant}")
    })
}

/// Returns the name that a mistyped one is nearest to, if it is near any.
pub(crate) fn nearest<'a>(typed: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const NEAR_MIN: f64 = 0.6;
    let typed = typed.to_ascii_lowercase();
    let near = |name: &'a str| (strsim::normalized_damerau_levenshtein(&typed, name), name);
    let best = names.map(near).max_by(|(a, _), (b, _)| a.total_cmp(b))?;
    (best.0 >= NEAR_MIN).then_some(best.1)
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// How events are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A line of text each
    #[default]
    Text,
    /// A JSON object a line
    Json,
}

impl Format {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Json => "json",
        }
    }
}

/// The log of the program that runs a node, as far as the node may reach it.
pub trait Log: fmt::Debug + Send + Sync {
    /// Returns which events are shown.
    fn filter(&self) -> Filter;

    /// Shows other events from now on.
    fn set_filter(&self, filter: Filter);
}

/// The log that [`start`] started.
struct Started {
    filter: Mutex<Filter>,
    targets: reload::Handle<Targets, Registry>,
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Log").field(&self.filter).finish()
    }
}

impl Log for Started {
    fn filter(&self) -> Filter {
        self.filter.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set_filter(&self, filter: Filter) {
        let mut shown = self.filter.lock().unwrap_or_else(PoisonError::into_inner);
        // It fails where the subscriber is gone, and one that is global never is.
        let _gone = self.targets.reload(filter.targets.clone());
        *shown = filter;
    }
}

/// Logs something that went as it should, of a program that has no events of its own.
pub fn info(text: &str) {
    tracing::info!("{text}");
}

/// Logs something that a person should look at, of a program that has no events of its own.
pub fn warn(text: &str) {
    tracing::warn!("{text}");
}

/// Shows events on stderr from now on, for the whole program. Where another log was started already, this
/// one shows nothing.
pub fn start(filter: Filter, format: Format) -> Arc<dyn Log> {
    let (targets, handle) = reload::Layer::new(filter.targets.clone());
    // A stderr that nobody reads any more ends no node.
    let lines = written::layer().with_writer(io::stderr).log_internal_errors(false);
    let lines = match format {
        Format::Text => lines.with_ansi(false).boxed(),
        Format::Json => lines.json().flatten_event(true).with_current_span(false).boxed(),
    };
    let subscriber = Registry::default().with(targets).with(lines);
    let _other = tracing::subscriber::set_global_default(subscriber);
    Arc::new(Started { filter: Mutex::new(filter), targets: handle })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_a_level_and_levels_of_parts() {
        for (text, spelled) in [
            ("info", "info"),
            ("INFO, x0x::node=Debug", "info,x0x::node=debug"),
            ("x0x::rest=trace,off", "x0x::rest=trace,off"),
        ] {
            assert_eq!(text.parse::<Filter>().unwrap().to_string(), spelled, "{text}");
        }
        let filter: Filter = "warn,x0x::node=debug".parse().unwrap();
        let shows = |target, level| filter.targets.would_enable(target, &level);
        assert!(shows("x0x::node::carrier", tracing::Level::DEBUG));
        assert!(!shows("x0x::rest", tracing::Level::INFO));
        assert!(shows("quinn", tracing::Level::WARN));
        let parts: Filter = "x0x=info".parse().unwrap();
        assert!(!parts.targets.would_enable("quinn", &tracing::Level::ERROR));
    }

    #[test]
    fn what_is_no_filter_is_refused_with_what_is_wrong() {
        let long = "x".repeat(FILTER_BYTES_MAX + 1);
        for (text, why) in [
            ("inof", "'inof' is no level; 'info' is meant?"),
            ("x0x::hub", "'x0x::hub' is no level"),
            ("", "'' is no level"),
            ("info,", "'' is no level"),
            ("info,debug", "two levels for everything"),
            ("x0x=loud", "'loud' is no level"),
            ("x0x=info,x0x=debug", "'x0x' has two levels"),
            ("a b=info", "'a b' is no part of a program"),
            ("=info", "'' is no part of a program"),
            ("x0x:::y=info", "no part of a program"),
            (&long, "more than 1024 bytes"),
        ] {
            let error = text.parse::<Filter>().unwrap_err().to_string();
            assert!(error.contains(why), "{text}: {error}");
        }
    }
}
