//! Everything that speaks TLS on a socket: accepting with a verified client, serving behind it, dialling with a client
//! certificate, looking at a server, fetching a page.
//!
//! What a certificate or a policy is, and whether a path holds, is `pki`'s business; what a refusal is called is
//! `explain`'s. Nothing here can reach the authority or its keys, and nothing here prints or reads the environment.
//!
//! From accept to forward: [`serve::serve`] takes a connection, `accept` does its handshake under one
//! [`snapshot::Snapshot`], `serve::connection` answers its requests, each with the proof that it may.

mod accept;
pub mod admin;
pub mod danger;
pub mod dial;
mod disagreement;
pub mod doctor;
pub mod fetch;

pub mod observe;
pub mod provision;
pub mod proxy_protocol;
pub mod quota;
pub mod record;
pub mod refusal;
pub mod revocation;
pub mod serve;
pub mod snapshot;
pub mod tap;
pub mod tls;
pub mod trace;
pub mod tunnel;
pub mod url;
