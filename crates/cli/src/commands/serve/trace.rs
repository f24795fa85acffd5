//! Where spans are sent.

use std::sync::Arc;

use net::trace::Exporter;
use net::url::{Scheme, Url};

use crate::failure::{Failure, OrFail as _};

/// A sender to the collector at this URL; the usual path where it has none.
pub(super) fn exporter(text: &str) -> Result<Arc<Exporter>, Failure> {
    let mut url = Url::parse(text).or_usage()?;
    if url.scheme != Scheme::Http {
        return Err(Failure::usage(format!(
            "--otlp {text}: spans are sent over http://, to a collector on this machine or in a network of yours"
        ))
        .hint("--otlp http://127.0.0.1:4318"));
    }
    if url.path_and_query == "/" {
        "/v1/traces".clone_into(&mut url.path_and_query);
    }
    Ok(Arc::new(Exporter::new(url)))
}
