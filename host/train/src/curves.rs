//! Pictures of how numbers change over the steps.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use plotters::prelude::*;
use plotters::style::register_font;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use rayon::prelude::*;

use crate::metrics::Numbers;
use crate::tensorboard::tag;
use crate::{Error, Result};

const SIZE: (u32, u32) = (1600, 1000);
const FONT: &str = "curves";
/// ms-swift's colours.
const LINE: RGBColor = RGBColor(0xFF, 0x70, 0x43);
const FAINT_LINE: RGBColor = RGBColor(0xFF, 0xCF, 0xBF);
const TEXT: RGBColor = RGBColor(0x33, 0x33, 0x33);
const GRID: RGBColor = RGBColor(0xE4, 0xE4, 0xE4);

/// What is drawn with a smoothed line, and how smooth.
const SMOOTHED: &str = "train/loss";
const SMOOTHING: f64 = 0.9;

/// What a single log line has to say, which makes no curve.
const NO_CURVE: &str = "train_runtime";

/// Draws a PNG for each number in `history` into `folder`: `train_loss.png`, `eval_loss.png`.
///
/// # Errors
/// If a file can't be written.
pub(crate) fn draw(folder: &Path, history: &[Numbers]) -> Result<()> {
    let series = collect(history);
    if series.is_empty() {
        return Ok(());
    }
    fs::create_dir_all(folder).map_err(Error::write(folder))?;
    series.par_iter().try_for_each(|(tag, points)| {
        let path = folder.join(file_name(tag));
        draw_one(&path, tag, points).map_err(|error| Error::write(&path)(std::io::Error::other(error)))
    })
}

type Points = Vec<(f64, f64)>;

fn collect(history: &[Numbers]) -> BTreeMap<String, Points> {
    let mut series: BTreeMap<String, Points> = BTreeMap::new();
    for line in history.iter().filter(|line| !line.contains_key(NO_CURVE)) {
        let Some(step) = line.get("step").and_then(serde_json::Value::as_f64) else { continue };
        for (name, value) in line.iter().filter(|(name, _)| *name != "step") {
            if let Some(value) = value.as_f64() {
                series.entry(tag(name)).or_default().push((step, value));
            }
        }
    }
    series
}

fn file_name(tag: &str) -> String {
    let safe = |letter: char| if letter.is_alphanumeric() || "_-()".contains(letter) { letter } else { '_' };
    format!("{}.png", tag.chars().map(safe).collect::<String>())
}

/// An exponential mean over the past, corrected for its start, as TensorBoard has it.
fn smooth(points: &[(f64, f64)]) -> Points {
    let (mut sum, mut weight) = (0.0, 0.0);
    let next = |&(step, value)| {
        sum = sum * SMOOTHING + value;
        weight = weight * SMOOTHING + 1.0;
        (step, sum / weight)
    };
    points.iter().map(next).collect()
}

/// The least interval with `values` and a little room around them.
fn range(values: impl Iterator<Item = f64> + Clone) -> std::ops::Range<f64> {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    let room = match high - low {
        0.0 if low == 0.0 => 1.0,
        0.0 => low.abs() * 0.1,
        span => span * 0.05,
    };
    low - room..high + room
}

/// A number in as few digits as tell the marks of an axis of this length apart.
fn label(value: f64, span: f64) -> String {
    if value.abs() < span * 1e-6 {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&span) {
        return format!("{value:.1e}").replace(".0e", "e");
    }
    let digits = (2.0 - span.log10().floor()).max(0.0) as usize;
    let text = format!("{value:.digits$}");
    if digits == 0 { text } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() }
}

/// Makes the font known. plotters keeps fonts in a table of the process.
fn load_font() -> Result<(), String> {
    static LOADED: LazyLock<bool> =
        LazyLock::new(|| register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT).is_ok());
    if *LOADED { Ok(()) } else { Err("the built-in font is damaged".into()) }
}

fn draw_one(path: &Path, title: &str, points: &[(f64, f64)]) -> Result<(), String> {
    load_font()?;
    let text = |size: u32| (FONT, size).into_text_style(&SIZE).color(&TEXT);
    let area = BitMapBackend::new(path, SIZE).into_drawing_area();
    area.fill(&WHITE).map_err(said)?;
    let heading = text(48).pos(Pos::new(HPos::Center, VPos::Center));
    area.draw(&Text::new(title.to_owned(), (SIZE.0 as i32 / 2, 52), heading)).map_err(said)?;
    let (steps, values) =
        (range(points.iter().map(|point| point.0)), range(points.iter().map(|point| point.1)));
    let (long, tall) = (steps.end - steps.start, values.end - values.start);
    let mut chart = ChartBuilder::on(&area)
        .margin_top(100)
        .margin_bottom(30)
        .margin_left(30)
        .margin_right(60)
        .x_label_area_size(90)
        .y_label_area_size(150)
        .build_cartesian_2d(steps, values)
        .map_err(said)?;
    chart
        .configure_mesh()
        .bold_line_style(GRID.stroke_width(2))
        .light_line_style(TRANSPARENT)
        .axis_style(TEXT.stroke_width(2))
        // plotters puts labels a little high.
        .y_label_offset(6)
        .x_labels(8)
        .y_labels(8)
        .x_label_formatter(&|step| label(*step, long.max(100.0)))
        .y_label_formatter(&|value| label(*value, tall))
        .x_desc("step")
        .label_style(text(30))
        .axis_desc_style(text(32))
        .draw()
        .map_err(said)?;
    if let [point] = points {
        chart.draw_series([Circle::new(*point, 8, LINE.filled())]).map_err(said)?;
    } else if title == SMOOTHED {
        let legend =
            |color: RGBColor| move |(x, y)| PathElement::new([(x, y), (x + 50, y)], color.stroke_width(5));
        let original = LineSeries::new(points.iter().copied(), FAINT_LINE.stroke_width(3));
        chart.draw_series(original).map_err(said)?.label("original").legend(legend(FAINT_LINE));
        let smoothed = LineSeries::new(smooth(points), LINE.stroke_width(5));
        chart.draw_series(smoothed).map_err(said)?.label("smoothed").legend(legend(LINE));
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperRight)
            .margin(24)
            .legend_area_size(64)
            .background_style(WHITE.mix(0.9))
            .border_style(GRID.stroke_width(2))
            .label_font(text(30))
            .draw()
            .map_err(said)?;
    } else {
        chart.draw_series(LineSeries::new(points.iter().copied(), LINE.stroke_width(4))).map_err(said)?;
    }
    area.present().map_err(said)
}

fn said(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn line(value: serde_json::Value) -> Numbers {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn every_number_of_the_history_gets_a_picture() {
        let folder = tempfile::tempdir().unwrap();
        let history: Vec<Numbers> = (1..=60)
            .map(|step| {
                let noise = f64::from(step * 7919 % 13) / 20.0;
                line(json!({ "loss": 2.0 * (-f64::from(step) / 15.0).exp() + noise, "learning_rate": 1e-4 / f64::from(step),
                    "epoch": f64::from(step) / 20.0, "flat": 3, "broken": null, "step": step }))
            })
            .chain([line(json!({ "eval_rewards/margins": 0.25, "step": 60 }))])
            .chain([line(json!({ "train_runtime": 3.0, "train_loss": 0.5, "step": 60 }))])
            .collect();
        draw(folder.path(), &history).unwrap();
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        let expected =
            ["eval_rewards_margins", "train_epoch", "train_flat", "train_learning_rate", "train_loss"];
        assert_eq!(names, expected.map(|name| format!("{name}.png")));
        for name in names {
            let bytes = fs::read(folder.path().join(name)).unwrap();
            assert!(bytes.starts_with(b"\x89PNG") && bytes.len() > 5000);
        }
    }

    #[test]
    fn smoothing_is_that_of_tensorboard() {
        let smoothed = smooth(&[(1.0, 1.0), (2.0, 2.0), (3.0, 6.0)]);
        let expected = [1.0, (0.9 + 2.0) / 1.9, (0.81 + 1.8 + 6.0) / 2.71];
        assert!(
            smoothed.iter().zip(expected).all(|(got, expected)| (got.1 - expected).abs() < 1e-12),
            "{smoothed:?}"
        );
    }

    #[test]
    fn labels_are_as_short_as_the_axis_allows() {
        let labels =
            [(0.5, 2.0), (1234.0, 5000.0), (1e-4, 1e-4), (0.0012, 0.004), (1e-20, 1.0), (2.5e7, 3e7)];
        let written = labels.map(|(value, span)| label(value, span));
        assert_eq!(written, ["0.5", "1234", "1e-4", "0.0012", "0", "2.5e7"]);
    }
}
