//! Lines of a JSONL file: what can be read is spelled again without losing a byte.

use x0x_tracker::document::{elements, scalar};
use x0x_tracker::issue::elements_of;
use x0x_tracker::jsonl::read::{Content, Line, Lines, RawLine, parse_line};
use x0x_tracker::jsonl::text::{self, Style};
use x0x_tracker::jsonl::{layout, record, write};

pub fn run(data: &[u8]) {
    let mut lines = Lines::new(data);
    let mut whole = Vec::new();
    while let Some(raw) = lines.next_line().expect("reading from memory does not fail") {
        assert!(!raw.oversize, "no input of a fuzzer is that long");
        whole.extend_from_slice(&raw.text);
        whole.extend_from_slice(raw.terminator.bytes());
        if let Ok(Content::Record(line)) = parse_line(&raw) {
            check_line(&line, raw.number);
        }
    }
    assert_eq!(whole, data, "lines and their ends are the file");
}

fn check_line(line: &Line<'_>, number: usize) {
    assert_eq!(layout::patch(line, &[], &[], &Style::COMPACT), line.text);
    let fields: Vec<(String, String)> = line
        .fields()
        .iter()
        .map(|field| (field.name.to_string(), text::compact(field.raw)))
        .collect();
    assert_eq!(write::renewed(line, &fields, &[], &Style::COMPACT), line.text);
    for (_, json) in &fields {
        check_value(json);
    }
    check_rendered(&fields, &layout::style_of(line));
    let Ok(record) = record::read(line, number) else { return };
    assert!(record.birth.is_valid(), "a record names a document");
    for (name, json) in record.fields.iter().filter(|(_, json)| json.starts_with('[')) {
        let list = elements_of(json);
        let fresh = elements::fresh(&list);
        let again: Vec<String> = fresh.into_iter().map(|element| element.json).collect();
        assert_eq!(again, list, "{name} as elements");
    }
}

fn check_value(json: &str) {
    text::validate(json.as_bytes()).expect("compact JSON is valid");
    assert_eq!(text::compact(json), json, "compacting twice changes nothing");
    assert!(text::equal(json, json));
    let stored = scalar::to_json(&scalar::from_json(json));
    assert_eq!(stored.as_deref(), Some(json), "a value comes back as it was stored");
}

/// A line made of the fields says the same.
fn check_rendered(fields: &[(String, String)], style: &Style) {
    let spelled: Vec<(&str, &str)> =
        fields.iter().map(|(name, json)| (name.as_str(), json.as_str())).collect();
    let text = layout::render(&spelled, style).into_bytes();
    let raw = RawLine {
        number: 2,
        text,
        terminator: x0x_tracker::jsonl::read::Terminator::Lf,
        oversize: false,
    };
    let Ok(Content::Record(line)) = parse_line(&raw) else { panic!("a rendered line is read") };
    let again: Vec<(String, String)> = line
        .fields()
        .iter()
        .map(|field| (field.name.to_string(), text::compact(field.raw)))
        .collect();
    assert_eq!(again, fields);
}
