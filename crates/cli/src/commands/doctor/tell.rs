//! The report for people: the verdict first, then what it rests on, what others say of it, and what to do.

use explain::doctor::{Ranked, Report, Verdict, Weight};
use explain::finding::Fix;

use crate::context::{BAD, BOLD, Context, DIM, GOOD, WARN, width};
use crate::table::wrap;

/// Writes the report to standard output.
pub(super) fn tell(context: &Context, report: &Report, target: &str) {
    let mut text = String::new();
    let (style, word) = match report.verdict {
        Verdict::Healthy => (GOOD, "healthy"),
        // The sentence behind it says who refused whom.
        Verdict::Refused => (BAD, "fails:"),
        Verdict::Degraded => (WARN, "works, but:"),
        Verdict::Unreachable => (BAD, "unreachable:"),
    };
    let mut findings = report.findings.iter();
    match findings.next() {
        None => text.push_str(&format!("{style}{word}{style:#}  {target}\n")),
        Some(first) => {
            let sentence = paragraph(&format!("{word} {}", first.finding.summary), 0);
            text.push_str(&sentence.replacen(word, &format!("{style}{word}{style:#}"), 1));
            text.push_str(&details(first, true));
        }
    }
    for further in findings {
        let word = if further.weight == Weight::Warns { "warning:" } else { "also:" };
        let sentence = paragraph(&format!("{word} {}", further.finding.summary), 0);
        text.push('\n');
        text.push_str(&sentence.replacen(word, &format!("{WARN}{word}{WARN:#}"), 1));
        text.push_str(&details(further, false));
    }
    for (title, lines) in [("checked", &report.checked), ("not checked", &report.unchecked)] {
        if !lines.is_empty() {
            text.push_str(&format!("\n{BOLD}{title}{BOLD:#}\n"));
            for line in lines {
                text.push_str(&item(line));
            }
        }
    }
    context.data(text);
}

fn details(ranked: &Ranked, is_first: bool) -> String {
    let finding = &ranked.finding;
    let mut text =
        format!("  {DIM}{}, fault: {}, {}{DIM:#}\n", finding.code, finding.fault, finding.confidence);
    let evidence: Vec<&String> = finding.evidence.iter().filter(|line| !line.is_empty()).collect();
    if !evidence.is_empty() {
        text.push_str(&format!("\n  {BOLD}evidence{BOLD:#}\n"));
        for line in evidence {
            text.push_str(&item(line));
        }
    }
    if is_first {
        if let Some(other) = &ranked.other_side {
            text.push_str(&format!("\n  {BOLD}the other side{BOLD:#}\n"));
            text.push_str(&paragraph(other, 4));
        }
        if !ranked.programs.is_empty() {
            text.push_str(&format!("\n  {BOLD}programs say{BOLD:#}\n"));
            for (program, words) in &ranked.programs {
                text.push_str(&paragraph(&format!("{program}: {words}"), 4));
            }
        }
    }
    if finding.remedy.is_some() || finding.fix.is_some() {
        text.push_str(&format!("\n  {BOLD}what to do{BOLD:#}\n"));
        if let Some(remedy) = &finding.remedy {
            text.push_str(&paragraph(remedy, 4));
        }
    }
    for (word, fix) in [("", &finding.fix), ("or ", &finding.alternative)] {
        let Some(Fix { command, place }) = fix.as_deref() else { continue };
        text.push_str(&format!("    {DIM}{word}{}:{DIM:#}\n", place_text(place.name())));
        // Never broken: it is there to be pasted.
        text.push_str(&format!("      {GOOD}{command}{GOOD:#}\n"));
    }
    text
}

fn place_text(place: &str) -> String {
    match place {
        "client" => "on the client".to_owned(),
        "server" => "on the server".to_owned(),
        "issuer" => "at the CA".to_owned(),
        "proxy" => "on the proxy".to_owned(),
        "network" => "in the network".to_owned(),
        "clock" => "on the machine whose clock is wrong".to_owned(),
        _ => "on this machine".to_owned(),
    }
}

fn item(text: &str) -> String {
    let mut lines = wrap(text, width().saturating_sub(6)).into_iter();
    let mut out = format!("    - {}\n", lines.next().unwrap_or_default());
    for line in lines {
        out.push_str(&format!("      {line}\n"));
    }
    out
}

fn paragraph(text: &str, indent: usize) -> String {
    wrap(text, width().saturating_sub(indent))
        .into_iter()
        .map(|line| format!("{:indent$}{line}\n", ""))
        .collect()
}
