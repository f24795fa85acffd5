//! A passive tap: between any client and any server, relaying bytes untouched and recording them. It has no keys and
//! sees what anybody on the way would see; a key log of one of the two sides opens the rest.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use explain::capture::{Transcript, What};
use explain::finding::Sender;
use pki::name::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

use crate::dial::{Route, Transport, connect};
use crate::record::Recorder;

/// At most this many connections at once; each may hold a recording of 4 MiB.
const MOST_CONNECTIONS: usize = 64;

/// How long a connection to the server may take.
const PATIENCE: Duration = Duration::from_secs(15);

/// Where a tap leads.
#[derive(Debug, Clone)]
pub struct Target {
    /// The server's name or address.
    pub host: ServerName,
    /// Its port.
    pub port: u16,
}

/// Takes connections and relays each to the target, until `stop`. `ended` is given each recording when its connection
/// ends, and at the end those of the connections that are still open.
///
/// # Errors
/// Where no connection can be taken any more.
pub async fn tap(
    listener: TcpListener,
    target: Target,
    ended: impl Fn(Transcript) + Send + Sync + 'static,
    stop: impl Future<Output = ()>,
) -> io::Result<()> {
    let ended = Arc::new(ended);
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let mut connections = tokio::task::JoinSet::new();
    let (end, ending) = watch::channel(());
    let mut stop = std::pin::pin!(stop);
    loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
            Ok::<_, io::Error>((place, listener.accept().await?))
        };
        let (place, (client, address)) = tokio::select! {
            next = next => next?,
            () = &mut stop => break,
        };
        while connections.try_join_next().is_some() {}
        let (target, ended, mut ending) = (target.clone(), Arc::clone(&ended), ending.clone());
        connections.spawn(async move {
            let server = format!("{}:{}", target.host, target.port);
            let recorder = Recorder::start(&address.to_string(), &server, None);
            let deadline = tokio::time::Instant::now() + PATIENCE;
            let conversation = async {
                match connect(&target.host, target.port, &Route::default(), Some(deadline)).await {
                    Ok(transport) => relay(client, transport, &recorder).await,
                    Err(error) => recorder.remark(format!("the server cannot be reached: {error}")),
                }
            };
            tokio::select! {
                () = conversation => {}
                // Nothing is ever sent: this is the end of the tap itself.
                _ = ending.changed() => recorder.remark("it was still open when the tap ended"),
            }
            ended(recorder.transcript());
            drop(place);
        });
    }
    drop(end);
    while connections.join_next().await.is_some() {}
    Ok(())
}

/// Both directions until both have ended, or one broke.
async fn relay(client: TcpStream, server: Transport, recorder: &Recorder) {
    let (mut client_read, mut client_write) = tokio::io::split(client);
    let (mut server_read, mut server_write) = tokio::io::split(server);
    let to_server = pump(&mut client_read, &mut server_write, Sender::Client, recorder);
    let to_client = pump(&mut server_read, &mut client_write, Sender::Server, recorder);
    // An error of one direction ends both: a reset has to reach the other side, and does when both halves drop.
    let _ = tokio::try_join!(to_server, to_client);
}

async fn pump(
    from: &mut (impl AsyncRead + Unpin),
    to: &mut (impl AsyncWrite + Unpin),
    sender: Sender,
    recorder: &Recorder,
) -> io::Result<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let count = match from.read(&mut buffer).await {
            Ok(0) => {
                recorder.ended(sender, What::Closed);
                return to.shutdown().await;
            }
            Ok(count) => count,
            Err(error) => {
                recorder.ended(sender, What::Reset);
                return Err(error);
            }
        };
        recorder.bytes(sender, &buffer[..count]);
        to.write_all(&buffer[..count]).await?;
    }
}
