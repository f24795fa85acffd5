//! Between a client and a server: each connection is explained as it ends.

use std::net::SocketAddr;
use std::sync::mpsc;

use explain::capture::{KeyLog, Transcript};
use net::tap::Target;
use net::url::Url;

use super::Explain;
use crate::context::Context;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};

pub(super) fn run(explain: &Explain, context: &Context, listen: SocketAddr, to: &str) -> Outcome {
    let url = Url::parse(&format!("https://{to}")).or_usage()?;
    let target = Target { host: url.host, port: url.port };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(|error| Failure::usage(format!("cannot start: {error}")))?;
    let listener = runtime.block_on(tokio::net::TcpListener::bind(listen)).map_err(|error| {
        Failure::usage(format!("cannot listen on {listen}: {}", crate::input::plain(&error)))
    })?;
    let address = listener.local_addr().map_err(|error| Failure::usage(error.to_string()))?;
    context.say(format!("listening on {address}, relaying to {to}; Ctrl-C ends it"));
    let (sender, heard) = mpsc::channel();
    let stop = async {
        // Where the signal cannot be heard, the number of connections ends it.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    // When the tap stops, so does the channel, and the loop below.
    let tap =
        runtime.spawn(net::tap::tap(listener, target, move |transcript| drop(sender.send(transcript)), stop));
    let mut worst = Exit::Done;
    for (count, mut transcript) in (1..).zip(heard.iter()) {
        add_secrets(&mut transcript, explain.key_log(context)?);
        if explain.output.numbered(count).show(context, &[transcript], None)? != Exit::Done {
            worst = Exit::Refused;
        }
        if explain.connections.is_some_and(|most| count >= most) {
            break;
        }
    }
    tap.abort();
    Ok(worst)
}

/// The key log is read when the connection has ended: programs write their secrets while it lives.
fn add_secrets(transcript: &mut Transcript, log: Option<KeyLog>) {
    let Some(log) = log else { return };
    loop {
        let before = transcript.secrets.len();
        for random in explain::tls::explain(transcript).client_randoms {
            if let Some(secrets) = log.find(&random) {
                transcript.secrets.insert_all(random, secrets);
            }
        }
        if transcript.secrets.len() == before {
            return;
        }
    }
}
