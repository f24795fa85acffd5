//! Figures, as rows and as JSON.

use std::time::Duration;

/// Prints one figure: a row for people, then the same as a line of JSON.
pub(crate) fn figure(suite: &str, name: &str, value: f64, unit: &str, target: Option<&str>) {
    let target_text = target.map_or_else(String::new, |target| format!("   (target {target})"));
    println!("  {name:<58} {value:>12.2} {unit}{target_text}");
    println!(r#"{{"suite":"{suite}","name":"{name}","value":{value:.3},"unit":"{unit}"}}"#);
}

/// The middle, the 99th of a hundred, and the largest, in milliseconds.
pub(crate) fn spread(suite: &str, name: &str, mut times: Vec<Duration>, target: Option<&str>) {
    times.sort();
    let at = |part: usize| times[((times.len() - 1) * part) / 100].as_secs_f64() * 1000.0;
    figure(suite, &format!("{name}, median of {}", times.len()), at(50), "ms", target);
    figure(suite, &format!("{name}, p99"), at(99), "ms", None);
    figure(suite, &format!("{name}, worst"), at(100), "ms", None);
}
