//! Measures whole commands on lists of several sizes: wall time, CPU time and peak memory of a cold
//! process each, beside two yardsticks of the same run: Automerge making the same documents, and
//! serde_json reading the same file.
//!
//! `cargo bench -p x0x-cli --bench commands` prints it, and with `X0X_BENCH_PAGE=FILE` puts the table
//! into a page too (`just bench-table`). Sizes from `X0X_BENCH_SIZES` (default 1000,10000), and
//! `X0X_BENCH_CHANGES` changes of every issue before it is measured (default 0).

#![expect(clippy::unwrap_used, reason = "a benchmark that cannot set itself up has failed")]
#![expect(clippy::disallowed_methods, reason = "a benchmark reads the clock")]

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeVal;
use x0x::home::Home;

/// How often a command that changes nothing is measured; the median counts.
const REPEATS: usize = 7;

/// Issues that may be claimed: their state is todo and nothing blocks them.
const FREE_ISSUES: [usize; REPEATS] = [12, 18, 30, 36, 42, 48, 60];

/// Bytes of a line.
const LINE_BYTES: usize = 2_048;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let Some(at) = arguments.iter().position(|argument| argument == "--measure-one") {
        return measure_here(&arguments[at + 1..]);
    }
    let setting =
        |name: &str, usual: &str| std::env::var(name).unwrap_or_else(|_| usual.to_owned());
    let sizes = setting("X0X_BENCH_SIZES", "1000,10000");
    let changes = setting("X0X_BENCH_CHANGES", "0").parse().unwrap();
    let mut table = Table::default();
    for size in sizes.split(',') {
        bench(size.trim().parse().unwrap(), changes, &mut table);
    }
    if let Ok(page) = std::env::var("X0X_BENCH_PAGE") {
        table.put_into(Path::new(&page));
    }
}

fn bench(size: usize, changes: u32, table: &mut Table) {
    let dir = tempfile::tempdir().unwrap();
    let repo = dir.path().join("repo");
    std::fs::create_dir_all(repo.join("issues")).unwrap();
    let file = repo.join("issues/issues.jsonl");
    std::fs::write(&file, lines(size)).unwrap();
    yardsticks(size, &file, table);
    // One command, for each issue in turn that is named where a {} stands.
    let mut run = |name: &str, repeats: usize, arguments: &[&str]| {
        let measure = |at: usize| {
            let issue = format!("B-{:04}", FREE_ISSUES[at % FREE_ISSUES.len()]);
            let named = |argument: &&str| argument.replace("{}", &issue);
            measure(dir.path(), &repo, &arguments.iter().map(named).collect::<Vec<_>>())
        };
        let mut costs: Vec<Cost> = (0..repeats).map(measure).collect();
        costs.sort_by_key(|cost| cost.wall);
        table.report(name, size, costs.swap_remove(repeats / 2));
    };
    run("init", 1, &["init", "--prefix", "B", "--quiet"]);
    run("issues import (first)", 1, &["issues", "import", "--quiet"]);
    if changes > 0 {
        age(&dir.path().join("data"), changes);
        run("issues export (every line changed)", 1, &["issues", "export", "--quiet"]);
    }
    run("issues import (unchanged)", REPEATS, &["issues", "import", "--quiet"]);
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replacen("Issue number 3 ", "Issue edited by hand ", 1)).unwrap();
    run("issues import (one line edited)", 1, &["issues", "import", "--quiet"]);
    run("issues export (unchanged)", REPEATS, &["issues", "export", "--quiet"]);
    run("issues export --out", REPEATS, &["issues", "export", "--quiet", "--out", "out.jsonl"]);
    run("issues ready --json", REPEATS, &["issues", "ready", "--json"]);
    run("issues ready", REPEATS, &["issues", "ready"]);
    run("issues next --json", REPEATS, &["issues", "next", "--json"]);
    run("issues list --json", REPEATS, &["issues", "list", "--json"]);
    run("issues list", REPEATS, &["issues", "list"]);
    run("issues list --limit 50", REPEATS, &["issues", "list", "--limit", "50", "--quiet"]);
    let absent = ["issues", "list", "--text", "nowhere to be found", "--quiet"];
    run("issues list --text (no match)", REPEATS, &absent);
    run("issues stats", REPEATS, &["issues", "stats"]);
    run("issues show", REPEATS, &["issues", "show", "B-0007"]);
    run("issues log", REPEATS, &["issues", "log", "B-0007"]);
    run("issues create", REPEATS, &["issues", "create", "--title", "a new issue", "--silent"]);
    run("issues edit", 1, &["issues", "edit", "B-0007", "--priority", "1", "--quiet"]);
    run("issues undo", 1, &["issues", "undo", "B-0007", "--quiet"]);
    run("issues claim ID", REPEATS, &["issues", "claim", "{}", "--worker", "a", "--quiet"]);
    run("issues heartbeat ID", REPEATS, &["issues", "heartbeat", "{}", "--worker", "a", "--quiet"]);
    run("issues release ID", REPEATS, &["issues", "release", "{}", "--worker", "a", "--quiet"]);
    run("issues claim ID (again)", REPEATS, &["issues", "claim", "{}", "--worker", "a", "--quiet"]);
    let handoff = ["issues", "handoff", "{}", "--worker", "a", "--summary", "done", "--quiet"];
    run("issues handoff ID", REPEATS, &handoff);
    run("issues next --claim", REPEATS, &["issues", "next", "--claim", "--worker", "b", "--quiet"]);
    run("issues export (some new)", 1, &["issues", "export", "--quiet"]);
    run("backup", 1, &["backup", "kept.x0x", "--quiet"]);
    let lists = std::fs::read_dir(dir.path().join("data/lists")).unwrap();
    let bytes: u64 = lists.map(|entry| entry.unwrap().metadata().unwrap().len()).sum();
    let (file_mb, store_mb) = (text.len() >> 20, bytes >> 20);
    table.sizes.push((size, file_mb as u64, store_mb));
    println!("{:<36} {size:>8} {file_mb} MB of JSONL, {store_mb} MB of store", "(on disk)");
}

/// Everything that was measured.
#[derive(Default)]
struct Table {
    /// Issues, megabytes of the JSONL file and of the store.
    sizes: Vec<(usize, u64, u64)>,
    rows: Vec<(String, Vec<Cost>)>,
}

impl Table {
    fn report(&mut self, name: &str, size: usize, cost: Cost) {
        if self.rows.is_empty() {
            println!(
                "{:<36} {:>8} {:>10} {:>10} {:>9}",
                "command", "issues", "wall ms", "CPU ms", "peak MB"
            );
        }
        let (wall, cpu, peak) = cost.numbers();
        println!("{name:<36} {size:>8} {wall:>10.1} {cpu:>10.1} {peak:>9.1}");
        match self.rows.iter_mut().find(|(known, _)| known == name) {
            Some((_, costs)) => costs.push(cost),
            None => self.rows.push((name.to_owned(), vec![cost])),
        }
    }

    /// Replaces what stands between the two marks of a page.
    fn put_into(&self, page: &Path) {
        let text = std::fs::read_to_string(page).unwrap();
        let (before, rest) = text.split_once(TABLE_BEGINS).unwrap();
        let (_, after) = rest.split_once(TABLE_ENDS).unwrap();
        let table = self.markdown();
        std::fs::write(page, format!("{before}{TABLE_BEGINS}\n{table}{TABLE_ENDS}{after}"))
            .unwrap();
    }

    fn markdown(&self) -> String {
        let mut text = "| wall / CPU ms, peak MB |".to_owned();
        for (size, file_mb, _) in &self.sizes {
            write!(text, " {size} issues, {file_mb} MB |").unwrap();
        }
        text.push_str("\n| --- |");
        text.push_str(&" --- |".repeat(self.sizes.len()));
        for (name, costs) in &self.rows {
            write!(text, "\n| {name} |").unwrap();
            for cost in costs {
                let (wall, cpu, peak) = cost.numbers();
                write!(text, " {wall:.0} / {cpu:.0}").unwrap();
                text.push_str(&if peak > 0.0 { format!(", {peak:.0} |") } else { " |".to_owned() });
            }
        }
        text.push_str("\n| store on disk, MB |");
        for (_, _, store_mb) in &self.sizes {
            write!(text, " {store_mb} |").unwrap();
        }
        text + "\n"
    }
}

/// What the table of a page stands between.
const TABLE_BEGINS: &str = "<!-- table begins -->";

/// See [`TABLE_BEGINS`].
const TABLE_ENDS: &str = "<!-- table ends -->";

/// Gives every issue a past of so many changes.
fn age(data_dir: &Path, changes: u32) {
    let home = Home::at(data_dir.to_owned());
    let list = home.list_named(None, Duration::ZERO).unwrap();
    home.write(list, Duration::ZERO).unwrap().age(changes).unwrap();
}

/// What the same work costs without a task list around it.
fn yardsticks(size: usize, file: &Path, table: &mut Table) {
    let text = std::fs::read_to_string(file).unwrap();
    let before = own_cpu();
    let begin = Instant::now();
    let records: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let cost = Cost { wall: begin.elapsed(), cpu: own_cpu() - before, peak_kb: 0 };
    table.report("(serde_json parses the file)", size, cost);
    let hydrated: Vec<automerge::hydrate::Map> = records.iter().map(hydrate).collect();
    let before = own_cpu();
    let begin = Instant::now();
    let mut bytes = 0;
    for map in &hydrated {
        let mut doc = automerge::Automerge::new();
        doc.init_from_hydrate(map).unwrap();
        bytes += doc.save().len();
    }
    assert!(bytes > 0);
    let cost = Cost { wall: begin.elapsed(), cpu: own_cpu() - before, peak_kb: 0 };
    table.report("(Automerge makes the documents)", size, cost);
}

fn hydrate(record: &serde_json::Value) -> automerge::hydrate::Map {
    let fields = record.as_object().unwrap();
    let values: std::collections::HashMap<String, automerge::hydrate::Value> = fields
        .iter()
        .map(|(name, value)| {
            let value = match value {
                serde_json::Value::Array(items) => automerge::hydrate::Value::List(
                    items
                        .iter()
                        .map(|item| automerge::hydrate::Value::scalar(item.as_str().unwrap_or("")))
                        .collect::<Vec<_>>()
                        .into(),
                ),
                value => automerge::hydrate::Value::scalar(
                    value.as_str().map_or_else(|| value.to_string(), str::to_owned),
                ),
            };
            (name.clone(), value)
        })
        .collect();
    values.into()
}

/// Records as teams write them: a description, labels, acceptance, some blockers, several states.
fn lines(size: usize) -> String {
    let mut file = String::with_capacity(size * (LINE_BYTES + 1));
    for n in 0..size {
        let state = ["todo", "todo", "todo", "in_progress", "review", "done"][n % 6];
        let blocked_by = if n % 5 == 4 { format!("\"B-{:04}\"", n / 2) } else { String::new() };
        let created = format!(
            "2026-01-{:02}T{:02}:{:02}:{:02}Z",
            1 + n / 86_400 % 28,
            n / 3_600 % 24,
            n / 60 % 60,
            n % 60
        );
        let mut line = format!(
            "{{\"id\":\"B-{n:04}\",\"identifier\":\"B-{n:04}\",\"title\":\"Issue number {n} about part {}\",\
             \"description\":\"\",\"priority\":{},\"state\":\"{state}\",\"branch_name\":null,\"url\":null,\
             \"labels\":[\"area-{}\",\"kind-{}\"],\"blocked_by\":[{blocked_by}],\"created_at\":\"{created}\",\
             \"updated_at\":\"{created}\",\"acceptance\":[\"it works for case {n}\",\"it is documented\"],\
             \"validation\":[\"cargo test part_{}\"]}}",
            n % 97,
            1 + n % 4,
            n % 13,
            n % 5,
            n % 97
        );
        let mut text = String::new();
        let mut word = n as u64;
        while line.len() + text.len() < LINE_BYTES {
            word = word
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            write!(text, "{} ", WORDS[(word >> 33) as usize % WORDS.len()]).unwrap();
        }
        line = line.replacen("\"description\":\"\"", &format!("\"description\":\"{text}\""), 1);
        file.push_str(&line);
        file.push('\n');
    }
    file
}

const WORDS: [&str; 24] = [
    "queue", "peer", "claim", "lease", "the", "when", "fails", "after", "a", "restart", "with",
    "document", "merge", "conflict", "node", "link", "is", "lost", "and", "retry", "until",
    "frontier", "digest", "repair",
];

struct Cost {
    wall: Duration,
    cpu: Duration,
    peak_kb: u64,
}

impl Cost {
    /// Returns wall and CPU time in milliseconds, and peak memory in megabytes.
    fn numbers(&self) -> (f64, f64, f64) {
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        (ms(self.wall), ms(self.cpu), self.peak_kb as f64 / 1_024.0)
    }
}

/// Runs one command in a process that measures nothing else, so that its peak memory is its own.
fn measure(dir: &Path, repo: &Path, arguments: &[String]) -> Cost {
    let output = Command::new(std::env::current_exe().unwrap())
        .arg("--measure-one")
        .args(arguments)
        .current_dir(repo)
        .env("X0X_DATA_DIR", dir.join("data"))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<u64> = text.split_whitespace().map(|word| word.parse().unwrap()).collect();
    Cost {
        wall: Duration::from_micros(numbers[0]),
        cpu: Duration::from_micros(numbers[1]),
        peak_kb: numbers[2],
    }
}

/// Runs the command, reading its output as a pipe's reader does, and prints what it cost.
fn measure_here(arguments: &[String]) {
    let begin = Instant::now();
    let output = Command::new(env!("CARGO_BIN_EXE_x0x"))
        .args(arguments)
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let wall = begin.elapsed();
    assert!(output.status.success(), "{arguments:?}");
    let usage = children_usage();
    println!("{} {} {}", wall.as_micros(), usage.0.as_micros(), usage.1);
}

/// Returns CPU time and peak memory (kB) of the children that ended.
fn children_usage() -> (Duration, u64) {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap();
    (as_duration(usage.user_time()) + as_duration(usage.system_time()), usage.max_rss() as u64)
}

fn own_cpu() -> Duration {
    let usage = getrusage(UsageWho::RUSAGE_SELF).unwrap();
    as_duration(usage.user_time()) + as_duration(usage.system_time())
}

fn as_duration(time: TimeVal) -> Duration {
    Duration::new(time.tv_sec() as u64, time.tv_usec() as u32 * 1_000)
}
