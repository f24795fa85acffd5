//! Where in a file something stands, and what is wrong there: the line, the column, and the line itself with a mark.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// What is wrong at one place of a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) struct Misplaced {
    file: PathBuf,
    line: usize,
    column: usize,
    message: String,
    excerpt: String,
    length: usize,
}

impl Misplaced {
    /// What is wrong with the octets of this span.
    pub(super) fn new(file: &Path, contents: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let mut start = span.start.min(contents.len());
        while !contents.is_char_boundary(start) {
            start -= 1;
        }
        let before = &contents[..start];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let excerpt = contents[line_start..].lines().next().unwrap_or_default();
        let column = contents[line_start..start].chars().count() + 1;
        // The end of the line, which is none of the excerpt, can be what is wrong.
        let end = span.end.min(line_start + excerpt.len()).max(start);
        let length = contents.get(start..end).map_or(1, |text| text.chars().count()).max(1);
        Misplaced {
            file: file.to_owned(),
            line: before.matches('\n').count() + 1,
            column,
            message: message.into(),
            excerpt: excerpt.to_owned(),
            length,
        }
    }

    /// The line with the place marked.
    pub(crate) fn marked(&self) -> String {
        let number = self.line.to_string();
        let indent: String =
            self.excerpt.chars().take(self.column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        format!(
            "{number} | {}\n{:width$} | {indent}{}",
            self.excerpt,
            "",
            "^".repeat(self.length.min(100)),
            width = number.len()
        )
    }
}

impl fmt::Display for Misplaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, line {}, column {}: {}", self.file.display(), self.line, self.column, self.message)
    }
}
