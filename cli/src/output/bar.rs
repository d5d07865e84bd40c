//! A bar that shows how full something is. Not: what its colour says.

/// What the last column of a bar of blocks may hold, by eighths.
const EIGHTHS: [char; 8] = [' ', '▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// Returns a bar of so many columns, filled up to `part`, of which 1 is all.
///
/// It is rounded down, so that only what is full looks full; but what is not empty shows. Without blocks it is ASCII.
pub fn bar(part: f64, columns: usize, is_blocks: bool) -> String {
    let steps = if is_blocks { EIGHTHS.len() } else { 1 };
    let part = part.clamp(0.0, 1.0);
    // Never negative, and no more than the columns have.
    let filled = (part * (columns * steps) as f64) as usize;
    let filled = filled.max(usize::from(part > 0.0));
    let (whole, rest) = (filled / steps, filled % steps);
    if !is_blocks {
        return format!("{}{}", "#".repeat(whole), "-".repeat(columns - whole));
    }
    let mut bar = "█".repeat(whole);
    bar.extend((whole < columns).then(|| EIGHTHS[rest]));
    bar.push_str(&" ".repeat(columns.saturating_sub(whole + 1)));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_full_as_what_it_shows() {
        for (part, blocks, ascii) in [
            (0.0, "    ", "----"),
            (0.001, "▏   ", "#---"),
            (0.25, "█   ", "#---"),
            (0.5, "██  ", "##--"),
            (0.72, "██▉ ", "##--"),
            (0.999, "███▉", "###-"),
            (1.0, "████", "####"),
            (7.0, "████", "####"),
            (-1.0, "    ", "----"),
            (f64::NAN, "    ", "----"),
        ] {
            assert_eq!(bar(part, 4, true), blocks, "{part}");
            assert_eq!(bar(part, 4, false), ascii, "{part}");
        }
    }
}
