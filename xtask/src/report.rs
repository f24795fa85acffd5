//! What a task prints between the outputs of the programs it runs: banners, durations, the closing table.

use std::fmt::Write as _;
use std::time::Duration;

/// Announces a step, so that it can be found in a long log.
pub(crate) fn banner(title: &str) {
    println!("\n=== {title} {}", "=".repeat(74_usize.saturating_sub(title.len())));
}

/// A duration as a person says it: `0.3 s`, `12.4 s`, `3 min 05 s`.
pub(crate) fn duration(duration: Duration) -> String {
    // Rounded first, so that 59.96 s does not become "60.0 s".
    let tenths = (duration.as_millis() + 50) / 100;
    if tenths < 600 {
        format!("{}.{} s", tenths / 10, tenths % 10)
    } else {
        let seconds = (duration.as_millis() + 500) / 1000;
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

/// How a step of `test` ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran and found nothing.
    Passed,
    /// It ran and found something; the text says what, in a few words.
    Failed(String),
    /// It could not run here; the text says what it needs.
    NotRun(String),
    /// It was not tried, because a step before it failed.
    NotReached,
}

/// One line of the closing table.
pub(crate) struct Row {
    pub(crate) step: &'static str,
    pub(crate) outcome: Outcome,
    pub(crate) took: Duration,
}

/// The closing table of `test`: one line a step, the failed ones found by their capitals.
pub(crate) fn table(rows: &[Row]) -> String {
    let width = rows.iter().map(|row| row.step.len()).max().unwrap_or(0);
    let mut text = String::new();
    for row in rows {
        let (word, detail) = match &row.outcome {
            Outcome::Passed => ("ok", ""),
            Outcome::Failed(detail) => ("FAILED", detail.as_str()),
            Outcome::NotRun(detail) => ("not run", detail.as_str()),
            Outcome::NotReached => ("not reached", ""),
        };
        let took = if row.outcome == Outcome::NotReached { String::new() } else { duration(row.took) };
        let line = format!("  {:width$}  {word:<11}  {took:>12}  {detail}", row.step);
        let _ = writeln!(text, "{}", line.trim_end()); // Writing to a String cannot fail.
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_a_person_says_them() {
        let said = |millis| duration(Duration::from_millis(millis));
        assert_eq!(
            [said(40), said(320), said(12_449), said(59_960), said(185_400)],
            ["0.0 s", "0.3 s", "12.4 s", "1 min 00 s", "3 min 05 s"]
        );
    }

    #[test]
    fn table_names_each_step_with_its_outcome_and_reason() {
        let rows = [
            Row { step: "fmt", outcome: Outcome::Passed, took: Duration::from_millis(900) },
            Row {
                step: "clippy",
                outcome: Outcome::Failed("2 findings".into()),
                took: Duration::from_secs(61),
            },
            Row { step: "deny", outcome: Outcome::NotReached, took: Duration::ZERO },
        ];
        assert_eq!(
            table(&rows),
            "  fmt     ok                  0.9 s\n  \
               clippy  FAILED         1 min 01 s  2 findings\n  \
               deny    not reached\n"
        );
    }
}
