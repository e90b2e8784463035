//! The results as a picture: a bar for each row's ratio on a logarithmic scale, and a mark where its target lies.

use crate::contest::Figure;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

const ROW: i32 = 22;
const LEFT: i32 = 330;
const WIDTH: i32 = 900;
const TOP: i32 = 60;
/// Smallest and largest ratio that is drawn, as powers of ten.
const RANGE: (f64, f64) = (-2.5, 2.0);

fn x(ratio: f64) -> i32 {
    let power = ratio.max(1e-9).log10().clamp(RANGE.0, RANGE.1);
    LEFT + ((power - RANGE.0) / (RANGE.1 - RANGE.0) * f64::from(WIDTH - LEFT - 90)) as i32
}

/// Writes `results.svg`.
pub fn draw(figures: &[Figure], path: &Path) -> Result<(), String> {
    let height = TOP + ROW * figures.len() as i32 + 30;
    let root = SVGBackend::new(path, (WIDTH as u32, height as u32)).into_drawing_area();
    paint(&root, figures, height)
        .and_then(|()| root.present().map_err(|error| error.to_string()))
        .map_err(|error| format!("cannot draw {}: {error}", path.display()))
}

fn paint(
    root: &DrawingArea<SVGBackend<'_>, plotters::coord::Shift>,
    figures: &[Figure],
    height: i32,
) -> Result<(), String> {
    let failed = |error: DrawingAreaErrorKind<std::io::Error>| error.to_string();
    let font = |size: i32| TextStyle::from(("sans-serif", size).into_font()).color(&BLACK);
    root.fill(&WHITE).map_err(failed)?;
    let title = "Host calls: ours ÷ reference (logarithmic; dashes: the target)";
    root.draw(&Text::new(title, (10, 12), font(16)))
        .map_err(failed)?;
    for power in RANGE.0.ceil() as i32..=RANGE.1 as i32 {
        let at = x(10f64.powi(power));
        let color = if power == 0 {
            BLACK.to_rgba()
        } else {
            BLACK.mix(0.15)
        };
        root.draw(&PathElement::new(
            vec![(at, TOP - 6), (at, height - 24)],
            color,
        ))
        .map_err(failed)?;
        let label = format!("{}", 10f64.powi(power));
        root.draw(&Text::new(
            label,
            (at, TOP - 12),
            font(11).pos(Pos::new(HPos::Center, VPos::Bottom)),
        ))
        .map_err(failed)?;
    }
    for (row, figure) in figures.iter().enumerate() {
        let top = TOP + ROW * row as i32;
        let label = format!(
            "{} · {} {} / {}",
            figure.id, figure.guest, figure.road, figure.against
        );
        root.draw(&Text::new(
            label,
            (LEFT - 8, top + ROW / 2),
            font(12).pos(Pos::new(HPos::Right, VPos::Center)),
        ))
        .map_err(failed)?;
        let color = match figure.met {
            Some(true) => RGBColor(46, 125, 80),
            Some(false) => RGBColor(190, 60, 40),
            None => RGBColor(110, 120, 140),
        };
        let (from, to) = (x(1.0).min(x(figure.ratio)), x(1.0).max(x(figure.ratio)));
        root.draw(&Rectangle::new(
            [(from, top + 4), (to.max(from + 2), top + ROW - 4)],
            color.filled(),
        ))
        .map_err(failed)?;
        root.draw(&Text::new(
            format!("{:.3}", figure.ratio),
            (to + 6, top + ROW / 2),
            font(11).pos(Pos::new(HPos::Left, VPos::Center)),
        ))
        .map_err(failed)?;
        if let Some(target) = figure.target {
            for dash in 0..3 {
                let y = top + 1 + dash * 7;
                root.draw(&PathElement::new(
                    vec![(x(target), y), (x(target), y + 5)],
                    BLUE.stroke_width(2),
                ))
                .map_err(failed)?;
            }
        }
    }
    Ok(())
}
