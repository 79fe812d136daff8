//! Plain tables.

use super::clean;
use unicode_width::UnicodeWidthStr as _;

/// Rows in columns as wide as they need to be, two spaces between them.
pub(crate) fn columns(rows: &[Vec<String>]) -> String {
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(|cell| clean(cell)).collect())
        .collect();
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        rows.iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.width())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths);
        let padded: Vec<String> = cells
            .map(|(cell, width)| format!("{cell}{}", " ".repeat(width - cell.width())))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::columns;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let table = columns(&[
            row(["name", "cost", ""]),
            row(["日本", "$1", "x\u{1b}[31m"]),
            row(["a", "", ""]),
        ]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "name  cost");
        assert!(lines[1].starts_with("日本  $1    x"), "{table}");
        assert!(!table.contains('\u{1b}') && lines[2] == "a");
    }
}
