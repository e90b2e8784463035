//! Results for people and for programs.

use crate::contest::{Figure, Target};
use std::path::Path;

fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 1000.0 => format!("{value:.0}"),
        v if v >= 10.0 => format!("{value:.1}"),
        v if v >= 0.1 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}

/// Head of the table.
pub fn head() -> String {
    let head = format!(
        "{:<16} {:<6} {:<8} {:<22} {:>10} {:>10} {:>10} {:>10} {:<12} {:>8}  {}",
        "what",
        "guest",
        "road",
        "against",
        "ours",
        "reference",
        "p99 ours",
        "p99 ref",
        "unit",
        "ratio",
        "target"
    );
    format!("{head}\n{}", "-".repeat(head.chars().count() + 8))
}

/// A row of the table.
pub fn line(figure: &Figure) -> String {
    let optional = |value: Option<f64>| value.map_or("–".to_owned(), number);
    let verdict = match (figure.aim, figure.met) {
        (Target::Added(_), Some(met)) => {
            let sign = if figure.added < 0.0 { '-' } else { '+' };
            let verdict = if met { "met" } else { "MISSED" };
            format!("{verdict} ({sign}{})", number(figure.added.abs()))
        }
        (_, Some(true)) => "met".to_owned(),
        (_, Some(false)) => "MISSED".to_owned(),
        (_, None) => String::new(),
    };
    format!(
        "{:<16} {:<6} {:<8} {:<22} {:>10} {:>10} {:>10} {:>10} {:<12} {:>8}  {} {verdict}",
        figure.id,
        figure.guest,
        figure.road,
        figure.against,
        number(figure.ours),
        number(figure.reference),
        optional(figure.ours_p99),
        optional(figure.reference_p99),
        figure.unit,
        number(figure.ratio),
        figure.aim,
    )
}

/// Writes `results.json`.
pub fn save(figures: &[Figure], path: &Path) -> Result<(), String> {
    let text = serde_json::to_string_pretty(figures).map_err(|error| error.to_string())?;
    std::fs::write(path, text + "\n")
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}
