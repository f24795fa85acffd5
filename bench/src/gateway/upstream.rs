//! The service behind every peer: it answers at once, so that it is never what is measured.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

/// The octets of one download, and of one upload.
pub(super) const LARGE: usize = 64 * 1024 * 1024;

/// Starts it on a free port.
pub(super) fn start() -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || serve(stream));
        }
    });
    Ok(address)
}

fn serve(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut head = Vec::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let end = loop {
            if let Some(end) = head.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            match stream.read(&mut buffer)? {
                0 => return Ok(()),
                read => head.extend_from_slice(&buffer[..read]),
            }
        };
        if head.starts_with(b"GET /large ") {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n")?;
            buffer.fill(b'x');
            for piece in 0..LARGE / buffer.len() {
                let _ = piece;
                stream.write_all(&buffer)?;
            }
            head.drain(..end);
            continue;
        }
        if head.starts_with(b"POST ") {
            let mut left = LARGE.saturating_sub(head.len() - end);
            while left > 0 {
                match stream.read(&mut buffer)? {
                    0 => return Ok(()),
                    read => left = left.saturating_sub(read),
                }
            }
            head.clear();
        } else {
            head.drain(..end);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok\n")?;
    }
}
