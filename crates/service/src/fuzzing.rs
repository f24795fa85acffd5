//! What the fuzz targets reach of the parsers behind the service's HTTP, which are nobody else's business. Each function
//! takes bytes of a stranger and panics where one of the parser's promises does not hold. Nothing that runs calls them.

pub use crate::acme::fuzzing::{dns_response, identifier, jws};

/// The body of an EST request.
pub fn est_request(bytes: &[u8]) {
    let _ = crate::est::request(bytes);
}
