//! `countersign demo`: mutual TLS at work, and why each visitor was let in or not.

mod cast;
mod peers;
mod tell;
mod visits;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc;

use clap::Args;
use keys::file::Replace;
use net::serve::{AccessRecord, Handler, Options, Route};
use net::snapshot::{Handle, Snapshot};
use net::tls::Credentials;
use pki::crl::CertificateRevocationList;
use pki::policy::{Policy, Rule};

use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::material::Files;
use cast::Cast;
use peers::Peers;

/// See mutual TLS at work: an authority, a server, its visitors, and why each was let in or not
#[derive(Debug, Args)]
#[command(before_help = "\
Examples:
  countersign demo
      # the whole story, in three seconds; leaves nothing behind
  countersign demo --keep
      # and leave the server running, to try from another terminal or a browser
  countersign demo --html demo.html
      # and each handshake of the story byte by byte, as a page
  countersign demo --json
      # the facts alone")]
pub(crate) struct Demo {
    /// Leave the server running until Ctrl-C, and say what to try
    #[arg(long, conflicts_with = "json")]
    keep: bool,

    /// Print the facts as JSON
    #[arg(long)]
    json: bool,

    /// Also write the visitors' handshakes, byte by byte, as one page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Demo {
    pub(crate) fn run(self, context: &Context) -> Outcome {
        let stage = Stage::build()?;
        let mut teller = tell::Teller::new(context, self.json);
        teller.opening();

        let cast = Cast::assemble(&stage.directory, context.now())?;
        teller.authority(&cast);
        teller.certificates(&cast);

        let runtime = tokio::runtime::Runtime::new()
            .map_err(|error| Failure::usage(format!("cannot start threads: {error}")))?;
        let _entered = runtime.enter();
        let (records, heard) = mpsc::channel();
        let (port, handle) = open_house(&cast, records)?;
        let url = format!("https://localhost:{port}/");
        teller.server(&url);

        let visitors = visits::send(&runtime, &cast, &handle, port, &heard)?;
        teller.visitors(&visitors, self.html.as_deref());
        if let Some(path) = &self.html {
            let conversations: Vec<_> =
                visitors.iter().map(|visitor| explain::tls::explain(&visitor.transcript)).collect();
            let page = explain::render::html(&conversations, explain::render::Shown::default());
            keys::file::write_private(path, page.as_bytes(), Replace::No).or_usage()?;
        }

        let peers = Peers::find();
        let runs = peers.run(&cast.directory, &url);
        teller.peers(&peers, &runs);

        let passed =
            visitors.iter().all(|visitor| visitor.as_expected) && runs.iter().all(|run| run.as_expected);
        teller.closing(passed, &url, &visitors, &runs);
        if self.keep {
            let alice = &cast.alice;
            Files::of(&cast.directory, "alice").write_pkcs12(
                &alice.key,
                &alice.chain,
                "alice",
                None,
                keys::pkcs12::Target::Modern,
                Replace::No,
            )?;
            teller.keep(&url, &cast.directory);
            // Errors only where the signal cannot be heard; then there is nothing to wait for.
            let _ = runtime.block_on(tokio::signal::ctrl_c());
        }
        Ok(if passed { Exit::Done } else { Exit::Refused })
    }
}

/// Starts the server that the visitors come to.
fn open_house(cast: &Cast, records: mpsc::Sender<AccessRecord>) -> Result<(u16, Handle), Failure> {
    let cannot = |error: std::io::Error| Failure::usage(format!("cannot listen on 127.0.0.1: {error}"));
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0)).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    let port = listener.local_addr().map_err(cannot)?.port();
    let listener = tokio::net::TcpListener::from_std(listener).map_err(cannot)?;
    let handle = Handle::new(snapshot(cast)?);
    let mut options = Options::new();
    let records = std::sync::Mutex::new(records);
    options.log = Arc::new(move |record| {
        let records = records.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // Nobody listens any more when the story is over.
        let _ = records.send(record.clone());
    });
    tokio::spawn(net::serve::serve(listener, handle.clone(), options, std::future::pending()));
    Ok((port, handle))
}

/// What the server believes at this moment.
fn snapshot(cast: &Cast) -> Result<Snapshot, Failure> {
    let credentials =
        Credentials::new(cast.server.chain.clone(), cast.server.key.to_pkcs8_der()).or_usage()?;
    let mut snapshot = Snapshot::new(credentials, cast.authority.anchors().clone());
    snapshot.policy = Policy::new(vec![Rule::parse("cn", "alice").or_usage()?]);
    snapshot.crls = vec![CertificateRevocationList::from_der(&cast.revocation_list()?).or_refuse()?];
    snapshot.routes = vec![Route::everything(Arc::new(Handler::Identity))];
    Ok(snapshot)
}

/// The temporary home, gone with its value.
struct Stage {
    directory: PathBuf,
}

impl Stage {
    fn build() -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt as _;
        let name = format!("countersign-demo-{}", pki::hex(&keys::random::random_bytes::<6>().or_usage()?));
        let directory = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&directory).map_err(|error| {
            Failure::usage(format!("cannot make {}: {}", directory.display(), crate::input::plain(&error)))
                .hint("TMPDIR=/var/tmp countersign demo")
        })?;
        Ok(Stage { directory })
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What cannot be removed is in the system's temporary directory, which is emptied by others.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}
