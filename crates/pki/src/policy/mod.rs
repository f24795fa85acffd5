//! Policy: which identities may pass. A denying rule wins over every admitting one, among the latter one is enough, and
//! an empty policy denies, in both directions.
//!
//! The rules are indexed by the names they speak of, so that a judgement costs a look-up for each name of the peer and
//! not one for each rule. Rates and numbers at a time are judged in [`limit`].

mod index;
pub mod limit;
mod rule;
mod text;

use std::fmt;
use std::sync::Arc;

use crate::identity::{Identity, VerifiedPeer};

use index::Index;
pub use rule::{Rule, RuleError};
pub use text::{MOST_RULES, Unreadable, read};

/// How many rules a denial names; the others are counted.
const NAMED_RULES: usize = 12;

/// What follows where a rule speaks of a peer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Effect {
    /// It may pass.
    Allow,
    /// It may not, whatever else is said of it.
    Deny,
}

/// A rule, what follows from it, and for which requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// What follows.
    pub effect: Effect,
    /// Whom it speaks of.
    pub rule: Rule,
    /// The request methods it is about, such as `GET`; none means all.
    pub methods: Vec<String>,
}

impl Statement {
    /// A rule that admits, whatever the method.
    ///
    /// ```
    /// use pki::policy::{Rule, Statement};
    /// assert_eq!(Statement::allow(Rule::All).to_string(), "allow-all");
    /// ```
    #[must_use]
    pub fn allow(rule: Rule) -> Self {
        Statement { effect: Effect::Allow, rule, methods: Vec::new() }
    }

    /// A rule that denies, whatever the method.
    ///
    /// ```
    /// use pki::policy::{Rule, Statement};
    /// let statement = Statement::deny(Rule::parse("ou", "Interns")?).methods(["DELETE"]);
    /// assert_eq!(statement.to_string(), "deny-ou Interns (DELETE)");
    /// # Ok::<(), pki::policy::RuleError>(())
    /// ```
    #[must_use]
    pub fn deny(rule: Rule) -> Self {
        Statement { effect: Effect::Deny, rule, methods: Vec::new() }
    }

    /// The same for these methods alone.
    #[must_use]
    pub fn methods<M: Into<String>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.methods = methods.into_iter().map(Into::into).collect();
        self
    }

    /// Whether it is about requests with this method. Where there is none, as in a stream of bytes, a statement about
    /// some methods admits nobody, and denies whom it denies anything.
    fn is_about(&self, method: Option<&str>) -> bool {
        match method {
            _ if self.methods.is_empty() => true,
            Some(method) => self.methods.iter().any(|about| about == method),
            None => self.effect == Effect::Deny,
        }
    }
}

impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.effect {
            Effect::Allow => "allow-",
            Effect::Deny => "deny-",
        })?;
        self.rule.fmt(f)?;
        if self.methods.is_empty() { Ok(()) } else { write!(f, " ({})", self.methods.join(", ")) }
    }
}

/// Who may pass. Cloning it is cheap.
///
/// ```
/// use pki::policy::{Policy, Rule};
/// let policy = Policy::new(vec![Rule::parse("cn", "alice")?]);
/// assert!(!policy.is_empty());
/// # Ok::<(), pki::policy::RuleError>(())
/// ```
#[derive(Clone, Default)]
pub struct Policy(Arc<Compiled>);

#[derive(Default)]
struct Compiled {
    statements: Vec<Statement>,
    /// The statements as they are named in permits, denials and logs.
    texts: Vec<Arc<str>>,
    index: Index,
    depends_on_method: bool,
}

impl Policy {
    /// A policy that admits whom any of these rules speaks of.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Policy::of(rules.into_iter().map(Statement::allow).collect())
    }

    /// A policy of these statements. The first that decides is the one that a permit or denial names.
    ///
    /// ```
    /// use pki::policy::{Policy, Rule, Statement};
    /// let statements = vec![Statement::allow(Rule::All), Statement::deny(Rule::parse("cn", "mallory")?)];
    /// assert_eq!(Policy::of(statements).texts().collect::<Vec<_>>(), ["allow-all", "deny-cn mallory"]);
    /// # Ok::<(), pki::policy::RuleError>(())
    /// ```
    #[must_use]
    pub fn of(statements: Vec<Statement>) -> Self {
        Policy::compile(statements, |statement| statement.to_string())
    }

    /// The same as [`Policy::new`] for servers that a client recognises: the rules are named as `--verify-KIND`.
    ///
    /// ```
    /// use pki::policy::{Policy, Rule};
    /// let policy = Policy::recognising(vec![Rule::parse("dns", "db.test")?]);
    /// assert_eq!(policy.texts().collect::<Vec<_>>(), ["verify-dns db.test"]);
    /// # Ok::<(), pki::policy::RuleError>(())
    /// ```
    #[must_use]
    pub fn recognising(rules: Vec<Rule>) -> Self {
        let statements = rules.into_iter().map(Statement::allow).collect();
        Policy::compile(statements, |statement| format!("verify-{}", statement.rule))
    }

    fn compile(statements: Vec<Statement>, name: impl Fn(&Statement) -> String) -> Self {
        let texts = statements.iter().map(|statement| Arc::from(name(statement))).collect();
        let index = Index::new(statements.iter().map(|statement| &statement.rule));
        let depends_on_method = statements.iter().any(|statement| !statement.methods.is_empty());
        Policy(Arc::new(Compiled { statements, texts, index, depends_on_method }))
    }

    /// Whether it has no statement that admits, and so denies everyone.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.0.statements.iter().any(|statement| statement.effect == Effect::Allow)
    }

    /// The statements.
    #[must_use]
    pub fn statements(&self) -> &[Statement] {
        &self.0.statements
    }

    /// The statements as permits and denials name them.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        self.0.texts.iter().map(|text| &**text)
    }

    /// Whether the method of a request can make a difference.
    #[must_use]
    pub fn depends_on_method(&self) -> bool {
        self.0.depends_on_method
    }

    /// Judges a peer whose bytes are passed on without a request to look at.
    ///
    /// # Errors
    /// [`Denial`], naming the rules and the names presented.
    pub fn evaluate(&self, peer: &VerifiedPeer) -> Result<Permit, Denial> {
        self.evaluate_for(peer, None)
    }

    /// Judges a request of a peer by its method, such as `GET`.
    ///
    /// # Errors
    /// [`Denial`], naming the rules and the names presented.
    pub fn evaluate_for(&self, peer: &VerifiedPeer, method: Option<&str>) -> Result<Permit, Denial> {
        let mut allowed: Option<u32> = None;
        let mut denied: Option<u32> = None;
        self.0.index.visit(peer, |number| {
            let statement = &self.0.statements[number as usize];
            if statement.is_about(method) {
                let first = match statement.effect {
                    Effect::Allow => &mut allowed,
                    Effect::Deny => &mut denied,
                };
                *first = Some(first.map_or(number, |other| other.min(number)));
            }
        });
        match (denied, allowed) {
            (None, Some(number)) => Ok(Permit { rule: Arc::clone(&self.0.texts[number as usize]) }),
            (denied, _) => Err(self.denial(peer, denied)),
        }
    }

    /// Whether some request of this peer could pass: what a live connection is worth under a new policy.
    #[must_use]
    pub fn could_admit(&self, peer: &VerifiedPeer) -> bool {
        let mut allowed = false;
        let mut denied = false;
        self.0.index.visit(peer, |number| {
            let statement = &self.0.statements[number as usize];
            match statement.effect {
                Effect::Allow => allowed = true,
                Effect::Deny => denied |= statement.methods.is_empty(),
            }
        });
        allowed && !denied
    }

    fn denial(&self, peer: &VerifiedPeer, forbidden_by: Option<u32>) -> Denial {
        let admitting = || {
            let both = self.0.statements.iter().zip(&self.0.texts);
            both.filter(|(statement, _)| statement.effect == Effect::Allow).map(|(_, text)| text)
        };
        Denial {
            forbidden_by: forbidden_by.map(|number| Arc::clone(&self.0.texts[number as usize])),
            rules: admitting().take(NAMED_RULES).cloned().collect(),
            further_rules: admitting().count().saturating_sub(NAMED_RULES),
            presented: peer.identities().to_vec(),
        }
    }
}

impl fmt::Debug for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.texts().take(NAMED_RULES)).finish()
    }
}

impl PartialEq for Policy {
    fn eq(&self, other: &Self) -> bool {
        self.0.texts == other.0.texts && self.0.statements == other.0.statements
    }
}

impl Eq for Policy {}

/// The proof that a policy said yes. Only [`Policy::evaluate`] and [`Policy::evaluate_for`] make one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    rule: Arc<str>,
}

impl Permit {
    /// The rule that let the peer in.
    #[must_use]
    pub fn rule(&self) -> &str {
        &self.rule
    }

    /// The same, shared.
    #[must_use]
    pub fn shared_rule(&self) -> &Arc<str> {
        &self.rule
    }
}

/// The refusal of a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Denial {
    forbidden_by: Option<Arc<str>>,
    rules: Vec<Arc<str>>,
    further_rules: usize,
    presented: Vec<Identity>,
}

impl Denial {
    /// The rule that forbids the request, where one does.
    #[must_use]
    pub fn forbidden_by(&self) -> Option<&str> {
        self.forbidden_by.as_deref()
    }

    /// The rules that admit, none of which admitted this request; of many the first.
    pub fn rules(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|rule| &**rule)
    }

    /// How many such rules there are beside [`Denial::rules`].
    #[must_use]
    pub fn further_rules(&self) -> usize {
        self.further_rules
    }

    /// The names the peer presented.
    #[must_use]
    pub fn presented(&self) -> &[Identity] {
        &self.presented
    }
}

impl fmt::Display for Denial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let presented: Vec<String> = self.presented.iter().map(ToString::to_string).collect();
        let presented = if presented.is_empty() { "no name".to_owned() } else { presented.join(", ") };
        write!(f, "the certificate names {presented}, and ")?;
        if let Some(rule) = &self.forbidden_by {
            return write!(f, "the rule {rule} forbids it");
        }
        match (self.rules.as_slice(), self.further_rules) {
            ([], _) => f.write_str("the policy has no rule, so it admits nobody"),
            ([rule], _) => write!(f, "the only rule is {rule}"),
            (rules, 0) => write!(f, "no rule of {} admits it", rules.join(", ")),
            (rules, more) => write!(f, "no rule of {} and {more} more admits it", rules.join(", ")),
        }
    }
}
