//! Spans of time as people type them: `90d`, `12h`, `2y`.

use std::time::Duration;

use jiff::SignedDuration;

/// Reads `30s`, `15m`, `12h`, `90d`, `8w` or `1y` (365 days). Used as a clap value parser.
pub(crate) fn parse(text: &str) -> Result<SignedDuration, String> {
    let problem = || format!("'{text}' is no span of time; write 30m, 12h, 90d, 8w or 1y");
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(problem)?;
    let (number, unit) = text.split_at(split);
    let number: i64 = number.parse().map_err(|_| problem())?;
    let seconds = match unit {
        "s" => 1,
        "m" | "min" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "y" => 365 * 86_400,
        _ => return Err(problem()),
    };
    match number.checked_mul(seconds) {
        Some(0) => Err(format!("'{text}' is no time at all")),
        // A thousand years: beyond it dates no longer fit a certificate.
        Some(total) if total <= 1000 * 365 * 86_400 => Ok(SignedDuration::from_secs(total)),
        _ => Err(format!("'{text}' is longer than a certificate can say")),
    }
}

/// Reads a number of seconds, also a broken one. Used as a clap value parser.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let number: f64 = text.parse().map_err(|_| format!("'{text}' is no number of seconds"))?;
    Duration::try_from_secs_f64(number)
        .ok()
        .filter(|span| !span.is_zero())
        .ok_or_else(|| format!("'{text}' is no span of time"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_and_nonsense_is_refused() {
        assert_eq!(parse("90d"), Ok(SignedDuration::from_hours(90 * 24)));
        assert_eq!(parse("1y"), Ok(SignedDuration::from_hours(365 * 24)));
        for bad in ["", "d", "90", "0d", "-1d", "9999999999y", "90 d", "1.5h"] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }
}
