//! Bars as inline SVG, made here, with the same numbers as a table below them.

use std::fmt::Write as _;

/// A row of bars of one colour.
pub(super) struct Series {
    pub(super) name: String,
    /// The class in the style sheet.
    pub(super) class: &'static str,
    pub(super) values: Vec<u64>,
}

/// A chart: for each label a bar of each series.
pub(super) struct Bars {
    pub(super) title: &'static str,
    pub(super) labels: Vec<String>,
    pub(super) series: Vec<Series>,
}

/// The start of a stretch of time, by what it is: `2026-06-15 12:00` for an hour, the date for a day.
pub(super) fn label(start: &str, kind: &str) -> String {
    let length = if kind == "hour" { 16 } else { 10 };
    start.get(..length).unwrap_or(start).replace('T', " ")
}

const WIDTH: usize = 720;
const HEIGHT: usize = 160;
const LEFT: usize = 44;
const BOTTOM: usize = 22;
/// Room above, for the letters of the first line: on a phone they are nearly twice as large.
const ABOVE: usize = 8;

/// How much of a whole each of some names has, as bars that lie, the longest first.
pub(super) struct Shares {
    pub(super) title: &'static str,
    /// Names may be anything; they are escaped here.
    pub(super) rows: Vec<(String, u64)>,
}

/// The height of a lying bar with its name above.
const ROW: usize = 34;
/// The characters of a name that fit above a bar.
const NAME: usize = 90;

impl Shares {
    /// The chart and its table, as HTML.
    pub(super) fn draw(mut self) -> String {
        self.rows.sort_by(|one, other| (other.1, &one.0).cmp(&(one.1, &other.0)));
        let most = self.rows.first().map_or(0, |(_, count)| *count);
        if most == 0 {
            return format!("<p class=\"quiet\">{}: none.</p>", self.title);
        }
        let height = self.rows.len() * ROW + ABOVE;
        let mut html = format!(
            "<svg class=\"chart\" viewBox=\"0 -{ABOVE} {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">",
            self.title
        );
        for (place, (name, count)) in self.rows.iter().enumerate() {
            let (top, name) = (place * ROW, escaped(&name.chars().take(NAME).collect::<String>()));
            let long = usize::try_from((*count * WIDTH as u64 / most).max(2)).unwrap_or(2);
            let _ = write!(
                html,
                "<text x=\"0\" y=\"{}\"><tspan>{name}: {count}</tspan></text>\
                 <rect class=\"bar\" x=\"0\" y=\"{}\" width=\"{long}\" height=\"12\"/>",
                top + 12,
                top + 17,
            );
        }
        let _ = write!(
            html,
            "</svg><details><summary>The same as a table</summary><div class=\"scroll\"><table><caption>{}</caption>\
             <thead><tr><th scope=\"col\">Which</th><th scope=\"col\">How many</th></tr></thead><tbody>",
            self.title
        );
        for (name, count) in &self.rows {
            let _ =
                write!(html, "<tr><th scope=\"row\"><bdi>{}</bdi></th><td>{count}</td></tr>", escaped(name));
        }
        html.push_str("</tbody></table></div></details>");
        html
    }
}

/// Text in HTML and SVG. What turns text around is left out: SVG has no element that keeps it in.
fn escaped(text: &str) -> String {
    explain::escape::text(text)
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

impl Bars {
    /// The chart, what its colours mean, and its table, as HTML. Labels are dates of our own; they hold no markup.
    pub(super) fn draw(&self) -> String {
        let most = self.series.iter().flat_map(|series| &series.values).copied().max().unwrap_or(0);
        if most == 0 {
            return format!("<p class=\"quiet\">{}: none.</p>", self.title);
        }
        format!("{}{}{}", self.picture(most), self.legend(), self.table())
    }

    /// Which colour is what, where there are several.
    fn legend(&self) -> String {
        if self.series.len() < 2 {
            return String::new();
        }
        let mut html = "<ul class=\"legend\">".to_owned();
        for series in &self.series {
            let _ = write!(
                html,
                "<li><svg class=\"chart swatch\" viewBox=\"0 0 12 12\" aria-hidden=\"true\">\
                 <rect class=\"{}\" width=\"12\" height=\"12\"/></svg>{}</li>",
                series.class,
                escaped(&series.name)
            );
        }
        html.push_str("</ul>");
        html
    }

    fn picture(&self, most: u64) -> String {
        let (floor, margin) = (HEIGHT - BOTTOM, LEFT - 6);
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 -{ABOVE} {WIDTH} {}\" role=\"img\" aria-label=\"{}\">\
             <text x=\"{margin}\" y=\"12\" text-anchor=\"end\">{most}</text>\
             <text x=\"{margin}\" y=\"{floor}\" text-anchor=\"end\">0</text>\
             <line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{floor}\" y2=\"{floor}\"/>",
            HEIGHT + ABOVE,
            self.title,
        );
        let slot = (WIDTH - LEFT) / self.labels.len().max(1);
        let width = (slot.saturating_sub(3) / self.series.len().max(1)).max(1);
        let step = if self.labels.len() <= 14 { 2 } else { 7 };
        for (place, label) in self.labels.iter().enumerate() {
            let x = LEFT + place * slot + 1;
            for (which, series) in self.series.iter().enumerate() {
                let value = series.values.get(place).copied().unwrap_or(0);
                if value == 0 {
                    continue;
                }
                // At least two units high: one certificate beside a million is still one.
                let tall = (floor - 8) as u64;
                let height = usize::try_from((value * tall / most).max(2)).unwrap_or(2);
                let _ = write!(
                    svg,
                    "<rect class=\"{}\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"{height}\"><title>{label}: {value} {}</title></rect>",
                    series.class,
                    x + which * width,
                    floor - height,
                    escaped(&series.name)
                );
            }
            if place % step == 0 {
                // Of hours the first one tells the day: all that would be too wide for the last one on a phone.
                let start = if place > 0 && label.len() > 10 { 11 } else { 5 };
                let shown = label.get(start..).unwrap_or(label);
                let _ = write!(svg, "<text x=\"{x}\" y=\"{}\">{shown}</text>", HEIGHT - 6);
            }
        }
        svg.push_str("</svg>");
        svg
    }

    fn table(&self) -> String {
        let mut html = format!(
            "<details><summary>The same as a table</summary><div class=\"scroll\"><table><caption>{}</caption><thead><tr><th scope=\"col\">From</th>",
            self.title
        );
        for series in &self.series {
            let _ = write!(html, "<th scope=\"col\">{}</th>", escaped(&series.name));
        }
        html.push_str("</tr></thead><tbody>");
        for (place, label) in self.labels.iter().enumerate() {
            let _ = write!(html, "<tr><th scope=\"row\">{label}</th>");
            for series in &self.series {
                let _ = write!(html, "<td>{}</td>", series.values.get(place).copied().unwrap_or(0));
            }
            html.push_str("</tr>");
        }
        html.push_str("</tbody></table></div></details>");
        html
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_a_chart_are_text_and_the_longest_bar_is_first() {
        let rows = vec![("a".to_owned(), 1), ("<script>\u{202e}\"".to_owned(), 9)];
        let html = Shares { title: "shares", rows }.draw();
        assert!(!html.contains("<script") && !html.contains('\u{202e}'), "{html}");
        assert!(
            html.find("&lt;script").is_some_and(|first| html.find(">a: 1<").is_some_and(|next| first < next))
        );
        assert!(Shares { title: "none", rows: Vec::new() }.draw().contains("none: none."));
    }
}
