//! Findings of a comparison, and what identifies them.

pub use crate::rule::{Law, Rule, RuleId, Severity};

/// One difference that is not an intended change.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The rule that fired.
    pub rule: &'static Rule,
    /// Which law is broken: the rule's, unless the direction of the change says otherwise.
    pub law: Law,
    /// Weight: the rule's, unless this case of it weighs more or less.
    pub severity: Severity,
    /// The principal that lost or gained; empty for the document as a whole.
    pub principal: String,
    /// What it is about: a path, a variable, a port. Part of the fingerprint, never prose.
    pub subject: String,
    /// The value in the legacy shape, if there is one.
    pub before: Option<Shown>,
    /// The value in the bundle, if there is one.
    pub after: Option<Shown>,
    /// One sentence for a person.
    pub message: String,
}

/// A value as a report may show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The text; redacted at print time if it is [`Shown::secret`].
    pub text: String,
    /// Whether the text may contain a secret (values of environment variables do).
    pub secret: bool,
    /// Its place in the compose document: `services.sidecars.volumes`, dotted; empty: nowhere.
    pub place: String,
}

impl Shown {
    /// A value that may be printed as it is.
    pub fn plain(text: impl Into<String>, place: impl Into<String>) -> Self {
        Self { text: text.into(), secret: false, place: place.into() }
    }

    /// A value that is printed redacted.
    pub fn secret(text: impl Into<String>, place: impl Into<String>) -> Self {
        Self { text: text.into(), secret: true, place: place.into() }
    }
}

impl Finding {
    /// Something that is gone.
    pub fn lost(rule: &'static Rule, principal: &str, subject: impl Into<String>, before: Shown) -> Self {
        Self {
            rule,
            law: rule.law,
            severity: rule.severity,
            principal: principal.to_owned(),
            subject: subject.into(),
            before: Some(before),
            after: None,
            message: String::new(),
        }
    }

    /// Something that is new.
    pub fn gained(rule: &'static Rule, principal: &str, subject: impl Into<String>, after: Shown) -> Self {
        Self {
            rule,
            law: rule.law,
            severity: rule.severity,
            principal: principal.to_owned(),
            subject: subject.into(),
            before: None,
            after: Some(after),
            message: String::new(),
        }
    }

    /// Something that is wrong whatever it is compared with.
    pub fn alone(rule: &'static Rule, subject: impl Into<String>) -> Self {
        Self {
            rule,
            law: rule.law,
            severity: rule.severity,
            principal: String::new(),
            subject: subject.into(),
            before: None,
            after: None,
            message: String::new(),
        }
    }

    /// Something that has another value.
    pub fn changed(
        rule: &'static Rule,
        principal: &str,
        subject: impl Into<String>,
        before: Shown,
        after: Shown,
    ) -> Self {
        Self {
            rule,
            law: rule.law,
            severity: rule.severity,
            principal: principal.to_owned(),
            subject: subject.into(),
            before: Some(before),
            after: Some(after),
            message: String::new(),
        }
    }

    /// Sets the law, for a rule that guards both: the direction of the change decides.
    #[must_use]
    pub fn under(mut self, law: Law) -> Self {
        self.law = law;
        self
    }

    /// Sets the weight, where not every case of the rule weighs the same.
    #[must_use]
    pub const fn weighing(mut self, severity: Severity) -> Self {
        self.severity = severity;
        self
    }

    /// Sets the subject.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// Sets the sentence.
    #[must_use]
    pub fn because(mut self, message: impl Into<String>) -> Self {
        self.message = message.into();
        self
    }

    /// What the finding is, whatever its values are.
    #[must_use]
    pub fn identity(&self) -> Identity<'_> {
        Identity { rule: self.rule.id, principal: &self.principal, subject: &self.subject }
    }

    /// Whether the finding is a broadening: law 2.
    #[must_use]
    pub fn broadening(&self) -> bool {
        self.law == Law::Containment
    }
}

/// What makes two findings the same: nothing of their values or messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity<'a> {
    /// The rule that fired.
    pub rule: RuleId,
    /// The principal, or the daemon that a reference names; empty: none.
    pub principal: &'a str,
    /// What the finding is about.
    pub subject: &'a str,
}

impl Identity<'_> {
    /// Stable identity: 16 hexadecimal digits over rule, principal and subject (FNV-1a).
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for part in [self.rule.as_str(), self.principal, self.subject] {
            for byte in part.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
        format!("{hash:016x}")
    }
}
