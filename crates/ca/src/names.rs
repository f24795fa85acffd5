//! Names as records keep them: JSON by kind, so that what is read back is what was written.

use pki::name::{GeneralName, SubjectNames};
use serde_json::{Value, json};

/// The names in JSON.
#[must_use]
pub fn names_to_json(names: &SubjectNames) -> Value {
    let of = |kind: fn(&GeneralName) -> bool| -> Vec<String> {
        names.alternative.iter().filter(|name| kind(name)).map(GeneralName::value).collect()
    };
    json!({
        "common_name": names.common_name,
        "organization": names.organization,
        "organizational_units": names.organizational_units,
        "dns": of(|name| matches!(name, GeneralName::Dns(_))),
        "ip": of(|name| matches!(name, GeneralName::Ip(_))),
        "email": of(|name| matches!(name, GeneralName::Email(_))),
        "uri": of(|name| matches!(name, GeneralName::Uri(_))),
    })
}

/// The names of [`names_to_json`]; every name is checked as if a person had typed it.
///
/// # Errors
/// The first name that cannot be certified.
pub fn names_from_json(value: &Value) -> Result<SubjectNames, pki::name::NameError> {
    let text = |member: &str| value[member].as_str().map(str::to_owned);
    let list = |member: &str| -> Vec<String> {
        let texts = value[member].as_array().into_iter().flatten();
        texts.filter_map(|text| text.as_str().map(str::to_owned)).collect()
    };
    let mut names = SubjectNames {
        common_name: text("common_name"),
        organization: text("organization"),
        organizational_units: list("organizational_units"),
        alternative: Vec::new(),
    };
    for text in list("dns") {
        names.add(GeneralName::Dns(pki::name::dns_name(&text)?));
    }
    for text in list("ip") {
        names.add(GeneralName::Ip(text.parse().map_err(|_| pki::name::NameError::Ip(text.clone()))?));
    }
    for text in list("email") {
        names.add(GeneralName::Email(pki::name::email_address(&text)?));
    }
    for text in list("uri") {
        names.add(GeneralName::Uri(pki::name::uri(&text)?));
    }
    names.check()?;
    Ok(names)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // In a test a panic is the report.
mod tests {
    use super::*;

    #[test]
    fn names_survive_the_record() {
        let mut names = SubjectNames::for_client("spiffe://acme.test/web").unwrap();
        names.organization = Some("Acme".to_owned());
        names.organizational_units = vec!["A".to_owned(), "B".to_owned()];
        for text in ["a@b.test", "10.0.0.1", "::1", "x.test"] {
            names.alternative.extend(SubjectNames::for_client(text).unwrap().alternative);
        }
        let mut back = names_from_json(&names_to_json(&names)).unwrap();
        // The order of kinds is fixed; that of the names of a kind is kept.
        back.alternative.sort_by_key(ToString::to_string);
        names.alternative.sort_by_key(ToString::to_string);
        assert_eq!(back, names);
    }

    #[test]
    fn a_name_that_no_certificate_may_have_is_refused_from_a_record_too() {
        assert!(names_from_json(&json!({ "common_name": "x", "dns": ["a b"] })).is_err());
        assert!(names_from_json(&json!({ "common_name": "x", "ip": ["10.0.0.300"] })).is_err());
    }
}
