//! What the doctor says: a verdict, the findings in the order in which they matter, what was checked and what could
//! not be. The JSON form is stable.

use serde_json::{Value, json};

use crate::finding::{Fault, Finding};

/// The state of the pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It works, and nothing is to be said against it.
    Healthy,
    /// One side refuses the other, or the client does not get as far as connecting.
    Refused,
    /// It works, and something is wrong that breaks it elsewhere or soon.
    Degraded,
    /// There is nobody to talk to.
    Unreachable,
}

impl Verdict {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Healthy => "healthy",
            Verdict::Refused => "refused",
            Verdict::Degraded => "degraded",
            Verdict::Unreachable => "unreachable",
        }
    }

    /// The exit code: 0, 1 for findings, 3 where there is nobody.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Verdict::Healthy => 0,
            Verdict::Refused | Verdict::Degraded => 1,
            Verdict::Unreachable => 3,
        }
    }
}

/// Who refused whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// The server refused the client.
    ServerRefusedClient,
    /// The client refused the server.
    ClientRefusedServer,
    /// The client never came as far as talking.
    ClientStopped,
    /// A proxy or the network came between.
    Between,
    /// The two could not agree, or nobody refused.
    Neither,
}

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Weight {
    /// This is why it does not work.
    Blocks,
    /// This would block as well, once the first is mended.
    WouldBlock,
    /// It works, and breaks with other programs or soon.
    Warns,
}

impl Weight {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Weight::Blocks => "blocks",
            Weight::WouldBlock => "would_block",
            Weight::Warns => "warns",
        }
    }
}

/// A finding with its weight, and who refused whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    /// How much it matters.
    pub weight: Weight,
    /// Who refused whom.
    pub direction: Direction,
    /// The finding.
    pub finding: Finding,
    /// What the other side saw or will see.
    pub other_side: Option<String>,
    /// What common programs tell their users about it: the program, and its words.
    pub programs: Vec<(&'static str, String)>,
}

impl Ranked {
    /// A finding without what others say of it.
    ///
    /// ```
    /// use explain::doctor::{Direction, Ranked, Weight};
    /// use explain::{Fault, Finding, FindingCode};
    /// let finding = Finding::new(FindingCode::ExpiresSoon, Fault::Client, "alice's certificate ends in 5 days");
    /// let ranked = Ranked::new(Weight::Warns, Direction::Neither, finding);
    /// assert_eq!(ranked.weight.name(), "warns");
    /// ```
    #[must_use]
    pub fn new(weight: Weight, direction: Direction, finding: Finding) -> Self {
        Ranked { weight, direction, finding, other_side: None, programs: Vec::new() }
    }

    /// The finding with the field names of `--json`.
    #[must_use]
    pub fn json(&self) -> Value {
        let mut value = self.finding.json();
        value["weight"] = json!(self.weight.name());
        value["other_side"] = json!(self.other_side);
        value["programs"] = self
            .programs
            .iter()
            .map(|(program, words)| json!({ "program": program, "says": words }))
            .collect();
        value
    }
}

/// The whole report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The state of the pair.
    pub verdict: Verdict,
    /// The findings, the blocking one first.
    pub findings: Vec<Ranked>,
    /// What was checked and is right, in short sentences.
    pub checked: Vec<String>,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
}

impl Report {
    /// A report of these findings, put in order: by weight, then as they were found; each code and subject once.
    ///
    /// ```
    /// use explain::doctor::{Report, Verdict};
    /// assert_eq!(Report::new(Vec::new(), Vec::new(), Vec::new()).verdict, Verdict::Healthy);
    /// ```
    #[must_use]
    pub fn new(found: Vec<Ranked>, checked: Vec<String>, unchecked: Vec<String>) -> Self {
        let mut findings: Vec<Ranked> = Vec::new();
        let mut ordered = found;
        ordered.sort_by_key(|ranked| ranked.weight);
        for mut ranked in ordered {
            let is_known = findings.iter().any(|known| {
                known.finding.code == ranked.finding.code && known.finding.summary == ranked.finding.summary
            });
            if is_known {
                continue;
            }
            // One thing blocks; what else would is told behind it.
            if ranked.weight == Weight::Blocks && !findings.is_empty() {
                ranked.weight = Weight::WouldBlock;
            }
            findings.push(ranked);
        }
        let verdict = match findings.first().map(|first| (first.weight, &first.finding)) {
            None => Verdict::Healthy,
            Some((Weight::Blocks, finding)) if is_nobody(finding) => Verdict::Unreachable,
            Some((Weight::Blocks | Weight::WouldBlock, _)) => Verdict::Refused,
            Some((Weight::Warns, _)) => Verdict::Degraded,
        };
        Report { verdict, findings, checked, unchecked }
    }

    /// The finding that matters most.
    #[must_use]
    pub fn first(&self) -> Option<&Ranked> {
        self.findings.first()
    }

    /// The report with the field names of `--json`.
    #[must_use]
    pub fn json(&self) -> Value {
        json!({
            "verdict": self.verdict.name(),
            "findings": self.findings.iter().map(Ranked::json).collect::<Vec<_>>(),
            "checked": self.checked,
            "unchecked": self.unchecked,
        })
    }
}

/// Whether the finding means that there was nobody to talk to.
fn is_nobody(finding: &Finding) -> bool {
    use crate::finding::FindingCode as Code;
    matches!(finding.code, Code::ConnectionRefused | Code::NameNotResolved | Code::Unreachable)
        || (finding.code == Code::Timeout && finding.fault == Fault::Network)
}
