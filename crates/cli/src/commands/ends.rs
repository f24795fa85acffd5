//! The beginning and the end of commands that run until they are told to stop.

/// What goes wrong on the way, such as an upstream that is down, is told on standard error.
pub(crate) fn start_warnings() {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_max_level(tracing_subscriber::filter::LevelFilter::WARN)
        .with_target(false)
        .init();
}

/// Ends with SIGINT or SIGTERM.
pub(crate) async fn end_of_life() {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = async {
        match signal(SignalKind::terminate()) {
            Ok(mut terminate) => drop(terminate.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        () = terminate => {}
    }
}
