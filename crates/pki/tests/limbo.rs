//! x509-limbo (github.com/C2SP/x509-limbo, Apache-2.0): 289 of its cases through `pki::verify`. Each agrees with the
//! expected result or stands in limbo/exceptions.toml with a reason; an exception that agrees fails too.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use pki::verify::Conformance;
use serde::Deserialize;
use testkit::limbo::{Corpus, Verdict, judge};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exceptions {
    exception: Vec<Exception>,
}

/// One case where the result differs from the expected one, and why that is right.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    id: String,
    ours: String,
    reason: String,
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/limbo")
}

fn corpus() -> Corpus {
    let text = std::fs::read_to_string(folder().join("limbo-small.json")).unwrap();
    let corpus: Corpus = serde_json::from_str(&text).unwrap();
    assert_eq!(corpus.testcases.len(), 289);
    corpus
}

#[test]
fn every_case_agrees_or_is_an_exception_with_a_reason() {
    let exceptions: Exceptions =
        toml::from_str(&std::fs::read_to_string(folder().join("exceptions.toml")).unwrap()).unwrap();
    let count = exceptions.exception.len();
    let mut exceptions: BTreeMap<String, Exception> =
        exceptions.exception.into_iter().map(|exception| (exception.id.clone(), exception)).collect();
    assert_eq!(exceptions.len(), count, "an exception stands twice");

    let mut complaints = Vec::new();
    for case in &corpus().testcases {
        let verdict = judge(case, Conformance::Strict);
        let ours = verdict.word();
        let agrees = ours == case.expected_result;
        let why = match verdict {
            Verdict::Refused(why) | Verdict::Skipped(why) => why,
            Verdict::Accepted => "accepted".to_owned(),
        };
        match exceptions.remove(&case.id) {
            Some(exception) => {
                assert!(exception.reason.ends_with('.'), "{}: the reason is a sentence", case.id);
                if agrees || exception.ours != ours {
                    complaints
                        .push(format!("{}: excepted as {}, and is {ours} ({why})", case.id, exception.ours));
                }
            }
            None if !agrees => {
                complaints.push(format!("{}: expected {}: {why}", case.id, case.expected_result));
            }
            None => {}
        }
    }
    complaints.extend(exceptions.into_keys().map(|id| format!("{id}: excepted, and there is no such case")));
    assert!(complaints.is_empty(), "{} disagreement(s):\n{}", complaints.len(), complaints.join("\n"));
}
