//! JSON as text: checked, compacted, restyled and compared without losing how it was spelled.
//! Not: what a value means; no number becomes a float here and no key is dropped.

use std::borrow::Cow;
use std::ops::Range;

/// How many objects and arrays may stand inside each other, the outermost included.
///
/// A guess: far beyond what people write, far below what would overflow a recursive reader's stack.
pub const DEPTH_MAX: usize = 512;

/// How a writer spells JSON: the separators, and which characters it escapes without need.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    /// What stands between items: `","` or `", "`.
    pub item_separator: &'static str,
    /// What stands between a key and its value: `":"` or `": "`.
    pub key_separator: &'static str,
    /// Whether everything beyond `~` is written `\uxxxx`, as Python's `json.dumps` does.
    pub ascii: bool,
    /// Whether `/` is written `\/`, as PHP's `json_encode` does.
    pub escape_slash: bool,
}

impl Style {
    /// No spaces, and only what must be escaped is: what [`compact`] writes.
    pub const COMPACT: Style =
        Style { item_separator: ",", key_separator: ":", ascii: false, escape_slash: false };
}

/// The first place where a text departs from JSON; nothing was taken from the text.
#[derive(Debug, thiserror::Error, Clone, Copy, PartialEq, Eq)]
#[error("byte {at}: {reason}")]
#[non_exhaustive]
pub struct Fault {
    /// How many bytes stand before the fault.
    pub at: usize,
    /// What is wrong there, in plain words.
    pub reason: &'static str,
}

/// Checks that `raw` is one JSON value (RFC 8259) nested at most [`DEPTH_MAX`] deep.
///
/// A `\u` escape of half a surrogate pair is allowed, as the grammar allows it; the same key may
/// stand twice in an object.
///
/// # Errors
///
/// The first fault; bytes that are not UTF-8 are reported before all others.
pub fn validate(raw: &[u8]) -> Result<(), Fault> {
    if let Err(error) = std::str::from_utf8(raw) {
        let at = error.valid_up_to();
        let reason = "the text is not valid UTF-8";
        return Err(Fault { at, reason });
    }
    let mut scanner = Scanner::new(raw, 0);
    scanner.space();
    scanner.value(0)?;
    scanner.space();
    scanner.end("text after the value")
}

/// Returns valid JSON without insignificant white space and with every string spelled minimally.
///
/// Numbers stay as spelled, keys in their order, and a key that stands twice does so still. Strings
/// keep only the escapes that JSON demands; a string with half a surrogate pair stays as spelled.
pub fn compact(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for token in Tokens::new(raw) {
        match token.as_bytes()[0] {
            b' ' | b'\t' | b'\n' | b'\r' => {}
            b'"' if token.contains('\\') => match unquote(token) {
                Some(text) => quote(&text, &mut out),
                None => out.push_str(token),
            },
            _ => out.push_str(token),
        }
    }
    out
}

/// Returns what [`compact`] made, spelled in `style`; [`compact`] of the result gives it back.
///
/// Other valid JSON keeps its value, but also its own spaces and escapes.
pub fn restyle(compact: &str, style: &Style) -> String {
    let mut out = String::with_capacity(compact.len() + compact.len() / 8);
    for token in Tokens::new(compact) {
        match token.as_bytes()[0] {
            b',' => out.push_str(style.item_separator),
            b':' => out.push_str(style.key_separator),
            b'"' => restyle_string(token, style, &mut out),
            _ => out.push_str(token),
        }
    }
    out
}

/// Returns whether two JSON texts hold the same value.
///
/// The order of keys and the spelling of strings make no difference; numbers are equal only if
/// spelled alike, strings with half a surrogate pair likewise. Values that differ in key order and
/// are nested deeper than [`DEPTH_MAX`] count as different.
pub fn equal(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (a, b) = (compact(a), compact(b));
    // The order of keys changes no length, so nearly all that differs is told apart here.
    a == b || a.len() == b.len() && sorted(&a).is_some_and(|a| Some(a) == sorted(&b))
}

/// Returns what a string token (quotes included) says, or none if it holds half a surrogate pair.
pub(super) fn unquote(token: &str) -> Option<Cow<'_, str>> {
    let spelled = token.strip_prefix('"')?.strip_suffix('"')?;
    if spelled.contains('\\') {
        serde_json::from_str(token).ok().map(Cow::Owned)
    } else {
        Some(Cow::Borrowed(spelled))
    }
}

/// Appends `text` as a string token in which only what must be escaped is.
pub(super) fn quote(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    loop {
        let (plain, special) = rest.split_at(plain_bytes(rest.as_bytes()));
        out.push_str(plain);
        let Some(&byte) = special.as_bytes().first() else {
            break;
        };
        match byte {
            b'"' => out.push_str("\\\""),
            b'\\' => out.push_str("\\\\"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\r' => out.push_str("\\r"),
            0x08 => out.push_str("\\b"),
            0x0c => out.push_str("\\f"),
            _ => escape_unit(u16::from(byte), out),
        }
        rest = &special[1..];
    }
    out.push('"');
}

/// The tokens of a JSON text, white space included, so that together they are the text.
///
/// Splits any text; whether it is JSON is for [`validate`] to say. No token is empty.
pub(super) struct Tokens<'a> {
    rest: &'a str,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let bytes = self.rest.as_bytes();
        let run = |more: fn(u8) -> bool| bytes.iter().take_while(|&&byte| more(byte)).count();
        let end = match *bytes.first()? {
            b'"' => string_bytes(bytes),
            byte if is_structural(byte) => 1,
            byte if is_space(byte) => run(is_space),
            _ => run(|byte| !(byte == b'"' || is_structural(byte) || is_space(byte))),
        };
        let (token, rest) = self.rest.split_at(end);
        self.rest = rest;
        Some(token)
    }
}

/// A strict reader that walks over JSON (RFC 8259) and says where things stand.
///
/// It neither recurses nor copies. Offsets count bytes of the whole text, which must be UTF-8.
pub(super) struct Scanner<'a> {
    text: &'a [u8],
    at: usize,
    /// The opening bytes of what is open inside the value being read, outermost first.
    open: Vec<u8>,
}

impl<'a> Scanner<'a> {
    pub(super) fn new(text: &'a [u8], at: usize) -> Self {
        let open = Vec::new();
        Self { text, at, open }
    }

    /// Passes over white space.
    pub(super) fn space(&mut self) {
        while self.peek().is_some_and(is_space) {
            self.at += 1;
        }
    }

    /// Passes over `byte` if it is next.
    pub(super) fn eat(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        self.at += usize::from(next);
        next
    }

    /// Passes over `byte`, which must be next.
    pub(super) fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), Fault> {
        let eaten = self.eat(byte);
        self.check(eaten, reason)
    }

    /// Checks that nothing is left.
    pub(super) fn end(&self, reason: &'static str) -> Result<(), Fault> {
        self.check(self.peek().is_none(), reason)
    }

    /// Passes over a key, its colon and the white space around that; returns where the key stands.
    pub(super) fn key(&mut self) -> Result<Range<usize>, Fault> {
        let start = self.at;
        let quoted = self.peek() == Some(b'"');
        self.check(quoted, "expected a key in double quotes")?;
        self.string()?;
        let key = start..self.at;
        self.space();
        self.expect(b':', "expected ':' after the key")?;
        self.space();
        Ok(key)
    }

    /// Passes over a value that stands inside `outer` objects and arrays; returns where it stands.
    pub(super) fn value(&mut self, outer: usize) -> Result<Range<usize>, Fault> {
        let start = self.at;
        self.open.clear();
        loop {
            match self.peek() {
                Some(b'"') => self.string()?,
                Some(b'-' | b'0'..=b'9') => self.number()?,
                Some(b'[') => {
                    if self.opens(b']', outer)? {
                        continue;
                    }
                }
                Some(b'{') => {
                    if self.opens(b'}', outer)? {
                        self.key()?;
                        continue;
                    }
                }
                _ => self.literal()?,
            }
            if !self.another()? {
                return Ok(start..self.at);
            }
        }
    }

    /// Passes over an opening byte and, if nothing stands between, its `close`; returns whether
    /// something does.
    fn opens(&mut self, close: u8, outer: usize) -> Result<bool, Fault> {
        let shallow = outer + self.open.len() < DEPTH_MAX;
        self.check(shallow, "objects and arrays are nested more than 512 deep")?;
        let open = self.text[self.at];
        self.at += 1;
        self.space();
        let filled = !self.eat(close);
        if filled {
            self.open.push(open);
        }
        Ok(filled)
    }

    /// After a value: closes what ends here; returns whether another value is next.
    fn another(&mut self) -> Result<bool, Fault> {
        while let Some(&open) = self.open.last() {
            self.space();
            let (close, reason) = match open {
                b'{' => (b'}', "expected ',' or '}' after the value"),
                _ => (b']', "expected ',' or ']' after the item"),
            };
            if self.eat(close) {
                self.open.pop();
                continue;
            }
            self.expect(b',', reason)?;
            self.space();
            if open == b'{' {
                self.key()?;
            }
            return Ok(true);
        }
        Ok(false)
    }

    fn string(&mut self) -> Result<(), Fault> {
        self.at += 1;
        loop {
            self.at += plain_bytes(&self.text[self.at..]);
            let at = self.at;
            let reason = match self.peek() {
                Some(b'\\') => {
                    self.escape()?;
                    continue;
                }
                _ if self.eat(b'"') => return Ok(()),
                Some(_) => "a control character in a string must be escaped",
                None => "the line ends inside a string",
            };
            return Err(Fault { at, reason });
        }
    }

    /// Passes over an escape; one that the line ends in is for [`Scanner::string`] to report.
    fn escape(&mut self) -> Result<(), Fault> {
        let kind = self.text.get(self.at + 1);
        let known = kind.is_none_or(|kind| b"\"\\/bfnrtu".contains(kind));
        self.check(known, "JSON has no such escape")?;
        self.at += 1 + usize::from(kind.is_some());
        let digits = if kind == Some(&b'u') { 4 } else { 0 };
        for _ in 0..digits {
            let Some(digit) = self.peek() else { break };
            let hex = digit.is_ascii_hexdigit();
            self.check(hex, "expected four hex digits after '\\u'")?;
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<(), Fault> {
        self.eat(b'-');
        let at = self.at;
        self.digits("expected a digit after '-'")?;
        if self.at > at + 1 && self.text[at] == b'0' {
            let reason = "a number may not start with 0";
            return Err(Fault { at, reason });
        }
        if self.eat(b'.') {
            self.digits("expected a digit after '.'")?;
        }
        if self.eat(b'e') || self.eat(b'E') {
            if !self.eat(b'+') {
                self.eat(b'-');
            }
            self.digits("expected a digit in the exponent")?;
        }
        Ok(())
    }

    fn digits(&mut self, reason: &'static str) -> Result<(), Fault> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.check(self.at > start, reason)
    }

    fn literal(&mut self) -> Result<(), Fault> {
        let rest = &self.text[self.at..];
        let mut words = ["true", "false", "null"].iter();
        let Some(word) = words.find(|word| rest.starts_with(word.as_bytes())) else {
            return Err(self.fault("expected a value"));
        };
        self.at += word.len();
        Ok(())
    }

    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn check(&self, holds: bool, reason: &'static str) -> Result<(), Fault> {
        if holds { Ok(()) } else { Err(self.fault(reason)) }
    }

    /// Returns the fault at this place; at the end of the text the reason is always that it ends.
    fn fault(&self, reason: &'static str) -> Fault {
        let at = self.at;
        let reason = match self.peek() {
            Some(_) => reason,
            None => "the line ends before the JSON text does",
        };
        Fault { at, reason }
    }
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

fn is_structural(byte: u8) -> bool {
    matches!(byte, b'{' | b'}' | b'[' | b']' | b',' | b':')
}

/// Returns how many bytes come before the first that is special in a string.
fn plain_bytes(bytes: &[u8]) -> usize {
    let special = |byte: u8| byte < 0x20 || byte == b'"' || byte == b'\\';
    // Whole blocks without an early exit, so that the compiler uses vector instructions.
    let (blocks, _) = bytes.as_chunks::<16>();
    let plain_blocks = blocks
        .iter()
        .take_while(|block| !block.iter().fold(false, |any, &byte| any | special(byte)))
        .count();
    let start = plain_blocks * 16;
    let rest = bytes[start..].iter().position(|&byte| special(byte));
    rest.map_or(bytes.len(), |more| start + more)
}

/// Returns the length of the string token that `bytes` begin with; if it is not closed, it goes
/// to the end. Always a character boundary.
fn string_bytes(bytes: &[u8]) -> usize {
    let mut at = 1;
    while at < bytes.len() {
        at += plain_bytes(&bytes[at..]);
        match bytes.get(at) {
            Some(b'"') => return at + 1,
            Some(b'\\') => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn restyle_string(token: &str, style: &Style, out: &mut String) {
    let as_spelled = !(style.ascii || style.escape_slash);
    // With half a surrogate pair in it, `compact` could not undo what is done here.
    if as_spelled || token.contains("\\u") && unquote(token).is_none() {
        out.push_str(token);
        return;
    }
    let mut escaped = false;
    for char in token.chars() {
        if char == '/' && style.escape_slash && !escaped {
            out.push_str("\\/");
        } else if char > '~' && style.ascii {
            for &mut unit in char.encode_utf16(&mut [0; 2]) {
                escape_unit(unit, out);
            }
        } else {
            out.push(char);
        }
        escaped = char == '\\' && !escaped;
    }
}

/// Appends a UTF-16 code unit as a `\u` escape in lower-case hex.
fn escape_unit(unit: u16, out: &mut String) {
    out.push_str("\\u");
    for shift in [12, 8, 4, 0] {
        let digit = usize::from(unit >> shift & 0xf);
        out.push(char::from(b"0123456789abcdef"[digit]));
    }
}

/// Returns compact JSON with the members of every object in the order of their keys, or none if
/// it is nested too deep.
fn sorted(compact: &str) -> Option<String> {
    let mut out = String::with_capacity(compact.len());
    // Where in `out` the members of each open object or array begin, outermost first.
    let mut open: Vec<Vec<usize>> = Vec::new();
    for token in Tokens::new(compact) {
        if token == "}" {
            sort_members(&mut out, &open.pop()?);
        } else if token == "]" {
            open.pop()?;
        }
        out.push_str(token);
        match token {
            "{" | "[" if open.len() == DEPTH_MAX => return None,
            "{" | "[" => open.push(vec![out.len()]),
            "," => open.last_mut()?.push(out.len()),
            _ => {}
        }
    }
    Some(out)
}

/// Sorts the members that begin at `starts` and go to the end of `out`; equal keys stay in order.
fn sort_members(out: &mut String, starts: &[usize]) {
    fn key<'a>(member: &&'a str) -> &'a str {
        &member[..string_bytes(member.as_bytes())]
    }
    let ends = starts[1..].iter().map(|start| start - 1);
    let spans = starts.iter().zip(ends.chain([out.len()]));
    let mut members: Vec<&str> = spans.map(|(&start, end)| &out[start..end]).collect();
    if members.is_sorted_by_key(key) {
        return;
    }
    members.sort_by_key(key);
    let joined = members.join(",");
    out.truncate(starts[0]);
    out.push_str(&joined);
}

#[cfg(test)]
pub(super) mod samples {
    //! JSON as proptest makes it up: odd spacing, needless escapes, numbers no float can hold.

    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::Style;

    pub fn style() -> impl Strategy<Value = Style> {
        let separators = (select(vec![",", ", "]), select(vec![":", ": "]));
        let flags = (any::<bool>(), any::<bool>());
        (separators, flags).prop_map(|((item, key), (ascii, escape_slash))| Style {
            item_separator: item,
            key_separator: key,
            ascii,
            escape_slash,
        })
    }

    /// White space that JSON allows between tokens of one line.
    pub fn space() -> impl Strategy<Value = String> {
        prop_oneof![4 => Just(String::new()), 1 => "[ \t\r]{1,3}"]
    }

    /// A string token in any spelling, without half surrogate pairs.
    pub fn string() -> impl Strategy<Value = String> {
        let whole = (any::<char>(), any::<bool>());
        let piece = prop_oneof![
            4 => "[a-z ]{1,20}",
            1 => select(vec!["/", "\\/", "\\\"", "\\\\", "\\n", "\\b", "\\f", "\\t", "\\r"])
                .prop_map(str::to_owned),
            2 => whole.prop_map(|(char, upper)| escaped(char, upper)),
            1 => any::<char>()
                .prop_filter("needs an escape", |&c| c >= ' ' && c != '"' && c != '\\')
                .prop_map(String::from),
        ];
        vec(piece, 0..5).prop_map(|pieces| format!("\"{}\"", pieces.concat()))
    }

    /// Any value in any spelling, half surrogate pairs included, on one line.
    pub fn value() -> impl Strategy<Value = String> {
        let half = Just("\"\\ud800\u{e9}/\\udc00\\u00e9\"".to_owned());
        let leaf = prop_oneof![
            3 => select(vec!["null", "true", "false", "0", "-0", "1e400", "[]", "{}"])
                .prop_map(str::to_owned),
            2 => "-?(0|[1-9][0-9]{0,21})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?",
            8 => string(),
            1 => half,
        ];
        leaf.prop_recursive(5, 40, 5, |inner| {
            let member = (string(), space(), inner.clone())
                .prop_map(|(key, space, value)| format!("{key}{space}:{space}{value}"));
            prop_oneof![
                (vec(inner, 0..5), space())
                    .prop_map(|(items, space)| join("[", &items, "]", &space)),
                (vec(member, 0..5), space())
                    .prop_map(|(members, space)| join("{", &members, "}", &space)),
            ]
        })
    }

    fn join(open: &str, items: &[String], close: &str, space: &str) -> String {
        let items = items.join(&format!("{space},{space}"));
        format!("{open}{space}{items}{space}{close}")
    }

    fn escaped(char: char, upper: bool) -> String {
        let units = char.encode_utf16(&mut [0; 2]).to_vec();
        let spell = |unit: &u16| match upper {
            true => format!("\\u{unit:04X}"),
            false => format!("\\u{unit:04x}"),
        };
        units.iter().map(spell).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::value::RawValue;

    use super::*;

    const PYTHON: Style =
        Style { item_separator: ", ", key_separator: ": ", ascii: true, escape_slash: false };

    fn fault(raw: &str) -> (usize, &'static str) {
        let fault = validate(raw.as_bytes()).expect_err("should not be valid");
        (fault.at, fault.reason)
    }

    fn nested(depth: usize) -> String {
        "[".repeat(depth) + &"]".repeat(depth)
    }

    #[test]
    fn compact_drops_white_space_between_tokens_only() {
        assert_eq!(compact(" { \"a b\" :\t[ 1 , 2 ]\r\n} "), r#"{"a b":[1,2]}"#);
    }

    #[test]
    fn compact_escapes_only_what_json_demands() {
        assert_eq!(compact(r#""\u0041\/\u00E9\uD83D\uDE00""#), "\"A/é😀\"");
        assert_eq!(compact(r#""\u0022\u005c\u007f""#), "\"\\\"\\\\\u{7f}\"");
        let short = r#""\n\t\r\b\f""#;
        assert_eq!(compact(r#""\u000a\u0009\u000d\u0008\u000c""#), short);
        assert_eq!(compact(r#""\u0000\u001F""#), r#""\u0000\u001f""#);
    }

    #[test]
    fn compact_keeps_numbers_as_spelled() {
        let numbers = "[1e3,1.0,1e400,-0,1E+05,12345678901234567890]";
        assert_eq!(compact(numbers), numbers);
    }

    #[test]
    fn compact_keeps_key_order_and_keys_that_stand_twice() {
        assert_eq!(compact(r#"{"b":1,"a":2, "b":3}"#), r#"{"b":1,"a":2,"b":3}"#);
    }

    #[test]
    fn compact_keeps_a_string_with_half_a_surrogate_pair_as_spelled() {
        assert_eq!(compact(r#"[ "\uD800\u0041\/" ]"#), r#"["\uD800\u0041\/"]"#);
    }

    #[test]
    fn nesting_costs_no_stack() {
        let deep = nested(100_000);
        assert_eq!(compact(&deep), deep);
        assert_eq!(restyle(&deep, &PYTHON), deep);
        assert!(equal(&deep, &format!(" {deep}")));
        assert!(!equal(&deep, &nested(99_999)));
        assert_eq!(validate(deep.as_bytes()).expect_err("deep").at, DEPTH_MAX);
    }

    #[test]
    fn restyle_spells_like_python() {
        let python = "{\"a\": [\"\\u00e9\\ud83d\\ude00\\u007f/,:\", 1]}";
        assert_eq!(restyle("{\"a\":[\"é😀\u{7f}/,:\",1]}", &PYTHON), python);
    }

    #[test]
    fn restyle_escapes_slashes_when_asked() {
        let style = Style { escape_slash: true, ..Style::COMPACT };
        assert_eq!(restyle(r#""a/b\\/""#, &style), r#""a\/b\\\/""#);
    }

    #[test]
    fn equal_ignores_key_order_at_every_depth() {
        let (a, b) = (r#"{"a":[{"x":1,"y":{}}],"b":2}"#, r#"{"b":2,"a":[{"y":{},"x":1}]}"#);
        assert!(equal(a, b));
        assert!(!equal("[1,2]", "[2,1]"));
        assert!(!equal(r#"{"a":1,"b":2}"#, r#"{"a":2,"b":1}"#));
    }

    #[test]
    fn equal_compares_strings_as_read_and_numbers_as_spelled() {
        assert!(equal(r#""\u0041\/""#, r#""A/""#));
        assert!(!equal("1.0", "1.00"));
        assert!(!equal("1e3", "1e+3"));
        assert!(!equal("1", "\"1\""));
    }

    #[test]
    fn equal_does_not_drop_keys_that_stand_twice() {
        assert!(!equal(r#"{"a":1,"a":2}"#, r#"{"a":2}"#));
        assert!(!equal(r#"{"a":1,"a":2}"#, r#"{"a":2,"a":1}"#));
    }

    #[test]
    fn too_deep_values_are_equal_only_in_the_same_key_order() {
        let wrap = |inner: &str| "[".repeat(DEPTH_MAX) + inner + &"]".repeat(DEPTH_MAX);
        let (a, b) = (wrap(r#"{"a":1,"b":2}"#), wrap(r#"{"b":2,"a":1}"#));
        assert!(!equal(&a, &b));
        assert!(equal(&a[1..a.len() - 1], &b[1..b.len() - 1]));
    }

    #[test]
    fn validate_allows_all_of_json() {
        let text =
            r#" { "a" : [ ] , "b":{}, "c":[true,false,null,-0.5E-7,"\u00e9\/\ud800"], "":0 } "#;
        assert_eq!(validate(text.as_bytes()), Ok(()));
    }

    #[test]
    fn validate_names_the_first_fault() {
        assert_eq!(fault(r#"{"a" 1}"#), (5, "expected ':' after the key"));
        assert_eq!(fault(r#"{"a":1 "b":2}"#), (7, "expected ',' or '}' after the value"));
        assert_eq!(fault("[1 2]"), (3, "expected ',' or ']' after the item"));
        assert_eq!(fault("[1}"), (2, "expected ',' or ']' after the item"));
        assert_eq!(fault("{'a':1}"), (1, "expected a key in double quotes"));
        assert_eq!(fault(r#"{"a":1,}"#), (7, "expected a key in double quotes"));
        assert_eq!(fault("[1,]"), (3, "expected a value"));
        assert_eq!(fault("[NaN]"), (1, "expected a value"));
        assert_eq!(fault("1 2"), (2, "text after the value"));
    }

    #[test]
    fn validate_names_faults_in_strings() {
        let control = "a control character in a string must be escaped";
        assert_eq!(fault("\"a\tb\""), (2, control));
        assert_eq!(fault("\"abc"), (4, "the line ends inside a string"));
        assert_eq!(fault("\"abc\\"), (5, "the line ends inside a string"));
        assert_eq!(fault("\"\\u00"), (5, "the line ends inside a string"));
        assert_eq!(fault(r#""\u00g0""#), (5, "expected four hex digits after '\\u'"));
        assert_eq!(fault(r#""a\x""#), (2, "JSON has no such escape"));
        let utf8 = validate(b"\"a\xff\"").expect_err("not UTF-8");
        assert_eq!((utf8.at, utf8.reason), (2, "the text is not valid UTF-8"));
    }

    #[test]
    fn validate_names_faults_in_numbers() {
        assert_eq!(fault("[01]"), (1, "a number may not start with 0"));
        assert_eq!(fault("[-01]"), (2, "a number may not start with 0"));
        assert_eq!(fault("[-]"), (2, "expected a digit after '-'"));
        assert_eq!(fault("[1.]"), (3, "expected a digit after '.'"));
        assert_eq!(fault("[1e+]"), (4, "expected a digit in the exponent"));
        assert_eq!(fault("[+1]"), (1, "expected a value"));
    }

    #[test]
    fn validate_says_that_a_cut_off_line_ends() {
        let ends = "the line ends before the JSON text does";
        for cut in ["", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "[", "[1", "-"] {
            assert_eq!(fault(cut), (cut.len(), ends), "{cut}");
        }
    }

    #[test]
    fn validate_limits_the_depth() {
        assert_eq!(validate(nested(DEPTH_MAX).as_bytes()), Ok(()));
        let (at, reason) = fault(&nested(DEPTH_MAX + 1));
        assert_eq!(at, DEPTH_MAX);
        assert!(reason.contains(&DEPTH_MAX.to_string()));
    }

    #[test]
    fn long_strings_are_searched_to_the_byte() {
        for length in 0..70 {
            let text = format!("\"{}\"", "x".repeat(length));
            assert_eq!(validate(text.as_bytes()), Ok(()));
            assert_eq!(fault(&text[..length + 1]).0, length + 1);
        }
    }

    proptest! {
        #[test]
        fn made_up_values_are_valid(raw in samples::value()) {
            prop_assert_eq!(validate(raw.as_bytes()), Ok(()));
        }

        #[test]
        fn compact_undoes_restyle(raw in samples::value(), style in samples::style()) {
            let plain = compact(&raw);
            let styled = restyle(&plain, &style);
            prop_assert_eq!(validate(styled.as_bytes()), Ok(()));
            prop_assert_eq!(compact(&styled), plain);
            prop_assert!(equal(&styled, &raw));
        }

        #[test]
        fn restyle_changes_no_value(raw in samples::value(), style in samples::style()) {
            prop_assert!(equal(&restyle(&raw, &style), &raw));
        }

        #[test]
        fn compact_strings_are_those_of_serde_json(raw in samples::string()) {
            let text: String = serde_json::from_str(&raw).expect("a string");
            prop_assert_eq!(compact(&raw), serde_json::to_string(&text).expect("a string"));
        }

        #[test]
        fn validate_agrees_with_serde_json(
            raw in samples::value(),
            at in any::<prop::sample::Index>(),
            with in "[]\\[{}\":,0-9eE.+u\\\\ tfn\u{1}é-]{0,2}",
        ) {
            let mut chars: Vec<char> = raw.chars().collect();
            let at = at.index(chars.len());
            chars.splice(at..at + 1, with.chars());
            let text: String = chars.into_iter().collect();
            let theirs = serde_json::from_str::<&RawValue>(&text).is_ok();
            prop_assert_eq!(validate(text.as_bytes()).is_ok(), theirs, "{}", text);
        }

        #[test]
        fn no_text_makes_them_panic(a in "[]\\[{}\":,a0é\\\\ u]{0,12}", b in any::<String>()) {
            let _ = (validate(a.as_bytes()), validate(b.as_bytes()));
            let _ = (equal(&a, &b), equal(&a, &a.chars().rev().collect::<String>()));
            prop_assert_eq!(Tokens::new(&a).collect::<String>(), a);
        }
    }
}
