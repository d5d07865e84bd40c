//! Fails when a dependency points the wrong way or a file outgrows its room; it reads manifests and
//! sources as text and knows nothing of types, so a re-export can get past it.
//!
//! Every rule is a row of [`RULES`], [`MANIFEST_RULES`] or a constant beside them. The tests at the end
//! plant a line for each row and see it reported.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, and so do its helpers")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

/// What some files must not name.
struct Rule {
    /// Modules as paths without `.rs`; what lies below them is meant too.
    within: &'static [&'static str],
    /// Modules inside them that may.
    except: &'static [&'static str],
    /// Whether the rule leaves out what is compiled for tests only.
    spares_tests: bool,
    /// Paths (`std::fs` means all below it) and method calls (`.exists`).
    forbidden: &'static [&'static [&'static str]],
    reason: &'static str,
}

const CLOCK: &[&str] = &["std::time::SystemTime", "std::time::Instant"];
const OTHER_CLOCKS: &[&str] = &["jiff::Timestamp::now", "jiff::Zoned::now", "tokio::time::Instant"];
const ENTROPY: &[&str] = &["getrandom", "rand", "aws_lc_rs::rand"];
const SYSTEM: &[&str] = &["std::net", "std::thread", "std::process"];
const SYSTEM_OF_DECISIONS: &[&str] =
    &["std::thread", "std::process", "std::net::UdpSocket", "tokio", "quinn", "axum"];
const AUTOMERGE: &[&str] = &["automerge"];
const DISK: &[&str] = &["std::fs", "std::os", "redb", "fs4", "rustix"];
/// The methods by which a `Path` reaches the disk.
const DISK_METHODS: &[&str] = &[
    ".canonicalize",
    ".exists",
    ".is_dir",
    ".is_file",
    ".is_symlink",
    ".metadata",
    ".read_dir",
    ".read_link",
    ".symlink_metadata",
    ".try_exists",
];

const RULES: &[Rule] = &[
    Rule {
        within: &["tracker/src"],
        except: &[],
        spares_tests: false,
        forbidden: &[CLOCK, OTHER_CLOCKS, ENTROPY],
        reason: "time and randomness are values that go into the tracker",
    },
    Rule {
        within: &["tracker/src"],
        except: &[],
        spares_tests: true,
        forbidden: &[SYSTEM],
        reason: "the tracker has no sockets, threads or processes",
    },
    Rule {
        within: &["tracker/src"],
        except: &["tracker/src/store"],
        spares_tests: true,
        forbidden: &[DISK, DISK_METHODS],
        reason: "only the store touches the disk",
    },
    Rule {
        within: &["tracker/src"],
        except: &["tracker/src/document"],
        spares_tests: true,
        forbidden: &[AUTOMERGE],
        reason: "only document knows how an issue is kept in Automerge",
    },
    Rule {
        within: &["tracker/src/journal"],
        except: &[],
        spares_tests: false,
        forbidden: &[AUTOMERGE],
        reason: "to the journal a change is bytes",
    },
    Rule {
        within: &["tracker/src/claim"],
        except: &[],
        spares_tests: false,
        forbidden: &[AUTOMERGE, DISK, DISK_METHODS],
        reason: "who holds a claim is decided from records alone",
    },
    Rule {
        within: &["src/mesh"],
        except: &[],
        spares_tests: false,
        forbidden: &[&["x0x_tracker::issue", "x0x_tracker::document"]],
        reason: "the mesh does not know what an issue is",
    },
    Rule {
        within: &[
            "src/hub",
            "src/mesh",
            "src/pump",
            "src/replica",
            "src/wire",
            "src/link/policy",
            "src/clerk",
        ],
        except: &[],
        spares_tests: true,
        forbidden: &[SYSTEM_OF_DECISIONS, DISK, AUTOMERGE],
        reason: "what decides has no sockets, threads, runtime or disk",
    },
    Rule {
        within: &["src/rest"],
        except: &[],
        spares_tests: false,
        forbidden: &[AUTOMERGE, &["quinn"]],
        reason: "rest sees handles, not documents or connections",
    },
    Rule {
        within: &["src"],
        except: &["src/time", "src/node"],
        spares_tests: false,
        forbidden: &[CLOCK, OTHER_CLOCKS],
        reason: "src/time.rs is the one door to the clock",
    },
    Rule {
        within: &["src"],
        except: &["src/entropy", "src/node"],
        spares_tests: false,
        forbidden: &[ENTROPY],
        reason: "src/entropy.rs is the one door to randomness",
    },
];

/// Paths of the rules that need not be there: parts of the node that the first rooms do without.
const OPTIONAL: &[&str] = &[];

/// What a crate must not depend on, in any kind of dependency.
struct ManifestRule {
    manifest: &'static str,
    forbidden: &'static [&'static str],
    reason: &'static str,
}

const MANIFEST_RULES: &[ManifestRule] = &[
    ManifestRule {
        manifest: "tracker/Cargo.toml",
        forbidden: &["x0x", "x0x-cli"],
        reason: "dependencies point one way: cli -> node -> tracker",
    },
    ManifestRule {
        manifest: "Cargo.toml",
        forbidden: &["x0x-cli"],
        reason: "dependencies point one way: cli -> node -> tracker",
    },
    ManifestRule {
        manifest: "tracker/Cargo.toml",
        forbidden: &["tokio", "quinn", "axum", "getrandom", "rand", "aws-lc-rs", "ml-dsa"],
        reason: "the tracker has no runtime, sockets, entropy or keys of its own",
    },
];

/// The most lines that a source file may have besides its tests.
const FILE_LINES_MAX: usize = 500;

#[test]
fn crates_depend_in_one_direction() {
    let workspace = read("Cargo.toml");
    let broken: Vec<_> = MANIFEST_RULES
        .iter()
        .flat_map(|rule| check_manifest(rule, &read(rule.manifest), &workspace))
        .collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn modules_depend_in_one_direction() {
    let broken = check(RULES, &sources());
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn no_file_outgrows_its_room() {
    let broken = check_sizes(&sources());
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

/// A file's path from the workspace's root, and its text.
type Source = (String, String);

/// Returns every breach of `rules` as `file:line: what: why`.
fn check(rules: &[Rule], sources: &[Source]) -> Vec<String> {
    let scans = scan_all(sources);
    let mut broken = Vec::new();
    for (file, scan) in &scans {
        for rule in rules.iter().filter(|rule| rule.applies_to(file)) {
            for mention in &scan.mentions {
                let spared = rule.spares_tests && mention.in_tests;
                let hit = rule.tokens().find(|token| !spared && mention.names(token));
                if let Some(token) = hit {
                    let (line, text, reason) = (mention.line, &mention.text, rule.reason);
                    broken.push(format!("{file}:{line}: {text} ({token}): {reason}"));
                }
            }
        }
    }
    broken
}

fn check_sizes(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for ((file, text), (_, scan)) in sources.iter().zip(&scan_all(sources)) {
        let lines = text.lines().count().saturating_sub(scan.test_lines);
        if !scan.only_tests && lines > FILE_LINES_MAX {
            broken.push(format!(
                "{file}:{FILE_LINES_MAX}: {lines} lines besides its tests: split the file along a seam"
            ));
        }
    }
    broken
}

fn check_manifest(rule: &ManifestRule, manifest: &str, workspace: &str) -> Vec<String> {
    let manifest: toml::Table = manifest.parse().unwrap();
    let workspace: toml::Table = workspace.parse().unwrap();
    let shared = workspace.get("workspace").and_then(|table| table.get("dependencies"));
    let mut broken = Vec::new();
    for (table, key, dependency) in dependencies(&manifest) {
        let inherited = shared.and_then(|shared| shared.get(key));
        let renamed = [Some(dependency), inherited]
            .into_iter()
            .flatten()
            .find_map(|dependency| dependency.get("package")?.as_str());
        let package = renamed.unwrap_or(key);
        if rule.forbidden.contains(&package) {
            broken.push(format!("{}: {package} in [{table}]: {}", rule.manifest, rule.reason));
        }
    }
    broken
}

/// Returns table, key and value of each dependency, of all kinds and targets.
fn dependencies(manifest: &toml::Table) -> Vec<(String, &str, &toml::Value)> {
    let mut holders = vec![(String::new(), manifest)];
    for (target, table) in manifest.get("target").and_then(|t| t.as_table()).into_iter().flatten() {
        holders.push((format!("target.{target}."), table.as_table().unwrap()));
    }
    let mut found = Vec::new();
    for (prefix, holder) in holders {
        for kind in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (key, value) in holder.get(kind).and_then(|t| t.as_table()).into_iter().flatten() {
                found.push((format!("{prefix}{kind}"), key.as_str(), value));
            }
        }
    }
    found
}

impl Rule {
    fn applies_to(&self, file: &str) -> bool {
        let inside = |modules: &[&str]| modules.iter().any(|module| is_inside(file, module));
        inside(self.within) && !inside(self.except)
    }

    fn tokens(&self) -> impl Iterator<Item = &'static str> {
        self.forbidden.iter().copied().flatten().copied()
    }
}

fn is_inside(file: &str, module: &str) -> bool {
    file.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// A path or a method call in a file.
struct Mention {
    /// The path with imported names spelled out, or the method's name after a dot.
    text: String,
    /// Whether it imports everything below `text`.
    glob: bool,
    line: usize,
    in_tests: bool,
}

impl Mention {
    fn names(&self, token: &str) -> bool {
        if let Some(method) = token.strip_prefix('.') {
            let called = |holder: &str| self.text.ends_with(&format!("{holder}::{method}"));
            return self.text == token || called("Path") || called("PathBuf");
        }
        is_below(&self.text, token) || (self.glob && is_below(token, &self.text))
    }
}

fn is_below(path: &str, module: &str) -> bool {
    path.strip_prefix(module).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

/// What one file says, apart from its comments and strings.
#[derive(Default)]
struct Scan {
    mentions: Vec<Mention>,
    /// What names mean after imports: outside tests, and inside.
    imports: [BTreeMap<String, String>; 2],
    /// How many lines are compiled for tests only.
    test_lines: usize,
    /// Whether all of it is.
    only_tests: bool,
    /// Modules in files of their own that are compiled for tests only.
    test_modules: Vec<String>,
}

fn scan_all(sources: &[Source]) -> Vec<(&str, Scan)> {
    let mut scans: Vec<_> =
        sources.iter().map(|(file, text)| (file.as_str(), scan(file, text))).collect();
    let test_modules: Vec<_> = scans
        .iter()
        .flat_map(|(file, scan)| scan.test_modules.iter().map(|name| child_module(file, name)))
        .collect();
    for (file, scan) in &mut scans {
        scan.only_tests |= test_modules.iter().any(|module| is_inside(file, module));
        if scan.only_tests {
            scan.mentions.iter_mut().for_each(|mention| mention.in_tests = true);
        }
    }
    scans
}

/// Returns where the module `name` of `file` lies, without `.rs`.
fn child_module(file: &str, name: &str) -> String {
    let stem = file.trim_end_matches(".rs");
    let folder = match stem.rsplit_once('/') {
        Some((folder, "mod" | "lib" | "main")) => folder,
        _ => stem,
    };
    format!("{folder}/{name}")
}

fn scan(file: &str, text: &str) -> Scan {
    let tokens: TokenStream = text.parse().unwrap_or_else(|error| panic!("{file}: {error}"));
    let mut scan = Scan::default();
    scan.walk(tokens, false);
    for mention in &mut scan.mentions {
        mention.text = spell_out(&scan.imports, mention);
    }
    scan
}

/// Replaces an imported first segment by what was imported, a few times for imports of imports.
fn spell_out(imports: &[BTreeMap<String, String>; 2], mention: &Mention) -> String {
    let mut path = mention.text.clone();
    for _ in 0..4 {
        let (first, rest) = path.split_once("::").unwrap_or((&path, ""));
        let inside = mention.in_tests.then(|| imports[1].get(first)).flatten();
        match inside.or_else(|| imports[0].get(first)) {
            Some(full) if full != first && !rest.is_empty() => path = format!("{full}::{rest}"),
            _ => break,
        }
    }
    path
}

impl Scan {
    fn walk(&mut self, tokens: TokenStream, in_tests: bool) {
        let tokens: Vec<_> = tokens.into_iter().collect();
        let mut at = 0;
        while at < tokens.len() {
            at = match &tokens[at] {
                TokenTree::Punct(hash) if hash.as_char() == '#' && !in_tests => {
                    self.attribute(&tokens, at)
                }
                TokenTree::Ident(word) if word == "use" && !is_punct(tokens.get(at + 1), '<') => {
                    let end = position(&tokens, at, |token| is_punct(Some(token), ';'));
                    self.import("", &tokens[at + 1..end], in_tests);
                    end
                }
                TokenTree::Ident(_) => self.path(&tokens, at, in_tests),
                TokenTree::Group(group) => {
                    self.walk(group.stream(), in_tests);
                    at + 1
                }
                _ => at + 1,
            };
        }
    }

    /// Reads what may be `#[cfg(test)]` or `#[test]` with its item; returns where to go on.
    fn attribute(&mut self, tokens: &[TokenTree], at: usize) -> usize {
        let inner = is_punct(tokens.get(at + 1), '!');
        let Some(TokenTree::Group(group)) = tokens.get(at + 1 + usize::from(inner)) else {
            return at + 1;
        };
        let text: String = group.stream().to_string().split_whitespace().collect();
        if text != "cfg(test)" && text != "test" {
            return at + 1;
        }
        let end = if inner { tokens.len() } else { item_end(tokens, at + 2) };
        self.only_tests |= inner;
        let item = &tokens[at + 2..end];
        let last_line = tokens[end - 1].span().end().line;
        self.test_lines += last_line + 1 - tokens[at].span().start().line;
        if let [.., TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(end)] = item
            && word == "mod"
            && end.as_char() == ';'
        {
            self.test_modules.push(name.to_string());
        }
        self.walk(item.iter().cloned().collect(), true);
        end
    }

    /// Reads a path or a method call that begins at an identifier; returns where it ends.
    fn path(&mut self, tokens: &[TokenTree], start: usize, in_tests: bool) -> usize {
        let before = start.checked_sub(1).and_then(|before| tokens.get(before));
        let line = tokens[start].span().start().line;
        let mut text = tokens[start].to_string();
        let mut at = start + 1;
        while is_punct(tokens.get(at), ':')
            && is_punct(tokens.get(at + 1), ':')
            && let Some(TokenTree::Ident(segment)) = tokens.get(at + 2)
        {
            text = format!("{text}::{segment}");
            at += 3;
        }
        let called = matches!(tokens.get(at), Some(TokenTree::Group(arguments))
            if arguments.delimiter() == Delimiter::Parenthesis);
        if is_punct(before, '.') && called {
            text.insert(0, '.');
        } else if at == start + 1 {
            // One word alone is a variable, a field, a lifetime or an import seen already.
            return at;
        }
        self.mentions.push(Mention { text, glob: false, line, in_tests });
        at
    }

    /// Reads what stands between `use` and `;`, or a part of it below `prefix`.
    fn import(&mut self, prefix: &str, tree: &[TokenTree], in_tests: bool) {
        let (mut path, mut name, mut glob) = (prefix.to_owned(), None, false);
        let mut line = 0;
        let mut tokens = tree.iter();
        while let Some(token) = tokens.next() {
            line = token.span().start().line;
            match token {
                TokenTree::Ident(word) if word == "as" => {
                    name = tokens.next().map(|t| t.to_string())
                }
                TokenTree::Ident(word) if word == "self" && !path.is_empty() => {}
                TokenTree::Ident(word) if path.is_empty() => path = word.to_string(),
                TokenTree::Ident(word) => path = format!("{path}::{word}"),
                TokenTree::Punct(star) if star.as_char() == '*' => glob = true,
                TokenTree::Group(group) => {
                    let parts: Vec<_> = group.stream().into_iter().collect();
                    for part in parts.split(|token| is_punct(Some(token), ',')) {
                        self.import(&path, part, in_tests);
                    }
                    return;
                }
                _ => {}
            }
        }
        if path.is_empty() {
            return;
        }
        if !glob {
            let last = path.rsplit("::").next().unwrap_or(&path).to_owned();
            self.imports[usize::from(in_tests)].insert(name.unwrap_or(last), path.clone());
        }
        self.mentions.push(Mention { text: path, glob, line, in_tests });
    }
}

/// Returns the end of the item, statement or field that begins at `at`.
fn item_end(tokens: &[TokenTree], at: usize) -> usize {
    let mut angles = 0_i32;
    for (end, token) in tokens.iter().enumerate().skip(at) {
        match token {
            TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => return end + 1,
            TokenTree::Punct(mark) => match mark.as_char() {
                ';' => return end + 1,
                ',' if angles == 0 => return end + 1,
                '<' => angles += 1,
                '>' if !['-', '='].iter().any(|arrow| is_punct(tokens.get(end - 1), *arrow)) => {
                    angles -= 1
                }
                _ => {}
            },
            _ => {}
        }
    }
    tokens.len()
}

fn position(tokens: &[TokenTree], at: usize, wanted: impl Fn(&TokenTree) -> bool) -> usize {
    tokens[at..].iter().position(wanted).map_or(tokens.len(), |found| at + found)
}

fn is_punct(token: Option<&TokenTree>, mark: char) -> bool {
    matches!(token, Some(TokenTree::Punct(punct)) if punct.as_char() == mark)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Returns all sources outside `tests` folders, ordered by path.
fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let kind = entry.file_type().unwrap();
            let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            if kind.is_file() && name.ends_with(".rs") {
                let text = read(&path);
                found.push((path, text));
            } else if kind.is_dir() && !name.starts_with('.') && name != "target" && name != "tests"
            {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

mod checker {
    //! The checker checked: each row fires, and what it should let pass passes.

    use super::*;

    fn broken(file: &str, text: &str) -> Vec<String> {
        check(RULES, &[(file.to_owned(), text.to_owned())])
    }

    /// Returns lines that name `token`, one by one.
    fn plants(token: &str) -> Vec<String> {
        let Some(method) = token.strip_prefix('.') else {
            let below = format!("fn f() {{ g({token}::h()); }}");
            return vec![format!("use {token};"), format!("use {token}::x as y;"), below];
        };
        vec![
            format!("fn f(p: &P) {{ p.{method}(); }}"),
            format!("fn f() {{ std::path::Path::{method}(p); }}"),
        ]
    }

    #[test]
    fn every_rule_fires_on_every_token_in_every_place() {
        for rule in RULES {
            for module in rule.within {
                for token in rule.tokens() {
                    for plant in plants(token) {
                        for file in [format!("{module}/a/b.rs"), format!("{module}/mod.rs")] {
                            let text = format!("//! Doc.\n\n{plant}\n");
                            let alone = std::slice::from_ref(rule);
                            let broken = check(alone, &[(file.clone(), text)]);
                            assert_eq!(broken.len(), 1, "{file} {plant}: {broken:?}");
                            assert!(broken[0].starts_with(&format!("{file}:3: ")), "{broken:?}");
                            assert!(broken[0].contains(token), "{broken:?}");
                            assert!(broken[0].ends_with(rule.reason), "{broken:?}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn exempt_files_and_others_are_let_pass() {
        for rule in RULES {
            for module in rule.except {
                for token in rule.tokens() {
                    let text = plants(token).join("\n");
                    let alone = std::slice::from_ref(rule);
                    let file = format!("{module}.rs");
                    assert_eq!(check(alone, &[(file, text.clone())]), [""; 0]);
                    let file = format!("{module}x/a.rs");
                    assert_ne!(check(alone, &[(file, text)]), [""; 0]);
                }
            }
        }
        assert_eq!(broken("cli/src/main.rs", "use std::fs;"), [""; 0]);
    }

    #[test]
    fn every_path_in_the_rules_is_there() {
        let sources = sources();
        for module in RULES.iter().flat_map(|rule| rule.within.iter().chain(rule.except)) {
            let there = sources.iter().any(|(file, _)| is_inside(file, module));
            assert!(there || OPTIONAL.contains(module), "{module}: no such module");
        }
    }

    #[test]
    fn grouped_renamed_and_indirect_imports_are_seen_through() {
        for text in [
            "use std::{collections::BTreeMap, fs};",
            "use std::{\n    io,\n    fs::{self, File},\n};",
            "use std::*;",
            "use ::std::fs::*;",
            "use std as s; fn f() { s::fs::read(p); }",
            "use std::{self as s}; use s::fs;",
            "mod inner { fn f() { if true { x(|| ::std::fs::read(p)) } } }",
            "m!(std::fs::read(p));",
            "type F = Vec<std::fs::File>;",
            "#[derive(Debug)] struct S(std::fs::File);",
            "#[cfg(not(test))] use std::fs;",
            "struct S { #[cfg(test)] a: u8, b: std::fs::File }",
            "fn f() { match a { #[cfg(test)] 1 => 2, _ => std::fs::x() } }",
            "#[cfg(test)] mod tests { } use std::fs;",
            "use std::path::PathBuf; fn f() { g(PathBuf::exists) }",
        ] {
            assert_ne!(broken("tracker/src/issue.rs", text), [""; 0], "{text}");
        }
        let text = "use std::time;\nfn f() { time::Instant::now(); }";
        assert_eq!(broken("tracker/src/issue.rs", text).len(), 1);
        assert!(broken("tracker/src/issue.rs", text)[0].starts_with("tracker/src/issue.rs:2: "));
    }

    #[test]
    fn comments_strings_and_namesakes_are_let_pass() {
        for text in [
            "//! std::fs::read is for the store.\n/* redb::x */",
            "/// Like `automerge::Change`.\nfn f() { g(\"std::fs::read\", r#\"use redb;\"#, '\\'') }",
            "use std::time::Duration; use std::{io, path::Path};",
            "use crate::store::redb; use super::fs; fn f() { fs::read(p); self::automerge::x(); }",
            "fn rand<'rand>(rand: u8, s: S) -> impl Sized + use<'rand> { s.exists + rand }",
            "use std::fsx; use automerge_like::Change;",
        ] {
            assert_eq!(broken("tracker/src/issue.rs", text), [""; 0], "{text}");
        }
    }

    #[test]
    fn what_is_compiled_for_tests_is_spared_where_the_rule_says_so() {
        let parent = "#[cfg(test)]\nmod tests;\n";
        let child = "use std::fs;\nuse std::time::Instant;\n";
        for text in [
            "#[cfg(test)]\nmod tests {\n    use std::fs;\n    use std::time::Instant;\n}\n",
            "#[cfg(test)]\n#[derive(A)]\npub fn f<A, B>() -> C<D> { std::fs::x(); std::time::Instant::x(); }",
            "#![cfg(test)]\nuse std::fs; use std::time::Instant;",
            "#[test] fn f() { std::fs::x(); std::time::Instant::x(); }",
        ] {
            let broken = broken("tracker/src/issue.rs", text);
            assert_eq!(broken.len(), 1, "{text}: {broken:?}");
            assert!(broken[0].contains("std::time::Instant"), "{broken:?}");
        }
        for (parent_file, child_file) in [
            ("tracker/src/jsonl/mod.rs", "tracker/src/jsonl/tests.rs"),
            ("tracker/src/jsonl.rs", "tracker/src/jsonl/tests/big.rs"),
            ("tracker/src/lib.rs", "tracker/src/tests.rs"),
        ] {
            let source = |file: &str, text: &str| (file.to_owned(), text.to_owned());
            let child = source(child_file, child);
            assert_eq!(check(RULES, std::slice::from_ref(&child)).len(), 2);
            assert_eq!(check(RULES, &[source(parent_file, parent), child]).len(), 1);
        }
    }

    #[test]
    fn a_line_over_the_limit_is_reported_and_tests_do_not_count() {
        let source = |text: String| vec![("cli/src/main.rs".to_owned(), text)];
        let full = "fn f() {}\n".repeat(FILE_LINES_MAX);
        let tests = format!("#[cfg(test)]\nmod tests {{\n{full}}}\n");
        assert_eq!(check_sizes(&source(full.clone())), [""; 0]);
        assert_eq!(check_sizes(&source(format!("{full}{tests}"))), [""; 0]);
        let broken = check_sizes(&source(format!("{full}// One more.\n{tests}")));
        assert_eq!(broken.len(), 1);
        assert!(broken[0].starts_with("cli/src/main.rs:500: 501 lines"), "{broken:?}");
        let early = format!("#[cfg(test)]\nuse a::b;\n{full}fn g() {{}}\n");
        assert_eq!(check_sizes(&source(early)).len(), 1);
    }

    #[test]
    fn every_manifest_rule_fires_in_every_kind_of_dependency() {
        for rule in MANIFEST_RULES {
            for package in rule.forbidden {
                let shared =
                    format!("[workspace.dependencies]\nalias = {{ package = \"{package}\" }}");
                for manifest in [
                    format!("[dependencies]\n{package} = \"1\""),
                    format!("[dependencies]\n{package}.workspace = true"),
                    format!("[dev-dependencies]\n{package} = {{ path = \"..\" }}"),
                    format!("[build-dependencies]\nother = {{ package = \"{package}\" }}"),
                    format!("[target.'cfg(unix)'.dependencies.{package}]\nversion = \"1\""),
                    "[dependencies]\nalias.workspace = true".to_owned(),
                ] {
                    let broken = check_manifest(rule, &manifest, &shared);
                    assert_eq!(broken.len(), 1, "{manifest}");
                    assert!(broken[0].contains(package) && broken[0].ends_with(rule.reason));
                }
                assert_eq!(check_manifest(rule, "[dependencies]\nserde = \"1\"", &shared), [""; 0]);
            }
        }
    }
}
