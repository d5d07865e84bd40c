//! A picture of a run: how full the queues of gossip were over time, and how long it waited.

use std::error::Error;
use std::ops::Range;

use plotters::coord::ranged1d::AsRangedCoord;
use plotters::prelude::*;

use super::spans::PUBSUB;
use super::watch::{Point, Row};

const SIZE: (u32, u32) = (1_000, 1_000);

/// How many points a line has at most; of more, the highest of each stretch is drawn.
const POINTS_MAX: usize = 1_000;

/// What the scale of waiting begins at, in microseconds.
const DWELL_US_MIN: f64 = 10.0;

type Line = Vec<(f64, f64)>;

/// How many charts there are.
pub const CHARTS: usize = 3;

/// Draws a run as SVG, with a line for each node in every chart.
pub fn draw(title: &str, nodes: &[(&str, &[Row])]) -> Result<String, Box<dyn Error>> {
    let mut svg = String::new();
    {
        let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
        root.fill(&WHITE)?;
        let root = root.titled(title, ("sans-serif", 20))?;
        let areas = root.split_evenly((CHARTS, 1));
        let ends = nodes.iter().filter_map(|(_, rows)| Some(rows.last()?.at.as_secs_f64()));
        let time = 0.0..ends.fold(1.0, f64::max);
        let lines = |of: fn(&Point) -> f64| -> Vec<(&str, Line)> {
            nodes.iter().map(|(name, rows)| (*name, line(rows, of))).collect()
        };
        let received = lines(|point| point.fullest_pct);
        let sent = lines(|point| point.sending_pct);
        let dwell = lines(|point| (point.dwell_p99_us as f64).max(DWELL_US_MIN));
        let highest = dwell.iter().flat_map(|(_, line)| line).map(|(_, us)| *us);
        let scale = (DWELL_US_MIN..highest.fold(1e6, f64::max) * 1.5).log_scale();
        let percent = 0.0..105.0;
        let caption = "pubsub that comes in: the fullest queue, in percent";
        chart(&areas[0], caption, time.clone(), percent.clone(), &received)?;
        let caption = "pubsub that goes out: the fullest queue, in percent";
        chart(&areas[1], caption, time.clone(), percent, &sent)?;
        let caption = "pubsub that comes in: dwell p99 since the start, in microseconds";
        chart(&areas[2], caption, time, scale, &dwell)?;
        root.present()?;
    }
    Ok(svg)
}

fn chart<Y>(
    area: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    caption: &str,
    time: Range<f64>,
    values: Y,
    lines: &[(&str, Line)],
) -> Result<(), Box<dyn Error>>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: plotters::coord::ranged1d::ValueFormatter<f64>,
{
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 15))
        .margin(8)
        .x_label_area_size(30)
        .y_label_area_size(70)
        .build_cartesian_2d(time, values)?;
    let whole = |value: &f64| format!("{value:.0}");
    let mesh = &mut chart.configure_mesh();
    mesh.x_desc("seconds").max_light_lines(0).x_label_formatter(&whole).y_label_formatter(&whole);
    mesh.draw()?;
    for (number, (name, line)) in lines.iter().enumerate() {
        let colour = colour(number);
        let drawn = chart.draw_series(LineSeries::new(line.iter().copied(), &colour))?;
        drawn.label(*name).legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], colour));
    }
    let labels = &mut chart.configure_series_labels();
    labels.position(SeriesLabelPosition::UpperRight);
    labels.background_style(WHITE.mix(0.8)).border_style(BLACK).draw()?;
    Ok(())
}

/// Returns the colour of a node: each has another hue.
fn colour(number: usize) -> RGBColor {
    let (red, green, blue) = HSLColor((number as f64 * 0.381_966) % 1.0, 0.75, 0.42).rgb();
    RGBColor(red, green, blue)
}

fn line(rows: &[Row], of: fn(&Point) -> f64) -> Line {
    let points: Line = rows
        .iter()
        .filter_map(|row| Some((row.at.as_secs_f64(), of(&row.lanes.as_ref()?[PUBSUB]))))
        .collect();
    let stretch = points.len().div_ceil(POINTS_MAX).max(1);
    let highest = |points: &[(f64, f64)]| points.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1));
    points.chunks(stretch).filter_map(highest).collect()
}

/// Returns how many lines of at least two points a picture has for a node: one in each chart, where it was
/// seen at all.
pub fn lines_of(svg: &str, number: usize) -> usize {
    let RGBColor(red, green, blue) = colour(number);
    let stroke = format!("stroke=\"#{red:02X}{green:02X}{blue:02X}\"");
    let is_line = |element: &&str| {
        let points = element.split("points=\"").nth(1).and_then(|rest| rest.split('"').next());
        let count = points.map_or(0, |points| points.split_whitespace().count());
        element.contains(&stroke) && count >= 2
    };
    // One more for each is the legend's.
    svg.split("<polyline").skip(1).filter(is_line).count().saturating_sub(CHARTS)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn rows(count: u64, is_seen: bool) -> Vec<Row> {
        let point =
            |at| Point { fullest_pct: at as f64 % 90.0, sending_pct: 1.0, dwell_p99_us: at * at };
        let row = |at: u64| Row {
            at: Duration::from_millis(300 * at),
            lanes: is_seen.then(|| [point(at); 4]),
            ..Row::default()
        };
        (0..count).map(row).collect()
    }

    #[test]
    fn a_picture_has_a_line_in_each_chart_for_each_node_that_was_seen() {
        let (short, long, never) = (rows(5, true), rows(5_000, true), rows(5, false));
        let svg =
            draw("a run", &[("node-0", &short), ("node-1", &long), ("node-2", &never)]).unwrap();
        assert_eq!([0, 1, 2].map(|number| lines_of(&svg, number)), [3, 3, 0], "{svg}");
        assert!(svg.contains("node-1") && svg.len() < 200_000, "{}", svg.len());
    }

    #[test]
    fn a_peak_is_not_lost_between_points() {
        let mut rows = rows(5_000, true);
        rows[2_501].lanes.as_mut().unwrap()[PUBSUB].fullest_pct = 99.5;
        let line = line(&rows, |point| point.fullest_pct);
        assert!(line.len() <= POINTS_MAX && line.iter().any(|(_, pct)| *pct == 99.5));
    }
}
