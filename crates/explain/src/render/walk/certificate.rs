//! A certificate in the few lines that a handshake needs.

use crate::certificate::CertificateDescription;
use crate::tlv::Problems;

/// What is shown of a certificate in a conversation.
pub(super) struct Card {
    pub(super) description: CertificateDescription,
    pub(super) problems: Vec<String>,
}

impl Card {
    pub(super) fn of(der: &[u8]) -> Self {
        let mut problems = Problems::default();
        let description = CertificateDescription::read(der, &mut problems);
        Card { description, problems: problems.into_list().iter().map(ToString::to_string).collect() }
    }

    pub(super) fn issuer(&self) -> String {
        self.description.issuer.as_ref().map_or_else(|| "(unreadable)".to_owned(), |name| name.text.clone())
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.description.subject_alt_names().iter().map(|name| name.text()).collect()
    }

    pub(super) fn not_before(&self) -> String {
        self.description.not_before.as_ref().map_or_else(|| "(unreadable)".to_owned(), |time| time.text())
    }

    pub(super) fn not_after(&self) -> String {
        self.description.not_after.as_ref().map_or_else(|| "(unreadable)".to_owned(), |time| time.text())
    }

    /// Labels and values, the most telling first.
    pub(super) fn lines(&self) -> Vec<(&'static str, String)> {
        let certificate = &self.description;
        let mut lines = vec![
            ("subject", certificate.subject_text()),
            ("issued by", self.issuer()),
            ("valid", format!("{} to {}", self.not_before(), self.not_after())),
        ];
        if !self.names().is_empty() {
            lines.push(("names", self.names().join(", ")));
        }
        lines.push(("kind", certificate.role().text().to_owned()));
        if let Some(key) = &certificate.public_key {
            lines.push(("key", key.text()));
        }
        if let Some(usages) = certificate.extended_key_usages() {
            let usages: Vec<String> = usages.iter().map(|usage| usage.text()).collect();
            lines.push(("good for", usages.join(", ")));
        }
        lines.push(("serial", certificate.serial_hex()));
        lines.push(("SHA-256", pki::hex(&certificate.sha256)));
        lines.extend(self.problems.iter().map(|problem| ("problem", problem.clone())));
        lines
    }
}
