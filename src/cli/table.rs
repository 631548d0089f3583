//! Aligned columns and readable sizes.

/// Rows of text whose columns are as wide as their widest cell.
pub(super) struct Table {
    right: &'static [bool],
    rows: Vec<Vec<String>>,
}

impl Table {
    /// As [`Self::new`], with a first row of titles.
    pub(super) fn with_titles(right: &'static [bool], titles: &[&str]) -> Self {
        let mut table = Self::new(right);
        table.row(titles.iter().map(|title| (*title).to_owned()).collect());
        table
    }

    /// A table without titles; `right` says for each column whether it is aligned to the right.
    pub(super) const fn new(right: &'static [bool]) -> Self {
        Self { right, rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    pub(super) fn render(&self) -> String {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let widths: Vec<usize> = (0..columns)
            .map(|column| self.rows.iter().filter_map(|row| row.get(column)).map(|cell| width(cell)).max().unwrap_or(0))
            .collect();
        let mut text = String::new();
        for row in &self.rows {
            let mut line = String::new();
            for (column, (cell, full)) in row.iter().zip(&widths).enumerate() {
                let padding = " ".repeat(full - width(cell));
                let separator = if column == 0 { "" } else { "  " };
                line.push_str(separator);
                if self.right.get(column).copied().unwrap_or(false) {
                    line.push_str(&padding);
                    line.push_str(cell);
                } else {
                    line.push_str(cell);
                    line.push_str(&padding);
                }
            }
            text.push_str(line.trim_end());
            text.push('\n');
        }
        text
    }
}

fn width(cell: &str) -> usize {
    cell.chars().count()
}

/// A number of bytes as people read it: 999, 1.5K, 12M; in powers of 1,024, rounded down.
pub(super) fn human_size(bytes: u64) -> String {
    const UNITS: [char; 6] = ['K', 'M', 'G', 'T', 'P', 'E'];
    let Some((unit, letter)) = (1..=6_u32).zip(UNITS).filter(|(unit, _)| bytes >> (10 * unit) > 0).last() else {
        return bytes.to_string();
    };
    let whole = bytes >> (10 * unit);
    if whole >= 10 {
        return format!("{whole}{letter}");
    }
    let rest = (bytes >> (10 * (unit - 1))) & 1023;
    format!("{whole}.{}{letter}", rest * 10 / 1024)
}

/// A time as people read it: 45 s, 2 min 30 s, 3 h 5 min, 2 d 4 h.
pub(super) fn human_seconds(seconds: u64) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let Some(first) = UNITS.iter().position(|(unit, _)| seconds >= *unit) else { return "0 s".to_owned() };
    let (unit, name) = UNITS[first];
    let (whole, rest) = (seconds / unit, seconds % unit);
    match UNITS.get(first + 1) {
        Some((smaller, smaller_name)) if rest >= *smaller => {
            format!("{whole} {name} {} {smaller_name}", rest / smaller)
        }
        _ => format!("{whole} {name}"),
    }
}

/// An optional value, `-` where there is none.
pub(super) fn or_dash(value: Option<impl ToString>) -> String {
    value.map_or_else(|| "-".to_owned(), |value| value.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_like_those_of_ls() {
        let cases = [(0, "0"), (1023, "1023"), (1024, "1.0K"), (1536, "1.5K"), (10 * 1024 * 1024, "10M")];
        for (bytes, text) in cases {
            assert_eq!(human_size(bytes), text);
        }
        assert_eq!(human_size(u64::MAX), "15E");
    }

    #[test]
    fn times_have_two_units_at_most() {
        let cases = [
            (0, "0 s"),
            (45, "45 s"),
            (150, "2 min 30 s"),
            (11_100, "3 h 5 min"),
            (3_630, "1 h"),
            (187_200, "2 d 4 h"),
        ];
        for (seconds, text) in cases {
            assert_eq!(human_seconds(seconds), text);
        }
    }

    #[test]
    fn columns_line_up_and_lines_have_no_trailing_space() {
        let mut table = Table::with_titles(&[false, true], &["NAME", "SIZE"]);
        table.row(vec!["a".into(), "1".into()]);
        table.row(vec!["längste".into(), "100".into()]);
        assert_eq!(table.render(), "NAME     SIZE\na           1\nlängste   100\n");
    }
}
