//! Rules as people type them where there is no file of a configuration: one a line, `cn alice`, `deny ou Interns`,
//! `allow cn alice for GET HEAD`.

use super::{Effect, Rule, Statement};

/// The most rules of one text; a gateway's file may have more.
pub const MOST_RULES: usize = 1000;

/// The text is no rules.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// Reads rules, one a line. Empty lines, and those that begin with #, say nothing.
///
/// # Errors
/// [`Unreadable`], with the line.
///
/// ```
/// let rules = pki::policy::read("cn alice\n# not on holidays\ndeny ou Interns for DELETE")?;
/// assert_eq!(rules[1].to_string(), "deny-ou Interns (DELETE)");
/// # Ok::<(), pki::policy::Unreadable>(())
/// ```
pub fn read(text: &str) -> Result<Vec<Statement>, Unreadable> {
    let lines = text.lines().map(str::trim).enumerate();
    let mut statements = Vec::new();
    for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
        let read = statement(line).map_err(|why| Unreadable(format!("line {}: {why}", number + 1)))?;
        statements.push(read);
        if statements.len() > MOST_RULES {
            return Err(Unreadable(format!("there are more than {MOST_RULES} rules")));
        }
    }
    Ok(statements)
}

fn statement(line: &str) -> Result<Statement, String> {
    let (effect, rest) = match line.split_once(char::is_whitespace) {
        Some(("deny", rest)) => (Effect::Deny, rest.trim_start()),
        Some(("allow", rest)) => (Effect::Allow, rest.trim_start()),
        _ => (Effect::Allow, line),
    };
    let (rule, methods) = match rest.rsplit_once(" for ") {
        Some((rule, methods)) if is_methods(methods) => (
            rule.trim_end(),
            methods.split([' ', ',']).filter(|one| !one.is_empty()).map(str::to_owned).collect(),
        ),
        _ => (rest, Vec::new()),
    };
    if rule == "all" {
        return Ok(Statement { effect, rule: Rule::All, methods });
    }
    let kinds = || {
        format!(
            "write a kind and a value, such as cn alice; the kinds are {}, and all",
            Rule::KINDS.join(", ")
        )
    };
    let (kind, value) = rule.split_once(char::is_whitespace).ok_or_else(kinds)?;
    let kind = Rule::KINDS.into_iter().find(|known| *known == kind).ok_or_else(kinds)?;
    let rule = Rule::parse(kind, value.trim_start()).map_err(|error| error.to_string())?;
    Ok(Statement { effect, rule, methods })
}

fn is_methods(text: &str) -> bool {
    !text.trim().is_empty()
        && text.bytes().all(|byte| byte.is_ascii_uppercase() || matches!(byte, b' ' | b',' | b'-'))
}
