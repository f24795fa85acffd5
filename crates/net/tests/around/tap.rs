//! The passive tap: whoever talks through it is recorded, also when the tap ends first.

use std::sync::mpsc;

use explain::capture::Transcript;
use explain::finding::Sender;
use net::tap::{Target, tap};
use pki::name::ServerName;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

#[tokio::test]
async fn connection_that_is_open_when_the_tap_ends_is_told_of_too() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target =
        Target { host: ServerName::parse("127.0.0.1").unwrap(), port: server.local_addr().unwrap().port() };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (sender, heard) = mpsc::channel::<Transcript>();
    let (stop, stopped) = oneshot::channel::<()>();
    let ended = move |transcript| sender.send(transcript).unwrap();
    let running = tokio::spawn(tap(listener, target, ended, async { stopped.await.unwrap() }));

    let mut client = TcpStream::connect(address).await.unwrap();
    client.write_all(b"question").await.unwrap();
    let (mut served, _) = server.accept().await.unwrap();
    served.read_exact(&mut [0; 8]).await.unwrap();
    served.write_all(b"answer").await.unwrap();
    client.read_exact(&mut [0; 6]).await.unwrap();
    stop.send(()).unwrap();
    running.await.unwrap().unwrap();

    let [transcript] = <[Transcript; 1]>::try_from(heard.iter().collect::<Vec<_>>()).unwrap();
    assert_eq!(transcript.stream(Sender::Client), b"question");
    assert_eq!(transcript.stream(Sender::Server), b"answer");
    assert_eq!(transcript.remarks, ["it was still open when the tap ended"]);
}
