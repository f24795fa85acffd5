//! What certificates say about the policies they were issued under: certificatePolicies, policyMappings,
//! policyConstraints and inhibitAnyPolicy (RFC 5280 sections 4.2.1.4, 4.2.1.5, 4.2.1.11 and 4.2.1.14). How a path is
//! judged by them is `verify`'s work; whom a peer's names admit is `policy`'s, which has nothing to do with these.

use crate::der::{DerError, Reader, tag};
use crate::oid::{self, Oid};

/// The policy extensions of one certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PolicyExtensions {
    /// certificatePolicies, without the qualifiers, which only people read; `None` where the extension is absent.
    pub policies: Option<Vec<Oid>>,
    /// policyMappings: a policy of the issuer, and the one of the subject that counts as the same.
    pub mappings: Vec<(Oid, Oid)>,
    /// requireExplicitPolicy: after this many more certificates each path needs an acceptable policy.
    pub require_explicit: Option<u32>,
    /// inhibitPolicyMapping: after this many more certificates nothing is mapped.
    pub inhibit_mapping: Option<u32>,
    /// inhibitAnyPolicy: after this many more certificates anyPolicy counts for nothing.
    pub inhibit_any: Option<u32>,
}

impl PolicyExtensions {
    /// Reads them from the values of the extensions that are there.
    ///
    /// # Errors
    /// [`DerError`] where one is malformed, lists a policy twice, or is empty.
    pub(crate) fn read<'a>(value: impl Fn(Oid) -> Option<&'a [u8]>) -> Result<Self, DerError> {
        let (require_explicit, inhibit_mapping) =
            value(oid::POLICY_CONSTRAINTS).map(read_constraints).transpose()?.unwrap_or_default();
        Ok(PolicyExtensions {
            policies: value(oid::CERTIFICATE_POLICIES).map(read_policies).transpose()?,
            mappings: value(oid::POLICY_MAPPINGS).map(read_mappings).transpose()?.unwrap_or_default(),
            require_explicit,
            inhibit_mapping,
            inhibit_any: value(oid::INHIBIT_ANY_POLICY).map(read_skip_count).transpose()?,
        })
    }
}

fn read_policies(der: &[u8]) -> Result<Vec<Oid>, DerError> {
    let mut reader = Reader::new(der);
    let mut sequence = reader.nested(tag::SEQUENCE)?;
    reader.finish()?;
    let mut policies = Vec::new();
    while !sequence.is_empty() {
        let mut information = sequence.nested(tag::SEQUENCE)?;
        policies.push(information.object_identifier()?);
        information.optional(tag::SEQUENCE)?;
        information.finish()?;
    }
    // Sorted, since comparing each with each costs seconds for a hostile certificate of 16 MB.
    let mut sorted = policies.clone();
    sorted.sort_unstable();
    if policies.is_empty() || sorted.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(DerError::Value { what: "CertificatePolicies (empty, or one stands twice)", offset: 0 });
    }
    Ok(policies)
}

fn read_mappings(der: &[u8]) -> Result<Vec<(Oid, Oid)>, DerError> {
    let mut reader = Reader::new(der);
    let mut sequence = reader.nested(tag::SEQUENCE)?;
    reader.finish()?;
    let mut mappings = Vec::new();
    while !sequence.is_empty() {
        let mut pair = sequence.nested(tag::SEQUENCE)?;
        mappings.push((pair.object_identifier()?, pair.object_identifier()?));
        pair.finish()?;
    }
    if mappings.is_empty() {
        return Err(DerError::Value { what: "PolicyMappings (empty)", offset: 0 });
    }
    Ok(mappings)
}

fn read_constraints(der: &[u8]) -> Result<(Option<u32>, Option<u32>), DerError> {
    let mut reader = Reader::new(der);
    let mut sequence = reader.nested(tag::SEQUENCE)?;
    reader.finish()?;
    let explicit = sequence.optional(tag::context(0))?.map(|tlv| skip_count(tlv.content)).transpose()?;
    let mapping = sequence.optional(tag::context(1))?.map(|tlv| skip_count(tlv.content)).transpose()?;
    sequence.finish()?;
    if explicit.is_none() && mapping.is_none() {
        return Err(DerError::Value { what: "PolicyConstraints (empty)", offset: 0 });
    }
    Ok((explicit, mapping))
}

fn read_skip_count(der: &[u8]) -> Result<u32, DerError> {
    let mut reader = Reader::new(der);
    let content = reader.integer()?;
    reader.finish()?;
    skip_count(content)
}

/// A SkipCerts: an INTEGER from 0. More than 2^31 certificates stand in no path, so larger ones are that many.
fn skip_count(content: &[u8]) -> Result<u32, DerError> {
    match content {
        [] => Err(DerError::Value { what: "SkipCerts", offset: 0 }),
        [first, ..] if first & 0x80 != 0 => Err(DerError::Value { what: "SkipCerts (negative)", offset: 0 }),
        [0, next, ..] if next & 0x80 == 0 => {
            Err(DerError::Value { what: "SkipCerts (not minimal)", offset: 0 })
        }
        _ if content.len() > 4 => Ok(u32::MAX),
        _ => Ok(content.iter().fold(0, |value, octet| value << 8 | u32::from(*octet))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn counts_are_read_and_impossible_ones_refused() {
        assert_eq!(read_constraints(&[0x30, 3, 0x80, 1, 3]).unwrap(), (Some(3), None));
        assert_eq!(read_constraints(&[0x30, 6, 0x80, 1, 0, 0x81, 1, 7]).unwrap(), (Some(0), Some(7)));
        assert_eq!(read_skip_count(&[0x02, 5, 0x7f, 0, 0, 0, 0]).unwrap(), u32::MAX);
        for bad in [&[0x30, 0][..], &[0x30, 3, 0x80, 1, 0xff], &[0x30, 4, 0x80, 2, 0, 1], &[0x30, 2, 0x80, 0]]
        {
            assert!(read_constraints(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_policy_stands_once() {
        let one = [0x30, 0x04, 0x06, 0x02, 0x2a, 0x03];
        let list = |count: usize| {
            let mut der = vec![0x30, u8::try_from(count * one.len()).unwrap()];
            (0..count).for_each(|_| der.extend_from_slice(&one));
            der
        };
        assert_eq!(read_policies(&list(1)).unwrap().len(), 1);
        assert!(read_policies(&list(2)).is_err());
        assert!(read_policies(&list(0)).is_err());
    }
}
