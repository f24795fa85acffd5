//! Where spans are sent: by flags, and where those say nothing by the variables of OpenTelemetry's exporters (OTLP Exporter
//! Configuration), as a platform sets them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use net::dial::TlsOptions;
use net::tls::server_verifier::Expectation;
use net::trace::{Collector, Exporter};
use net::url::{Scheme, Url};

use crate::commands::tls_arguments::TlsArguments;
use crate::context::Context;
use crate::failure::{Failure, OrFail as _};
use crate::input;

/// The collector.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Traces (OpenTelemetry)")]
pub(super) struct TraceArguments {
    /// Send a span of each request to this collector (OTLP over HTTP, JSON), and tell services of it; also by
    /// OTEL_EXPORTER_OTLP_ENDPOINT and the variables beside it
    #[arg(long, value_name = "URL")]
    otlp: Option<String>,

    /// The anchors that an https:// collector's certificate must lead to [default: the system's, and that of the local
    /// authority]
    #[arg(long, value_name = "FILE")]
    otlp_cacert: Vec<PathBuf>,

    /// Our certificate for the collector, with its chain
    #[arg(long, value_name = "FILE")]
    otlp_cert: Option<String>,

    /// Its key: a file, or pkcs11:…, command:… or https+signer:… [default: the one in --otlp-cert, or beside it]
    #[arg(long, value_name = "FILE", requires = "otlp_cert")]
    otlp_key: Option<PathBuf>,

    /// Headers for the collector, one a line (Authorization: Bearer …), which are nobody else's to read
    #[arg(long, value_name = "FILE")]
    otlp_headers: Option<PathBuf>,
}

/// Where spans go, and by what files.
pub(super) struct Traces {
    url: Url,
    tls: TlsArguments,
    headers: Option<PathBuf>,
    pub(super) exporter: Arc<Exporter>,
}

/// A variable of OpenTelemetry's, in the form for traces alone where that is set.
fn variable(context: &Context, name: &str) -> Option<String> {
    let both = [format!("OTEL_EXPORTER_OTLP_TRACES_{name}"), format!("OTEL_EXPORTER_OTLP_{name}")];
    both.iter().find_map(|name| context.variable(name)).filter(|value| !value.is_empty())
}

impl TraceArguments {
    /// The sender; none where nobody names a collector.
    pub(super) fn traces(&self, context: &Context) -> Result<Option<Traces>, Failure> {
        let Some(url) = self.url(context)? else {
            let named = ["--otlp-cacert", "--otlp-cert", "--otlp-headers"];
            let is_named =
                [!self.otlp_cacert.is_empty(), self.otlp_cert.is_some(), self.otlp_headers.is_some()];
            return match named.into_iter().zip(is_named).find(|(_, is_named)| *is_named) {
                Some((flag, _)) => {
                    Err(Failure::usage(format!("{flag} is for a collector, and none is named"))
                        .hint("--otlp https://collector.example.com:4318"))
                }
                None => Ok(None),
            };
        };
        let from_variable = |name| variable(context, name);
        let cacert = match self.otlp_cacert.as_slice() {
            [] => from_variable("CERTIFICATE").into_iter().map(PathBuf::from).collect(),
            given => given.to_vec(),
        };
        let (cert, key) = match &self.otlp_cert {
            Some(cert) => (Some(cert.clone()), self.otlp_key.clone()),
            None => (from_variable("CLIENT_CERTIFICATE"), from_variable("CLIENT_KEY").map(PathBuf::from)),
        };
        let tls = TlsArguments::of(cert, key, cacert);
        let collector = collector(context, &url, &tls, self.otlp_headers.as_deref())?;
        let exporter = Arc::new(Exporter::new(collector));
        Ok(Some(Traces { url, tls, headers: self.otlp_headers.clone(), exporter }))
    }

    /// A URL that is given for all signals, or without a path, gets the path of traces.
    fn url(&self, context: &Context) -> Result<Option<Url>, Failure> {
        const PATH: &str = "/v1/traces";
        if let Some(text) = &self.otlp {
            let mut url = parsed("--otlp", text)?;
            if url.path_and_query == "/" {
                PATH.clone_into(&mut url.path_and_query);
            }
            return Ok(Some(url));
        }
        if context.variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        const FOR_TRACES: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        const FOR_ALL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
        let given = |name| context.variable(name).filter(|value| !value.is_empty());
        let url = match (given(FOR_TRACES), given(FOR_ALL)) {
            (Some(text), _) => parsed(FOR_TRACES, &text)?,
            (None, Some(text)) => {
                let mut url = parsed(FOR_ALL, &text)?;
                url.path_and_query = format!("{}{PATH}", url.path_and_query.trim_end_matches('/'));
                url
            }
            (None, None) => return Ok(None),
        };
        if variable(context, "PROTOCOL").as_deref() == Some("grpc") {
            return Err(Failure::usage(
                "OTEL_EXPORTER_OTLP_PROTOCOL=grpc: spans are sent by OTLP over HTTP, in JSON, and not by gRPC",
            )
            .hint("OTEL_EXPORTER_OTLP_PROTOCOL=http/json, and the collector's port for HTTP, which is 4318")
            .hint("OTEL_SDK_DISABLED=true, for no spans"));
        }
        Ok(Some(url))
    }
}

fn parsed(what: &str, text: &str) -> Result<Url, Failure> {
    Url::parse(text)
        .map_err(|error| Failure::usage(format!("{what}: {error}")).hint("--otlp http://127.0.0.1:4318"))
}

impl Traces {
    /// What is read again when it changes.
    pub(super) fn files(&self) -> Vec<PathBuf> {
        let mut files = if self.url.scheme == Scheme::Https { self.tls.files() } else { Vec::new() };
        files.extend(self.headers.clone());
        files
    }

    /// Reads everything anew.
    pub(super) fn reload(&self, context: &Context) -> Result<(), Failure> {
        self.exporter.replace(collector(context, &self.url, &self.tls, self.headers.as_deref())?);
        Ok(())
    }
}

fn collector(
    context: &Context,
    url: &Url,
    tls: &TlsArguments,
    headers: Option<&Path>,
) -> Result<Collector, Failure> {
    let is_https = url.scheme == Scheme::Https;
    let anchors = if is_https { tls.anchors(context)? } else { pki::verify::TrustBundle::default() };
    let mut options = TlsOptions::new(Expectation::new(anchors));
    if is_https && let Some(own) = tls.credentials(context)? {
        options.credentials = Some(own.key.credentials(own.chain).or_usage()?);
    }
    let lines = match headers {
        Some(path) => String::from_utf8(input::bytes(path)?)
            .map_err(|_| Failure::usage(format!("{} is not text", path.display())))?,
        None => variable(context, "HEADERS").map(|list| of_variable(&list)).unwrap_or_default(),
    };
    let service = context.variable("OTEL_SERVICE_NAME").filter(|name| !name.is_empty());
    Ok(Collector {
        url: url.clone(),
        tls: options,
        headers: read_headers(headers, &lines)?,
        service: service.unwrap_or_else(|| "countersign".to_owned()),
    })
}

/// `name=value,name=value`, percent-encoded (W3C Baggage), as lines. What is no escape, or that of a line's end, stands for
/// itself.
fn of_variable(list: &str) -> String {
    let pairs = list.split(',').filter_map(|pair| pair.trim().split_once('='));
    let line = |(name, value): (&str, &str)| {
        let decoded = pki::percent_decode(value.trim()).filter(|text| !text.contains(char::is_control));
        format!("{}: {}\n", name.trim(), decoded.as_deref().unwrap_or(value.trim()))
    };
    pairs.map(line).collect()
}

/// Headers, one a line; their values are told to nobody.
fn read_headers(path: Option<&Path>, lines: &str) -> Result<http::HeaderMap, Failure> {
    let place =
        path.map_or_else(|| "OTEL_EXPORTER_OTLP_HEADERS".to_owned(), |path| path.display().to_string());
    let mut headers = http::HeaderMap::new();
    for (number, line) in lines.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let read = line.split_once(':').and_then(|(name, value)| {
            let name = http::HeaderName::from_bytes(name.trim().as_bytes()).ok()?;
            Some((name, http::HeaderValue::from_str(value.trim()).ok()?))
        });
        let Some((name, mut value)) = read else {
            return Err(Failure::usage(format!("{place}, line {}: this is no header", number + 1))
                .hint("Authorization: Bearer TOKEN"));
        };
        value.set_sensitive(true);
        headers.append(name, value);
    }
    Ok(headers)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use super::*;

    #[test]
    fn headers_are_read_from_lines_and_from_the_variable_and_their_values_are_never_shown() {
        let headers = read_headers(None, "# a comment\n\nAuthorization: Bearer a:b\r\nX-Scope: 1\n").unwrap();
        assert_eq!(headers["authorization"], "Bearer a:b");
        assert_eq!(headers["x-scope"], "1");
        assert!(!format!("{headers:?}").contains("Bearer"));
        let headers = read_headers(None, &of_variable("api-key=a%20b%2Cc , x-scope=1=2,a b=1")).unwrap_err();
        assert!(format!("{headers:?}").contains("line 3"), "{headers:?}");
        let headers =
            read_headers(None, &of_variable("api-key=a%20b%2Cc , x-scope=1=2,x-odd=%zz%,x-line=a%0Ab:%20c"))
                .unwrap();
        assert_eq!(
            (&headers["api-key"], &headers["x-scope"], &headers["x-odd"]),
            (
                &http::HeaderValue::from_static("a b,c"),
                &http::HeaderValue::from_static("1=2"),
                &http::HeaderValue::from_static("%zz%"),
            )
        );
        assert_eq!((&headers["x-line"], headers.len()), (&http::HeaderValue::from_static("a%0Ab:%20c"), 4));
        let told = read_headers(Some(Path::new("headers.txt")), "Authorization: x\nsecret-without-colon\n")
            .unwrap_err();
        assert!(format!("{told:?}").contains("headers.txt, line 2"), "{told:?}");
        assert!(!format!("{told:?}").contains("secret"), "{told:?}");
    }
}
