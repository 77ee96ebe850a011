//! The plot: a bar for each contender and number of connections, in SVG. The scale is logarithmic, as a native route and a
//! page of WordPress are four orders of magnitude apart.

use std::fmt::Write as _;

use anyhow::Result;

use super::findings::Findings;

/// Requests a second of every row.
pub(crate) fn bars(findings: &Findings) -> Result<String> {
    let most = findings.http.iter().map(|row| row.rate.median()).fold(10.0, f64::max);
    let decades = most.log10().ceil();
    let across = |rate: f64| rate.max(1.0).log10() / decades * BARS;
    let rows = findings.http.len() as f64;
    let (width, height) = (NAMES + BARS + FIGURES, TOP + rows * ROW + 10.0);

    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"8\" y=\"16\" font-weight=\"bold\">Requests a second (logarithmic), median of the rounds</text>\n"
    );
    let mut rate = 1.0_f64;
    while rate <= 10_f64.powf(decades) {
        let x = NAMES + across(rate);
        writeln!(svg, "<line x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{height}\" stroke=\"#ddd\"/>")?;
        writeln!(svg, "<text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#666\">{rate}</text>", TOP - 4.0)?;
        rate *= 10.0;
    }
    let mut y = TOP;
    let mut last = "";
    for row in &findings.http {
        let (value, middle) = (row.rate.median(), y + ROW - 5.0);
        let name = if row.contender == last { String::new() } else { escaped(&row.contender) };
        let colour = colour(row.connections);
        let end = NAMES + across(value);
        writeln!(svg, "<text x=\"8\" y=\"{middle:.1}\">{name}</text>")?;
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>",
            NAMES - 6.0,
            row.connections
        )?;
        writeln!(
            svg,
            "<rect x=\"{NAMES}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{colour}\"/>",
            y + 2.0,
            across(value),
            ROW - 4.0
        )?;
        writeln!(svg, "<text x=\"{:.1}\" y=\"{middle:.1}\">{value:.0}</text>", end + 4.0)?;
        last = &row.contender;
        y += ROW;
    }
    svg.push_str("</svg>\n");
    Ok(svg)
}

/// Darker for more connections.
fn colour(connections: usize) -> &'static str {
    match connections {
        0..=1 => "#9ecae1",
        2..=8 => "#4292c6",
        9..=32 => "#2171b5",
        _ => "#08306b",
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

const NAMES: f64 = 250.0;
const BARS: f64 = 560.0;
const FIGURES: f64 = 70.0;
const TOP: f64 = 44.0;
const ROW: f64 = 20.0;
