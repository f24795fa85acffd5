//! What a certificate is to say of its holder, beside the name that it is filed under.

use clap::Args;
use pki::name::{GeneralName, NameError, SubjectNames, dns_name, email_address, uri};

/// The flags of every command that has a certificate made for names that are given to it.
#[derive(Debug, Args)]
pub(crate) struct NameArguments {
    /// A DNS name for subjectAltName
    #[arg(long, value_name = "NAME")]
    dns: Vec<String>,

    /// An IP address for subjectAltName
    #[arg(long, value_name = "ADDRESS")]
    ip: Vec<String>,

    /// A mailbox for subjectAltName
    #[arg(long, value_name = "ADDRESS")]
    email: Vec<String>,

    /// A URI for subjectAltName, such as a SPIFFE ID
    #[arg(long, value_name = "URI")]
    uri: Vec<String>,

    /// An organizational unit for the subject
    #[arg(long, value_name = "UNIT")]
    ou: Vec<String>,

    /// The organization for the subject
    #[arg(long, value_name = "NAME")]
    org: Option<String>,
}

impl NameArguments {
    /// Adds them to the names that follow from the holder's own.
    pub(crate) fn add_to(&self, names: &mut SubjectNames) -> Result<(), NameError> {
        for text in &self.dns {
            names.add(GeneralName::Dns(dns_name(text)?));
        }
        for text in &self.ip {
            names.add(GeneralName::Ip(text.parse().map_err(|_| NameError::Ip(text.clone()))?));
        }
        for text in &self.email {
            names.add(GeneralName::Email(email_address(text)?));
        }
        for text in &self.uri {
            names.add(GeneralName::Uri(uri(text)?));
        }
        names.organizational_units.clone_from(&self.ou);
        names.organization.clone_from(&self.org);
        Ok(())
    }
}
