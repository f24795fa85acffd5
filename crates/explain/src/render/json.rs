//! `--json`: stable field names, the RFC's words in snake case.

use serde_json::{Map, Value, json as object};

use super::lines;
use crate::certificate::CertificateDescription;
use crate::crl::RevocationListDescription;
use crate::extension::{ExtensionDescription, ExtensionValue};
use crate::field::{NameDescription, NameEntry, TimeDescription};
use crate::key::{EncryptionDescription, KeyDescription};
use crate::model::{Content, Inspection, Item, Position, Remark};
use crate::pkcs12::Pkcs12Description;
use crate::public_key::{PublicKeyDescription, curve_name};
use crate::request::RequestDescription;
use crate::tlv::Problem;

/// Everything found, for programs.
#[must_use]
pub fn json(inspection: &Inspection) -> Value {
    object!({
        "source": inspection.source,
        "at": inspection.at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "items": inspection.items.iter().map(|item| item_json(inspection, item)).collect::<Vec<_>>(),
        "problems": problems(&inspection.problems),
        "remarks": remarks(&inspection.remarks),
    })
}

fn problems(list: &[Problem]) -> Value {
    list.iter().map(|problem| object!({ "offset": problem.offset, "message": problem.message })).collect()
}

fn remarks(list: &[Remark]) -> Value {
    list.iter()
        .map(|remark| {
            object!({ "code": remark.code, "severity": remark.severity.name(), "message": remark.message })
        })
        .collect()
}

fn item_json(inspection: &Inspection, item: &Item) -> Value {
    let mut fields = Map::new();
    fields.insert("type".to_owned(), item.content.kind().into());
    let position = match &item.position {
        Position::Line(line) => object!({ "line": line }),
        Position::Byte(byte) => object!({ "byte": byte }),
        Position::Sent(number) => object!({ "sent": number }),
        Position::Inside { container, number } => object!({ "inside": container, "number": number }),
    };
    fields.insert("position".to_owned(), position);
    fields.insert("pem_label".to_owned(), item.label.as_deref().map(crate::escape::text).into());
    let content = match &item.content {
        Content::Certificate(certificate) => certificate_json(inspection, certificate),
        Content::Request(request) => request_json(request),
        Content::RevocationList(list) => list_json(list),
        Content::Key(key) => key_json(key),
        Content::Pkcs12(container) => pkcs12_json(container),
        Content::Pkcs7(container) => object!({
            "content_type": container.content_type.as_ref().map(|kind| kind.text()),
            "certificates": container.certificates.len(),
            "revocation_lists": container.revocation_lists.len(),
            "signers": container.signers,
        }),
        Content::Unknown { what, tree } => object!({
            "what": what,
            "elements": tree.nodes.iter().map(|node| object!({
                "depth": node.depth,
                "offset": node.offset,
                "length": node.length,
                "type": node.type_name,
                "value": node.value,
            })).collect::<Vec<_>>(),
            "cut_off": tree.cut_off,
        }),
    };
    if let Value::Object(content) = content {
        fields.extend(content);
    }
    fields.insert("problems".to_owned(), problems(&item.problems));
    fields.insert("remarks".to_owned(), remarks(&item.remarks));
    Value::Object(fields)
}

fn name(name: Option<&NameDescription>) -> Value {
    name.map_or(Value::Null, |name| if name.is_empty() { "".into() } else { name.text.clone().into() })
}

fn attributes(name: Option<&NameDescription>) -> Value {
    name.map_or(Value::Null, |name| {
        name.attributes
            .iter()
            .map(|attribute| {
                object!({ "type": attribute.oid.to_string(), "value": crate::escape::text(&attribute.value) })
            })
            .collect()
    })
}

fn time(time: Option<&TimeDescription>) -> Value {
    time.map_or(Value::Null, |time| time.text().into())
}

fn names(list: &[NameEntry]) -> Value {
    list.iter().map(|name| object!({ "type": name.kind, "value": name.value })).collect()
}

fn public_key(key: Option<&PublicKeyDescription>) -> Value {
    let Some(key) = key else { return Value::Null };
    object!({
        "algorithm": key.algorithm,
        "bits": key.bits,
        "curve": key.curve.as_ref().map(curve_name),
        "exponent": key.exponent,
        "spki_sha256": pki::hex(&key.spki_sha256()),
        "pin": key.pin(),
        "key_identifier": pki::hex(&key.key_sha1),
    })
}

fn extensions(list: &[ExtensionDescription]) -> Value {
    list.iter()
        .map(|extension| {
            object!({
                "identifier": extension.identifier.dotted,
                "name": extension.identifier.name,
                "critical": extension.critical,
                "value": extension_value(&extension.value),
            })
        })
        .collect()
}

fn extension_value(value: &ExtensionValue) -> Value {
    match value {
        ExtensionValue::Names(list) => names(list),
        ExtensionValue::BasicConstraints { ca, path_length } => object!({ "ca": ca, "path_length": path_length }),
        ExtensionValue::KeyUsage(usages) => usages.iter().copied().collect(),
        ExtensionValue::ExtendedKeyUsage(usages) => usages.iter().map(|usage| usage.text()).collect(),
        ExtensionValue::KeyIdentifier(identifier) => pki::hex(identifier).into(),
        ExtensionValue::AuthorityKeyIdentifier { key, issuer, serial } => object!({
            "key_identifier": key.as_deref().map(pki::hex),
            "issuer": names(issuer),
            "serial_number": serial.as_deref().map(pki::certificate::serial_hex),
        }),
        ExtensionValue::NameConstraints { permitted, excluded } => {
            object!({ "permitted": names(permitted), "excluded": names(excluded) })
        }
        ExtensionValue::DistributionPoints(points) => points
            .iter()
            .map(|point| {
                object!({
                    "names": names(&point.names),
                    "issuer": names(&point.issuer),
                    "reasons": point.reasons,
                })
            })
            .collect(),
        ExtensionValue::Policies(policies) => policies
            .iter()
            .map(|policy| object!({ "policy": policy.identifier.text(), "qualifiers": policy.qualifiers }))
            .collect(),
        ExtensionValue::PolicyMappings(mappings) => mappings
            .iter()
            .map(|(from, to)| {
                object!({ "issuer_domain_policy": from.text(), "subject_domain_policy": to.text() })
            })
            .collect(),
        ExtensionValue::PolicyConstraints { require_explicit, inhibit_mapping } => object!({
            "require_explicit_policy": require_explicit,
            "inhibit_policy_mapping": inhibit_mapping,
        }),
        ExtensionValue::Number(number) => number.clone().into(),
        ExtensionValue::InfoAccess(entries) => entries
            .iter()
            .map(|(method, place)| {
                object!({ "method": method.text(), "type": place.kind, "value": place.value })
            })
            .collect(),
        ExtensionValue::TlsFeature(features) => features.iter().copied().collect(),
        ExtensionValue::Timestamps(timestamps) => timestamps
            .iter()
            .map(|entry| {
                object!({
                    "log": pki::hex(&entry.log),
                    "timestamp": entry.moment.map(|moment| moment.to_string()),
                })
            })
            .collect(),
        ExtensionValue::IssuingDistributionPoint { names: list, restrictions } => {
            object!({ "names": names(list), "restrictions": restrictions })
        }
        ExtensionValue::Text(text) => text.clone().into(),
        ExtensionValue::Present => true.into(),
        ExtensionValue::Other(octets) => pki::hex(octets).into(),
    }
}

fn certificate_json(inspection: &Inspection, certificate: &CertificateDescription) -> Value {
    let moments = (
        certificate.not_before.as_ref().and_then(|time| time.moment),
        certificate.not_after.as_ref().and_then(|time| time.moment),
    );
    let left = moments.1.map(|after| after.duration_since(inspection.at).as_secs());
    let valid_now = match moments {
        (Some(before), Some(after)) => Some(before <= inspection.at && inspection.at <= after),
        _ => None,
    };
    object!({
        "role": certificate.role().text(),
        "version": certificate.version,
        "serial_number": certificate.serial_hex(),
        "signature_algorithm": certificate.signature_algorithm.as_ref().map(|a| a.text.clone()),
        "issuer": name(certificate.issuer.as_ref()),
        "issuer_attributes": attributes(certificate.issuer.as_ref()),
        "not_before": time(certificate.not_before.as_ref()),
        "not_after": time(certificate.not_after.as_ref()),
        "seconds_left": left,
        "valid_now": valid_now,
        "subject": name(certificate.subject.as_ref()),
        "subject_attributes": attributes(certificate.subject.as_ref()),
        "subject_alt_name": names(certificate.subject_alt_names()),
        "public_key": public_key(certificate.public_key.as_ref()),
        "is_ca": certificate.is_ca(),
        "path_length": certificate.path_length(),
        "key_usage": certificate.key_usages(),
        "extended_key_usage": certificate
            .extended_key_usages()
            .map(|usages| usages.iter().map(|usage| usage.text()).collect::<Vec<_>>()),
        "subject_key_identifier": certificate.subject_key_identifier().map(pki::hex),
        "authority_key_identifier": certificate.authority_key_identifier().map(pki::hex),
        "extensions": extensions(&certificate.extensions),
        "self_signed": certificate.self_signature,
        "fingerprints": { "sha256": pki::hex(&certificate.sha256), "sha1": pki::hex(&certificate.sha1) },
    })
}

fn request_json(request: &RequestDescription) -> Value {
    object!({
        "subject": name(request.subject.as_ref()),
        "subject_attributes": attributes(request.subject.as_ref()),
        "subject_alt_name": names(request.subject_alt_names()),
        "public_key": public_key(request.public_key.as_ref()),
        "extensions": extensions(&request.extensions),
        "attributes": request.attributes.iter().map(|attribute| attribute.text()).collect::<Vec<_>>(),
        "signature_algorithm": request.signature_algorithm.as_ref().map(|a| a.text.clone()),
        "proof_of_possession": request.possession.is_ok(),
        "fingerprints": { "sha256": pki::hex(&request.sha256) },
    })
}

fn list_json(list: &RevocationListDescription) -> Value {
    object!({
        "issuer": name(list.issuer.as_ref()),
        "this_update": time(list.this_update.as_ref()),
        "next_update": time(list.next_update.as_ref()),
        "crl_number": list.number(),
        "signature_algorithm": list.signature_algorithm.as_ref().map(|a| a.text.clone()),
        "extensions": extensions(&list.extensions),
        "revoked_count": list.count,
        "revoked_certificates": list.entries().map(|entry| object!({
            "serial_number": entry.serial,
            "revocation_date": entry.revoked_at.map(|at| at.to_string()),
            "reason": entry.reason.map(|reason| reason.name()),
        })).collect::<Vec<_>>(),
        "fingerprints": { "sha256": pki::hex(&list.sha256) },
    })
}

fn encryption_json(encryption: Option<&EncryptionDescription>) -> Value {
    encryption.map_or(Value::Null, |encryption| {
        object!({
            "scheme": encryption.scheme,
            "key_derivation": encryption.derivation,
            "iterations": encryption.iterations,
            "cipher": encryption.cipher,
        })
    })
}

fn key_json(key: &KeyDescription) -> Value {
    object!({
        "format": key.format,
        "algorithm": key.text(),
        "encrypted": key.encryption.is_some(),
        "encryption": encryption_json(key.encryption.as_ref()),
        "public_key": public_key(key.public_key.as_ref()),
    })
}

fn pkcs12_json(container: &Pkcs12Description) -> Value {
    object!({
        "version": container.version,
        "parts": container.parts.iter().map(|part| object!({
            "content_type": part.content_type,
            "encryption": encryption_json(part.encryption.as_ref()),
            "bags": part.bags.iter().map(|bag| object!({
                "type": bag.kind,
                "friendly_name": bag.friendly_name,
                "encryption": encryption_json(bag.encryption.as_ref()),
                "summary": lines::bag_text(bag),
            })).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
        "mac": container.integrity.as_ref().map(|mac| object!({
            "algorithm": mac.algorithm,
            "iterations": mac.iterations,
            "salt_length": mac.salt_length,
        })),
    })
}
