//! A text as a QR code, drawn as SVG inside the page.

use qrcode::QrCode;
use qrcode::render::svg::Color;

/// The code, or nothing where the text is too long for one: the link stands beside it.
pub(super) fn svg(text: &str) -> String {
    let Ok(code) = QrCode::new(text.as_bytes()) else { return String::new() };
    let mut image = code.render();
    image.min_dimensions(208, 208).quiet_zone(false).dark_color(Color("#000")).light_color(Color("#fff"));
    let drawn = image.build();
    // What stands before the element is for files, not for pages.
    drawn.find("<svg").map(|start| drawn[start..].to_owned()).unwrap_or_default()
}
