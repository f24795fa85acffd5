//! What a page says when it cannot do what was asked: the API's problem, for people.

use askama::Template;
use axum::response::{IntoResponse, Response};

use super::frame::Frame;
use crate::Problem;

/// A problem on its way to a page.
#[derive(Debug)]
pub(super) struct Trouble(pub(super) Problem);

impl From<Problem> for Trouble {
    fn from(problem: Problem) -> Self {
        Trouble(problem)
    }
}

impl Trouble {
    /// The sentence.
    pub(super) fn detail(&self) -> &str {
        self.0.detail()
    }

    /// Whether the visitor can mend it in the form that was sent; anything else is a page of its own.
    pub(super) fn is_of_the_form(&self) -> bool {
        matches!(self.0.status().as_u16(), 400 | 404 | 409)
    }
}

#[derive(Template)]
#[template(path = "trouble.html")]
struct Page<'a> {
    frame: Frame,
    heading: &'a str,
    detail: &'a str,
    code: &'a str,
    needs_certificate: bool,
}

impl IntoResponse for Trouble {
    fn into_response(self) -> Response {
        let status = self.0.status();
        let heading = match status.as_u16() {
            401 => "Who are you?",
            403 => "This is not for you to do",
            404 => "There is nothing here",
            410 => "This invite is over",
            429 => "Too many wrong tries",
            _ => status.canonical_reason().unwrap_or("That did not work"),
        };
        let page = Page {
            frame: Frame::plain(heading),
            heading,
            detail: self.0.detail(),
            code: self.0.kind().trim_start_matches("urn:countersign:"),
            needs_certificate: status.as_u16() == 401,
        };
        super::frame::html(status, &page)
    }
}
