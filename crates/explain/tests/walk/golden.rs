//! The text and the page of each recording, as a person sees them. `UPDATE_EXPECT=1` writes them anew.

use expect_test::expect_file;
use explain::render::{Shown, html, ladder};
use explain::tls::explain;

use crate::{folder, recording};

/// With all bytes and fields, of these; of the others the ladder, and the page without its fields: what the fields
/// say is the same in all of them.
const IN_FULL: &[&str] = &["tls13-mutual"];

fn check(name: &str) {
    let conversation = explain(&recording(name));
    let in_full = IN_FULL.contains(&name);
    let path = |extension: &str| folder().join(format!("{name}.{extension}"));
    expect_file![path("txt")].assert_eq(&ladder(&conversation, 80, false, in_full, Shown::default()));
    let page = html(&[conversation], Shown::default());
    // Style and script are the same in every page, and are files of their own.
    let body = &page[page.find("<body>").unwrap()..page.find("<script>").unwrap()];
    let body = if in_full { body.replace("<li><", "\n<li><") } else { without_fields(body) };
    expect_file![path("html")].assert_eq(&body);
}

/// The page with a line in place of each message's bytes and fields: how long they are, and their hash.
fn without_fields(page: &str) -> String {
    let mut rest = page;
    let mut kept = String::new();
    while let Some(start) = rest.find("<div class=\"split\"") {
        let end = start + rest[start..].find("</ul></div>").unwrap() + "</ul></div>".len();
        let part = &rest[start..end];
        let digest = pki::hex(&pki::sha256(part.as_bytes())[..8]);
        kept.push_str(&rest[..start]);
        kept.push_str(&format!("[{} characters of bytes and fields, {digest}]", part.len()));
        rest = &rest[end..];
    }
    kept + rest
}

macro_rules! golden {
    ($($test:ident = $name:literal;)*) => {
        $(#[test] fn $test() { check($name); })*
    };
}

golden! {
    both_sides_prove_who_they_are_under_tls_1_3 = "tls13-mutual";
    empty_certificate_is_refused_after_finished = "tls13-no-client-certificate";
    certificate_of_another_authority_is_refused_after_finished = "tls13-wrong-ca";
    expired_certificate_is_refused_and_dated = "tls13-expired";
    second_client_hello_follows_a_hello_retry_request = "hello-retry-request";
    resumed_session_has_no_certificates = "resumed";
    both_sides_prove_who_they_are_under_tls_1_2 = "tls12-mutual";
    nodejs_closes_without_a_word = "nodejs-closes-silently";
    zero_round_trip_data_is_sent_before_the_server_speaks = "early-data";
    zero_round_trip_data_is_refused_by_a_retry = "early-data-refused-by-retry";
    zero_round_trip_data_is_refused_with_its_ticket = "early-data-refused-with-the-ticket";
    zero_round_trip_data_is_refused_though_the_session_is_resumed = "early-data-refused-for-another-protocol";
    chromium_shows_a_client_certificate = "chromium";
    firefox_shows_a_client_certificate = "firefox";
    both_certificates_are_compressed = "compressed-brotli";
}
