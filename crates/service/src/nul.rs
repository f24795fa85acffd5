//! U+0000, which stands in no name and no word, and which PostgreSQL takes in no text: a request with one is refused before
//! anything is looked up by it.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::Problem;

const WHY: &str = "a text in the request has the character U+0000, which stands in no name";

/// Whether a text in a JSON document has one, which can only be written so. An escaped backslash before `u0000` counts as
/// one too.
pub(crate) fn is_in_json(document: &[u8]) -> bool {
    const ESCAPED: &[u8] = br"\u0000";
    document.windows(ESCAPED.len()).any(|window| window == ESCAPED)
}

/// What is said of it.
pub(crate) fn refused() -> Problem {
    Problem::of(400, "bad-request", WHY)
}

/// Refuses requests with one in the path or the query.
pub(crate) async fn none_in_address(request: Request, next: Next) -> Response {
    let uri = request.uri();
    if uri.path().contains("%00") || uri.query().is_some_and(|query| query.contains("%00")) {
        return refused().into_response();
    }
    next.run(request).await
}
