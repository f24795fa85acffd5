//! What each extension says, in lines for people; used by the full text.

use crate::extension::{ExtensionDescription, ExtensionValue};
use crate::field::NameEntry;
use crate::pkcs12::BagDescription;

/// The lines of one extension's value.
pub(crate) fn extension_lines(extension: &ExtensionDescription) -> Vec<String> {
    match &extension.value {
        ExtensionValue::Names(names) => texts(names),
        ExtensionValue::BasicConstraints { ca, path_length } => {
            let mut lines = vec![format!("CA: {ca}")];
            lines.extend(path_length.map(|length| format!("path length: {length}")));
            lines
        }
        ExtensionValue::KeyUsage(usages) => vec![usages.join(", ")],
        ExtensionValue::ExtendedKeyUsage(usages) => usages.iter().map(|usage| usage.long_text()).collect(),
        ExtensionValue::KeyIdentifier(identifier) => vec![pki::hex(identifier)],
        ExtensionValue::AuthorityKeyIdentifier { key, issuer, serial } => {
            let mut lines: Vec<String> = key.iter().map(|key| format!("key: {}", pki::hex(key))).collect();
            lines.extend(issuer.iter().map(|name| format!("issuer: {}", name.text())));
            lines
                .extend(serial.iter().map(|s| format!("serial number: {}", pki::certificate::serial_hex(s))));
            lines
        }
        ExtensionValue::NameConstraints { permitted, excluded } => {
            let mut lines: Vec<String> =
                permitted.iter().map(|name| format!("permitted {}", name.text())).collect();
            lines.extend(excluded.iter().map(|name| format!("excluded {}", name.text())));
            lines
        }
        ExtensionValue::DistributionPoints(points) => points
            .iter()
            .map(|point| {
                let mut text = texts(&point.names).join(", ");
                if !point.issuer.is_empty() {
                    text.push_str(&format!(", issued by {}", texts(&point.issuer).join(", ")));
                }
                if !point.reasons.is_empty() {
                    text.push_str(&format!(", only for {}", point.reasons.join(", ")));
                }
                text
            })
            .collect(),
        ExtensionValue::Policies(policies) => policies
            .iter()
            .flat_map(|policy| {
                let qualifiers = policy.qualifiers.iter().map(|qualifier| format!("  {qualifier}"));
                std::iter::once(policy.identifier.long_text()).chain(qualifiers)
            })
            .collect(),
        ExtensionValue::PolicyMappings(mappings) => {
            mappings.iter().map(|(from, to)| format!("{} is {}", from.text(), to.text())).collect()
        }
        ExtensionValue::PolicyConstraints { require_explicit, inhibit_mapping } => {
            let mut lines: Vec<String> =
                require_explicit.iter().map(|skip| format!("requireExplicitPolicy: {skip}")).collect();
            lines.extend(inhibit_mapping.iter().map(|skip| format!("inhibitPolicyMapping: {skip}")));
            lines
        }
        ExtensionValue::Number(number) => vec![number.clone()],
        ExtensionValue::InfoAccess(entries) => {
            entries.iter().map(|(method, place)| format!("{}: {}", method.text(), place.text())).collect()
        }
        ExtensionValue::TlsFeature(features) => {
            features.iter().map(|feature| tls_feature(*feature)).collect()
        }
        ExtensionValue::Timestamps(timestamps) => timestamps
            .iter()
            .map(|entry| {
                let when = entry
                    .moment
                    .map_or_else(|| "at an unreadable time".to_owned(), |moment| moment.to_string());
                format!("log {} {when}", pki::hex(&entry.log))
            })
            .collect(),
        ExtensionValue::IssuingDistributionPoint { names, restrictions } => {
            let mut lines = texts(names);
            lines.extend(restrictions.iter().map(|restriction| (*restriction).to_owned()));
            lines
        }
        ExtensionValue::Text(text) => vec![text.clone()],
        ExtensionValue::Present => vec!["present".to_owned()],
        ExtensionValue::Other(octets) => vec![format!("#{}", pki::hex(octets))],
    }
}

fn texts(names: &[NameEntry]) -> Vec<String> {
    names.iter().map(NameEntry::text).collect()
}

/// RFC 7633: the TLS extensions a server must answer with.
pub(super) fn tls_feature(feature: u64) -> String {
    match feature {
        5 => "status_request (5): must staple an OCSP response".to_owned(),
        17 => "status_request_v2 (17)".to_owned(),
        other => other.to_string(),
    }
}

/// One bag of a PKCS#12 in a few words.
pub(super) fn bag_text(bag: &BagDescription) -> String {
    let mut text = match bag.kind.as_str() {
        "pkcs-8ShroudedKeyBag" => "an encrypted private key".to_owned(),
        "keyBag" => "a private key in the clear".to_owned(),
        "certBag" => "a certificate in the clear".to_owned(),
        "crlBag" => "a revocation list".to_owned(),
        other => other.to_owned(),
    };
    if let Some(name) = &bag.friendly_name {
        text.push_str(&format!(" named '{name}'"));
    }
    if let Some(encryption) = &bag.encryption {
        text.push_str(&format!(" ({})", encryption.text()));
    }
    text
}
