//! Text from issues and files made safe for a terminal: no escape sequence gets through, nothing
//! reorders the line. Not for programs: they get the text as it is.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Returns text for one line: line breaks and tabs become spaces.
pub fn one_line(text: &str) -> Cow<'_, str> {
    clean(text, |c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { visible(c) })
}

/// Returns text of several lines.
pub fn paragraph(text: &str) -> Cow<'_, str> {
    clean(text, |c| if matches!(c, '\n' | '\t') { c } else { visible(c) })
}

fn clean(text: &str, replace: impl Fn(char) -> char) -> Cow<'_, str> {
    if text.chars().all(|c| replace(c) == c) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().map(replace).collect())
}

/// Returns what stands for a character: control characters show their picture.
fn visible(c: char) -> char {
    match c {
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(c)).unwrap_or('\u{fffd}'),
        '\u{7f}' => '\u{2421}',
        '\u{80}'..='\u{9f}' | '\u{2028}' | '\u{2029}' => '\u{fffd}',
        // What turns the direction of text around can make a line say something else.
        '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
            '\u{fffd}'
        }
        _ => c,
    }
}

/// Returns how many columns of a terminal a text takes.
pub fn columns(text: &str) -> usize {
    text.width()
}

/// Returns the text cut to `columns_max` columns, with an ellipsis where something is missing.
pub fn cut(text: &str, columns_max: usize) -> Cow<'_, str> {
    if columns(text) <= columns_max {
        return Cow::Borrowed(text);
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used > columns_max.saturating_sub(1) {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    Cow::Owned(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_become_visible() {
        assert_eq!(one_line("a\u{1b}[31mred\u{7}\r\nb"), "a␛[31mred␇  b");
        assert_eq!(paragraph("a\r\n\u{9b}2Jb"), "a␍\n\u{fffd}2Jb");
        assert_eq!(one_line("abc\u{202e}fed"), "abc\u{fffd}fed");
        assert!(matches!(one_line("plain é 漢字"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_cut_text_fits_also_where_characters_are_wide() {
        assert_eq!(cut("hello", 5), "hello");
        assert_eq!(cut("hello!", 5), "hell…");
        assert_eq!(cut("漢字漢字", 5), "漢字…");
        assert_eq!(cut("漢字漢字", 4), "漢…");
        assert_eq!(cut("hello", 1), "…");
    }
}
