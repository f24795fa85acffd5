//! The policy extensions of raw certificates.

use pki::der::{Writer, tag};
use pki::oid::{self, Oid};

use crate::RawCertificate;

fn sequence(content: impl FnOnce(&mut Writer)) -> Vec<u8> {
    let mut writer = Writer::new();
    writer.nested(tag::SEQUENCE, content);
    writer.into_bytes()
}

impl RawCertificate {
    /// certificatePolicies without qualifiers.
    #[must_use]
    pub fn policies(self, policies: &[Oid]) -> Self {
        let value = sequence(|w| {
            for policy in policies {
                w.nested(tag::SEQUENCE, |w| w.object_identifier(policy));
            }
        });
        self.replace(oid::CERTIFICATE_POLICIES, false, value)
    }

    /// A critical policyMappings: the issuer's policy and the subject's.
    #[must_use]
    pub fn policy_mappings(self, mappings: &[(Oid, Oid)]) -> Self {
        let value = sequence(|w| {
            for (from, to) in mappings {
                w.nested(tag::SEQUENCE, |w| {
                    w.object_identifier(from);
                    w.object_identifier(to);
                });
            }
        });
        self.replace(oid::POLICY_MAPPINGS, true, value)
    }

    /// A critical policyConstraints.
    #[must_use]
    pub fn policy_constraints(self, require_explicit: Option<u8>, inhibit_mapping: Option<u8>) -> Self {
        let value = sequence(|w| {
            for (number, count) in [(0, require_explicit), (1, inhibit_mapping)] {
                if let Some(count) = count {
                    w.primitive(tag::context(number), &[count]);
                }
            }
        });
        self.replace(oid::POLICY_CONSTRAINTS, true, value)
    }

    /// A critical inhibitAnyPolicy.
    #[must_use]
    pub fn inhibit_any_policy(self, count: u8) -> Self {
        self.replace(oid::INHIBIT_ANY_POLICY, true, vec![tag::INTEGER, 1, count])
    }
}
