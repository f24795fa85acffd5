//! http-01 (RFC 8555 section 8.3): the key authorization at a well-known path on port 80. Redirections are followed, a
//! few, to the two ports of the web alone, and each is looked up and checked like the first address.

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use net::danger::accept_any_server;
use net::dial::{TlsOptions, Transport, handshake::handshake};
use net::tls::server_verifier::Expectation;
use net::url::{Scheme, Url};
use pki::name::ServerName;
use pki::verify::TrustBundle;
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Task, Validator};
use crate::acme::identifier::{Identifier, printable};
use crate::acme::refusal::{Kind, Refusal};

/// As many as browsers and public authorities follow at the most.
const MOST_REDIRECTIONS: usize = 10;

/// The most octets of a body that are read; a key authorization has about 80.
const LARGEST_BODY: usize = 4096;

/// What a server answered.
struct Answer {
    status: StatusCode,
    location: Option<String>,
    body: Bytes,
}

pub(super) async fn validate(validator: &Validator, task: &Task) -> Result<(), Refusal> {
    let host = match &task.identifier {
        Identifier::Dns(name) => ServerName::Dns(name.clone()),
        Identifier::Ip(ip) => ServerName::Ip(*ip),
        Identifier::Email(_) => return Err(Refusal::malformed("a mailbox has no web server")),
    };
    let mut url = Url {
        scheme: Scheme::Http,
        host,
        // What the name's owner is asked for is port 80, whatever port the operator's tests listen on.
        port: Scheme::Http.default_port(),
        path_and_query: format!("/.well-known/acme-challenge/{}", task.token),
    };
    for _ in 0..=MOST_REDIRECTIONS {
        let answer = get(validator, &url).await?;
        match answer.status {
            StatusCode::OK => return compare(&answer.body, &url, &task.key_authorization()),
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT => {
                let location = answer.location.unwrap_or_default();
                let next = url.join(&location).map_err(|error| {
                    let shown = printable(&location);
                    Refusal::new(
                        Kind::Connection,
                        format!("{url} redirects to '{shown}', which is no URL: {error}"),
                    )
                })?;
                url = next;
            }
            status => {
                return Err(Refusal::unauthorized(format!(
                    "{url} answers {} in place of 200",
                    status.as_u16()
                )));
            }
        }
    }
    let detail = format!("{} redirects more than {MOST_REDIRECTIONS} times", task.identifier);
    Err(Refusal::new(Kind::Connection, detail))
}

fn compare(body: &[u8], url: &Url, expected: &str) -> Result<(), Refusal> {
    // RFC 8555 section 8.3: white space at the end of the body is ignored.
    let found = body.trim_ascii_end();
    if found == expected.as_bytes() {
        return Ok(());
    }
    let found = printable(&String::from_utf8_lossy(found));
    Err(Refusal::unauthorized(format!("{url} should hold '{expected}', and holds '{found}'")))
}

async fn get(validator: &Validator, url: &Url) -> Result<Answer, Refusal> {
    // The two ports of the web, or what the operator's tests have in their place; any other would let a redirection
    // knock on every door.
    let port = match url.port {
        80 => validator.http_port,
        443 => validator.https_port,
        port if port == validator.http_port || port == validator.https_port => port,
        port => {
            let detail = format!("{url} is on port {port}; only 80 and 443 are gone to");
            return Err(Refusal::new(Kind::Connection, detail));
        }
    };
    let host = match &url.host {
        ServerName::Dns(name) => Identifier::Dns(name.clone()),
        ServerName::Ip(ip) => Identifier::Ip(*ip),
    };
    let addresses = validator.reachable(&host).await?;
    let stream = Transport::Tcp(validator.connect(&host, &addresses, port).await?);
    match url.scheme {
        Scheme::Http => exchange(stream, url).await,
        Scheme::Https => {
            // Who answers here is what is about to be certified: it has no certificate that could be believed yet.
            let mut options = TlsOptions::new(accept_any_server(Expectation::new(TrustBundle::default())));
            options.alpn = vec![b"http/1.1".to_vec()];
            let stream = handshake(stream, &url.host, options).await.map_err(|error| {
                Refusal::new(Kind::Tls, format!("the TLS handshake with {url} failed: {error}"))
            })?;
            exchange(stream, url).await
        }
    }
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &Url,
) -> Result<Answer, Refusal> {
    let failed = |error: &dyn std::fmt::Display| {
        Refusal::new(Kind::Connection, format!("{url} did not answer: {error}"))
    };
    let (mut sender, connection) = http1::Builder::new()
        .max_headers(64)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|error| failed(&error))?;
    let connection = AbortOnDrop(tokio::spawn(async move {
        // What breaks the connection is told by the request.
        let _ = connection.await;
    }));
    let request = Request::get(url.path_and_query.as_str())
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, "countersign (ACME http-01 validation, RFC 8555 section 8.3)")
        .header(header::ACCEPT, "*/*")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let (head, body) = sender.send_request(request).await.map_err(|error| failed(&error))?.into_parts();
    let location =
        head.headers.get(header::LOCATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = if head.status == StatusCode::OK {
        let whole = Limited::new(body, LARGEST_BODY).collect().await;
        whole
            .map_err(|_| {
                Refusal::unauthorized(format!("{url} answers more than {LARGEST_BODY} octets, or breaks off"))
            })?
            .to_bytes()
    } else {
        Bytes::new()
    };
    drop(connection);
    Ok(Answer { status: head.status, location, body })
}

/// A task that ends with its owner.
struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}
