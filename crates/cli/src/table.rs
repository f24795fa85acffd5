//! Text in columns for people: tables, and sentences broken to a width.

use anstyle::Style;

/// One cell: its text, and the style it is shown in.
pub(crate) struct Cell {
    text: String,
    style: Style,
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Cell { text, style: Style::new() }
    }
}

impl Cell {
    /// A cell in a style.
    pub(crate) fn styled(text: impl Into<String>, style: Style) -> Self {
        Cell { text: text.into(), style }
    }
}

/// The table's lines, the header first. The first column gives way where all do not fit in `width`.
pub(crate) fn text<const N: usize>(header: [&str; N], rows: &[[Cell; N]], width: usize) -> String {
    let mut widths = header.map(length);
    for row in rows {
        for (column, cell) in row.iter().enumerate() {
            widths[column] = widths[column].max(length(&cell.text));
        }
    }
    let others: usize = widths[1..].iter().map(|width| width + 2).sum();
    widths[0] = widths[0].min(width.saturating_sub(others).max(12));
    let bold = Style::new().bold();
    let mut text = line(&header.map(|title| Cell::styled(title, bold)), &widths);
    for row in rows {
        text.push_str(&line(row, &widths));
    }
    text
}

fn line<const N: usize>(row: &[Cell; N], widths: &[usize; N]) -> String {
    let mut line = String::new();
    for (column, (Cell { text, style }, width)) in row.iter().zip(widths).enumerate() {
        let shown = cut(text, *width);
        let padding = if column + 1 == N { 0 } else { width - length(&shown) + 2 };
        line.push_str(&format!("{style}{shown}{style:#}{:padding$}", ""));
    }
    line.push('\n');
    line
}

fn cut(text: &str, width: usize) -> String {
    if length(text) <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

fn length(text: &str) -> usize {
    text.chars().count()
}

/// Breaks a text at white space.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && lines[last].chars().count() + 1 + word.chars().count() > width {
            lines.push(word.to_owned());
        } else {
            if !lines[last].is_empty() {
                lines[last].push(' ');
            }
            lines[last].push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_first_gives_way() {
        let rows = [["a-rather-long-name".to_owned().into(), "x".to_owned().into()]];
        let plain = anstream::adapter::strip_str(&text(["NAME", "FOR"], &rows, 18)).to_string();
        assert_eq!(plain, "NAME           FOR\na-rather-lon…  x\n");
    }
}
