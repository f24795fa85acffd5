//! The authority over HTTP: the ways to a certificate (invites, renewal, ACME, EST), the ways to learn that one was
//! taken back (lists, OCSP, the feed), and the API that administers both.
//!
//! Every way in ends in the same [`ca::Authority::issue`]. Nothing here knows SQL or prints; TLS is `net`'s, which hands
//! over requests with the client's verified certificate. What blocks (the memory, the signing key) runs on threads of
//! its own, by way of [`State::blocking`].
//!
//! From a request to an answer: [`server`] takes it from `net`, [`router`](router()) finds its handler, the handler
//! answers, or fails with a [`Problem`].

pub mod acme;
pub mod api;
mod console;
pub mod enrol;
mod est;
pub mod expiry;
#[doc(hidden)]
pub mod fuzzing;
mod log;
mod nul;
mod problem;
pub mod radar;
pub mod refusals;
mod router;
pub mod server;
mod sharing;
pub mod state;
mod status;

pub use net::serve::Visitor;
pub use problem::Problem;
pub use router::{Surface, router};
pub use state::{Responder, RootList, Seen, Settings, State};
