//! Reads the text format of Prometheus (version 0.0.4) strictly: whatever a scraper would refuse, warn of or take for
//! something else is an error.

use std::collections::{BTreeMap, BTreeSet};

/// What a text says.
#[derive(Debug, Default)]
pub struct Exposition {
    /// Families by name, with their types.
    pub families: BTreeMap<String, String>,
    /// Samples, by name and labels as they are spelled.
    pub samples: BTreeMap<String, f64>,
}

impl Exposition {
    /// Reads a text.
    pub fn read(text: &str) -> Result<Self, String> {
        let (mut read, mut family) = (Self::default(), Family::default());
        if !text.ends_with('\n') {
            return Err("the last line does not end".to_owned());
        }
        for line in text.lines() {
            let fault = |why: &str| Err(format!("{why}: {line}"));
            if let Some(rest) = line.strip_prefix("# HELP ") {
                family.check()?;
                let Some((name, help)) = rest.split_once(' ') else { return fault("no help") };
                if !is_name(name) || help.is_empty() {
                    return fault("no name or no help");
                }
                family = Family { name: name.to_owned(), ..Family::default() };
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let Some((name, kind)) = rest.split_once(' ') else { return fault("no type") };
                if name != family.name || !family.kind.is_empty() {
                    return fault("its HELP does not stand before it");
                }
                if !["counter", "gauge", "histogram"].contains(&kind) {
                    return fault("an unknown type");
                }
                if (kind == "counter") != name.ends_with("_total") {
                    return fault("a counter, and nothing else, ends with _total");
                }
                family.kind = kind.to_owned();
                if read.families.insert(name.to_owned(), kind.to_owned()).is_some() {
                    return fault("a family comes twice");
                }
            } else {
                let sample = Sample::read(line).ok_or_else(|| format!("no sample: {line}"))?;
                if !family.takes(&sample) {
                    return fault("it does not belong to the family above it");
                }
                if read.samples.insert(sample.series.clone(), sample.value).is_some() {
                    return fault("a series comes twice");
                }
                family.samples.push(sample);
            }
        }
        family.check()?;
        Ok(read)
    }

    /// Returns the value of a series.
    pub fn value(&self, series: &str) -> f64 {
        *self.samples.get(series).unwrap_or_else(|| panic!("{series} is not there"))
    }
}

/// What stands under one HELP.
#[derive(Default)]
struct Family {
    name: String,
    kind: String,
    samples: Vec<Sample>,
}

impl Family {
    fn takes(&self, sample: &Sample) -> bool {
        match (self.kind.as_str(), sample.name.strip_prefix(&self.name)) {
            ("histogram", Some("_bucket")) => sample.labels.contains_key("le"),
            ("histogram", Some("_sum" | "_count")) => !sample.labels.contains_key("le"),
            ("counter" | "gauge", Some("")) => true,
            _ => false,
        }
    }

    /// Checks what can be said once all of it was read.
    fn check(&self) -> Result<(), String> {
        if self.name.is_empty() {
            return Ok(());
        }
        let fault = |why: &str| Err(format!("{why}: {}", self.name));
        if self.kind.is_empty() {
            return fault("it has no type");
        }
        if self.samples.iter().any(|sample| self.kind != "gauge" && sample.value < 0.0) {
            return fault("it counts below 0");
        }
        if self.kind != "histogram" {
            return Ok(());
        }
        let mut spreads: BTreeMap<_, Vec<&Sample>> = BTreeMap::new();
        for sample in &self.samples {
            let mut labels = sample.labels.clone();
            labels.remove("le");
            spreads.entry(labels).or_default().push(sample);
        }
        for spread in spreads.values() {
            let of = |suffix: &str| {
                let name = format!("{}{suffix}", self.name);
                spread.iter().filter(|sample| sample.name == name).collect::<Vec<_>>()
            };
            let (buckets, counts) = (of("_bucket"), of("_count"));
            let bound = |sample: &Sample| match sample.labels["le"].as_str() {
                "+Inf" => f64::INFINITY,
                bound => bound.parse().unwrap_or(f64::NAN),
            };
            let rises = buckets
                .windows(2)
                .all(|pair| bound(pair[0]) < bound(pair[1]) && pair[0].value <= pair[1].value);
            let last = buckets.last().filter(|last| bound(last) == f64::INFINITY);
            if !rises || counts.len() != 1 || of("_sum").len() != 1 {
                return fault("its buckets do not rise, or it has no sum and count");
            }
            if last.is_none_or(|last| last.value != counts[0].value) {
                return fault("what is in its last bucket is not the count");
            }
        }
        Ok(())
    }
}

/// One line with a value.
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    /// Name and labels as they are spelled.
    series: String,
    value: f64,
}

impl Sample {
    fn read(line: &str) -> Option<Self> {
        let name_end = line.find(['{', ' '])?;
        let (name, mut rest) = line.split_at(name_end);
        let (mut labels, mut names) = (BTreeMap::new(), BTreeSet::new());
        if let Some(inside) = rest.strip_prefix('{') {
            rest = inside;
            loop {
                let (label, after) = rest.split_once("=\"")?;
                let (value, after) = quoted(after)?;
                if !is_name(label) || label.contains(':') || !names.insert(label.to_owned()) {
                    return None;
                }
                labels.insert(label.to_owned(), value);
                match after.strip_prefix(',') {
                    Some(after) => rest = after,
                    None => {
                        rest = after.strip_prefix('}')?;
                        break;
                    }
                }
            }
        }
        let series = line[..line.len() - rest.len()].to_owned();
        let value = rest.strip_prefix(' ')?;
        let is_number = value.bytes().all(|byte| byte.is_ascii_digit() || b".e+-".contains(&byte));
        let value = value.parse().ok().filter(|_| is_number)?;
        is_name(name).then(|| Self { name: name.to_owned(), labels, series, value })
    }
}

/// Reads what stands up to a closing quote; returns it and what follows.
fn quoted(text: &str) -> Option<(String, &str)> {
    let (mut value, mut chars) = (String::new(), text.char_indices());
    loop {
        match chars.next()? {
            (at, '"') => return Some((value, &text[at + 1..])),
            (_, '\\') => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('\\' | '"') => c,
                _ => return None,
            }),
            (_, c) => value.push(c),
        }
    }
}

fn is_name(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

#[test]
fn what_is_no_exposition_is_not_read() {
    let head = "# HELP a_total A.\n# TYPE a_total counter\n";
    let spread = "# HELP s S.\n# TYPE s histogram\n";
    let good = format!("{head}a_total{{b=\"c\\\"\"}} 1\na_total 2.5\n");
    assert_eq!(Exposition::read(&good).unwrap().samples.len(), 2);
    let whole = "s_bucket{le=\"1\"} 1\ns_bucket{le=\"+Inf\"} 2\ns_sum 3\ns_count 2\n";
    assert_eq!(Exposition::read(&format!("{spread}{whole}")).unwrap().samples.len(), 4);
    for bad in [
        format!("{head}a_total 1"),
        "a_total 1\n".to_owned(),
        "# HELP a_total A.\n".to_owned(),
        "# TYPE a_total counter\na_total 1\n".to_owned(),
        "# HELP a A.\n# TYPE a counter\na 1\n".to_owned(),
        "# HELP a_total A.\n# TYPE a_total gauge\na_total 1\n".to_owned(),
        "# HELP a A.\n# TYPE a summary\n".to_owned(),
        format!("{head}{head}"),
        format!("{head}\n"),
        format!("{head}a_total 1\na_total 1\n"),
        format!("{head}a_total -1\n"),
        format!("{head}a_total one\n"),
        format!("{head}a_total{{}} 1\n"),
        format!("{head}a_total{{b=\"c}} 1\n"),
        format!("{head}a_total{{b=\"c\",b=\"d\"}} 1\n"),
        format!("{head}a_total{{b=\"\\c\"}} 1\n"),
        format!("{head}b_total 1\n"),
        format!("{spread}s 1\n"),
        format!("{spread}{}", whole.replace("s_sum 3\n", "")),
        format!("{spread}{}", whole.replace("s_count 2", "s_count 3")),
        format!("{spread}{}", whole.replace("\"1\"} 1", "\"1\"} 3")),
        format!("{spread}{}", whole.replace("s_bucket{le=\"+Inf\"} 2\n", "")),
    ] {
        assert!(Exposition::read(&bad).is_err(), "{bad}");
    }
}
