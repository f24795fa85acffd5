//! Which servers of an upstream are well: a server that refused a connection is left out for a while, longer each
//! time; with a check in the background also one that answers wrongly, until it answers well again.

use std::sync::LazyLock;
use std::sync::Weak;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{sleep, timeout};

use super::link::{Dialling, Link};
use super::target::Target;

/// How long a server is left out after its first failure, and at most.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How servers are looked after in the background.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// A path that answers a GET with a status from 200 to 399 where the server is well; without one it is enough that
    /// a connection opens.
    pub path: Option<String>,
    /// From one look to the next.
    pub interval: Duration,
}

impl Default for HealthCheck {
    fn default() -> Self {
        HealthCheck { path: None, interval: Duration::from_secs(5) }
    }
}

/// A server, and how it is.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) target: Target,
    failures: AtomicU32,
    /// Until when it is left out, in milliseconds of this process.
    out_until: AtomicU64,
}

fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl Node {
    pub(crate) fn new(target: Target) -> Self {
        Node { target, failures: AtomicU32::new(0), out_until: AtomicU64::new(0) }
    }

    pub(crate) fn is_well(&self) -> bool {
        self.failures.load(Ordering::Relaxed) == 0 || now() >= self.out_until.load(Ordering::Relaxed)
    }

    pub(crate) fn answered(&self) {
        if self.failures.load(Ordering::Relaxed) > 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn failed(&self) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).min(8);
        let pause = (FIRST_PAUSE * 2_u32.pow(failures)).min(LONGEST_PAUSE);
        let until = now() + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.out_until.store(until, Ordering::Relaxed);
    }
}

/// Looks after servers until the upstream is gone.
pub(crate) fn spawn(nodes: Weak<Vec<Node>>, dialling: Dialling, check: HealthCheck) {
    tokio::spawn(async move {
        loop {
            sleep(check.interval).await;
            let Some(nodes) = nodes.upgrade() else { return };
            for node in nodes.iter() {
                let limit = dialling.limit;
                match timeout(limit, look(&node.target, &dialling, check.path.as_deref())).await {
                    Ok(true) => node.answered(),
                    Ok(false) | Err(_) => {
                        if node.is_well() {
                            tracing::warn!(upstream = %node.target, "the upstream is not well and is left out");
                        }
                        node.failed();
                    }
                }
            }
        }
    });
}

async fn look(target: &Target, dialling: &Dialling, path: Option<&str>) -> bool {
    let Ok(mut link) = Link::open(target, dialling).await else { return false };
    let Some(path) = path.filter(|_| target.is_http() && !target.is_http2()) else { return true };
    let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.authority());
    let mut answer = Vec::new();
    if link.write_all(request.as_bytes()).await.is_err() {
        return false;
    }
    // The status line is in the first octets.
    while answer.len() < 12 {
        match link.read_buf(&mut answer).await {
            Ok(1..) => {}
            _ => return false,
        }
    }
    answer.starts_with(b"HTTP/1.") && matches!(answer[9], b'2' | b'3')
}
