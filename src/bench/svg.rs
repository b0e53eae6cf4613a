//! Line charts as SVG: a logarithmic x axis, a linear y axis from zero, integer arithmetic only.

use std::fmt::Write;

use super::weights::log2;

/// Size of the drawing and the margins around the plot, in pixels.
const WIDTH: u64 = 760;
const HEIGHT: u64 = 420;
const LEFT: u64 = 70;
const RIGHT: u64 = 150;
const TOP: u64 = 40;
const BOTTOM: u64 = 60;
/// Colours that are told apart in print, too (Okabe and Ito).
const COLOURS: [&str; 4] = ["#0072b2", "#d55e00", "#009e73", "#888888"];
/// About as many horizontal lines.
const Y_LINES: u64 = 6;

/// One line of a chart.
#[derive(Clone, Debug)]
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    /// x (at least 1), and y in hundredths of its unit.
    pub(super) points: Vec<(u64, u64)>,
}

/// A chart. Texts must not need escaping.
#[derive(Clone, Debug)]
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    pub(super) lines: Vec<Line<'a>>,
}

/// Where values stand in the drawing.
struct Scale {
    low: u64,
    high: u64,
    top: u64,
}

impl Scale {
    fn x(&self, value: u64) -> u64 {
        let span = (log2(self.high) - log2(self.low)).max(1);
        let along = u128::from(log2(value) - log2(self.low)) * u128::from(WIDTH - LEFT - RIGHT);
        LEFT + (along / u128::from(span)) as u64
    }

    fn y(&self, hundredths: u64) -> u64 {
        let plot = HEIGHT - TOP - BOTTOM;
        HEIGHT - BOTTOM - hundredths.min(self.top) * plot / self.top
    }
}

impl Chart<'_> {
    /// The whole document.
    pub(super) fn render(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| line.points.iter());
        let low = points().map(|point| point.0).min().unwrap_or(1).max(1);
        let high = points().map(|point| point.0).max().unwrap_or(1).max(low + 1);
        let highest = points().map(|point| point.1).max().unwrap_or(0);
        let step = round_step(highest.max(100));
        let scale = Scale {
            low,
            high,
            top: (highest / step + 1) * step,
        };
        let mut svg = String::new();
        self.write(&mut svg, &scale, step)
            .expect("a String takes everything");
        svg
    }

    fn write(&self, svg: &mut String, scale: &Scale, step: u64) -> std::fmt::Result {
        writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" width=\"{WIDTH}\" \
             height=\"{HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">"
        )?;
        writeln!(svg, "<title>{}</title>", self.title)?;
        writeln!(
            svg,
            "<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>"
        )?;
        writeln!(
            svg,
            "<text x=\"{LEFT}\" y=\"24\" font-size=\"15\">{}</text>",
            self.title
        )?;
        self.write_axes(svg, scale, step)?;
        for (number, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[number % COLOURS.len()];
            let (x, y) = (WIDTH - RIGHT + 16, TOP + 16 + 20 * number as u64);
            let at = |&(value, hundredths): &(u64, u64)| (scale.x(value), scale.y(hundredths));
            let path: Vec<_> = line.points.iter().map(at).collect();
            let corners: Vec<_> = path.iter().map(|(x, y)| format!("{x},{y}")).collect();
            writeln!(
                svg,
                "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
                corners.join(" ")
            )?;
            for (x, y) in path {
                writeln!(svg, "<circle cx=\"{x}\" cy=\"{y}\" r=\"3\" fill=\"{colour}\"/>")?;
            }
            writeln!(
                svg,
                "<rect x=\"{x}\" y=\"{}\" width=\"14\" height=\"3\" fill=\"{colour}\"/>",
                y - 5
            )?;
            writeln!(svg, "<text x=\"{}\" y=\"{y}\">{}</text>", x + 20, line.name)?;
        }
        writeln!(svg, "</svg>")
    }

    fn write_axes(&self, svg: &mut String, scale: &Scale, step: u64) -> std::fmt::Result {
        let (right, bottom) = (WIDTH - RIGHT, HEIGHT - BOTTOM);
        for line in 0..=scale.top / step {
            let y = scale.y(line * step);
            let value = line * step / 100;
            writeln!(
                svg,
                "<line x1=\"{LEFT}\" y1=\"{y}\" x2=\"{right}\" y2=\"{y}\" stroke=\"#dddddd\"/>"
            )?;
            writeln!(
                svg,
                "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{value}</text>",
                LEFT - 8,
                y + 4
            )?;
        }
        let decades = std::iter::successors(Some(1_u64), |decade| decade.checked_mul(10));
        for decade in decades.filter(|decade| (scale.low..=scale.high).contains(decade)) {
            let x = scale.x(decade);
            writeln!(
                svg,
                "<line x1=\"{x}\" y1=\"{TOP}\" x2=\"{x}\" y2=\"{bottom}\" stroke=\"#eeeeee\"/>"
            )?;
            writeln!(
                svg,
                "<text x=\"{x}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 18,
                short(decade)
            )?;
        }
        writeln!(
            svg,
            "<path d=\"M{LEFT} {TOP} V{bottom} H{right}\" fill=\"none\" stroke=\"#333333\"/>"
        )?;
        writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{} (logarithmic)</text>",
            (LEFT + right) / 2,
            HEIGHT - 16,
            self.x_label
        )?;
        writeln!(
            svg,
            "<text transform=\"translate(18 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            (TOP + bottom) / 2,
            self.y_label
        )
    }
}

/// 1, 2 or 5 times a power of ten units, in hundredths: about [`Y_LINES`] of them up to `highest`.
fn round_step(highest: u64) -> u64 {
    let decades = std::iter::successors(Some(100_u64), |step| step.checked_mul(10));
    let steps = decades.flat_map(|decade| [decade, decade * 2, decade * 5]);
    steps
        .into_iter()
        .find(|step| highest / step <= Y_LINES)
        .unwrap_or(highest)
}

/// 1,000 as 1 k, 1,000,000 as 1 M.
pub(super) fn short(count: u64) -> String {
    match count {
        0..1_000 => count.to_string(),
        1_000..1_000_000 => format!("{} k", count / 1_000),
        _ => format!("{} M", count / 1_000_000),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_where_they_belong() {
        let scale = Scale {
            low: 10,
            high: 1_000,
            top: 10_000,
        };
        assert_eq!([10, 100, 1_000].map(|value| scale.x(value)), [70, 340, 610]);
        assert_eq!([0, 5_000, 10_000].map(|value| scale.y(value)), [360, 200, 40]);
        assert_eq!([100, 600, 700, 12_345].map(round_step), [100, 100, 200, 2_000]);
        assert_eq!([7, 5_000, 2_000_000].map(short), ["7", "5 k", "2 M"]);
    }
}
