//! What a calibration found, for a reader: typical steps beside their roofline, and how well the surface fits.

use crate::rounding::{ABSENT, percent, significant};
use crate::step::{Load, StepKind};
use crate::surface::{Point, Surface};
use crate::table::{Column, Table};

/// Typical steps: measured, predicted, and the best possible.
pub fn roofline_table(surface: &Surface) -> Table {
    let columns = vec![
        Column::text("step"),
        Column::number("rows", ""),
        Column::number("fed", "tokens"),
        Column::number("context", "tokens"),
        Column::number("measured", "ms"),
        Column::number("surface", "ms"),
        Column::number("forward", "ms"),
        Column::number("must move", "MB"),
        Column::number("must do", "MFLOP"),
        Column::number("roofline", "ms"),
        Column::text("bound by"),
        Column::number("reached", "%"),
    ];
    let name = &surface.name;
    let mut footnotes = Vec::new();
    if let Some(rates) = surface.rates {
        footnotes.push(format!(
            "Measured on this device: {} GB/s copied, {} GFLOP/s of products with matrices stored as {}.",
            significant(rates.copy_bytes_per_s / 1e9),
            significant(rates.matrix_flop_per_s / 1e9),
            name.dtype
        ));
        footnotes.push(
            "Reached is the roofline's share of the forward pass. A model that fits a cache may pass 100 %."
                .into(),
        );
    }
    Table {
        caption: format!("Steps of {} on {}, {}", name.model, name.device, name.dtype),
        columns,
        rows: typical(&surface.points).into_iter().map(|point| entries(surface, point)).collect(),
        footnotes,
    }
}

/// Prompts of each length, and decode steps of few, some and many rows at a short and a long context.
fn typical(points: &[Point]) -> Vec<&Point> {
    let mut chosen: Vec<&Point> = Vec::new();
    for point in points.iter().filter(|p| p.step.kind == StepKind::Prefill) {
        if !chosen.iter().any(|other| other.step.load == point.step.load) {
            chosen.push(point);
        }
    }
    chosen.sort_by_key(|point| point.step.load.fed_tokens);
    let plain = |point: &&Point| {
        let load = &point.step.load;
        point.step.kind == StepKind::Decode && load.forks == 0 && load.fed_tokens == load.rows
    };
    let mut decodes: Vec<&Point> = points.iter().filter(plain).collect();
    decodes.sort_by_key(|point| (point.step.load.rows, point.step.load.context_tokens));
    let mut rows: Vec<u32> = decodes.iter().map(|point| point.step.load.rows).collect();
    rows.dedup();
    for rows in spread(&rows) {
        let same: Vec<&&Point> = decodes.iter().filter(|p| p.step.load.rows == rows).collect();
        chosen.extend([same[0], same[same.len() - 1]]);
    }
    chosen
}

/// The first, the middle and the last.
fn spread(values: &[u32]) -> Vec<u32> {
    let Some(last) = values.len().checked_sub(1) else { return vec![] };
    let mut found = vec![values[0], values[last / 2], values[last]];
    found.dedup();
    found
}

fn entries(surface: &Surface, point: &Point) -> Vec<String> {
    let step = &point.step;
    let load = &step.load;
    let ms = |seconds: f64| significant(seconds * 1e3);
    let mut entries = vec![
        step.kind.name().to_owned(),
        load.rows.to_string(),
        load.fed_tokens.to_string(),
        (load.context_tokens / u64::from(load.rows.max(1))).to_string(),
        ms(step.seconds),
        ms(surface.cost.seconds(load)),
        ms(step.forward_s),
    ];
    entries.extend(bound(surface, load, step.forward_s));
    entries
}

fn bound(surface: &Surface, load: &Load, forward_s: f64) -> [String; 5] {
    let Some(bound) = surface.bound(load) else { return [const { ABSENT }; 5].map(String::from) };
    [
        significant(bound.bytes / 1e6),
        significant(bound.flop / 1e6),
        significant(bound.seconds * 1e3),
        if bound.by_bandwidth { "bandwidth" } else { "arithmetic" }.to_owned(),
        percent(bound.seconds / forward_s),
    ]
}

/// How the surface was measured and how well it fits, in sentences.
pub fn summary(surface: &Surface) -> Vec<String> {
    let repeats: Vec<u32> = surface.points.iter().map(|point| point.repeats).collect();
    let (fewest, most) = (repeats.iter().min().unwrap_or(&0), repeats.iter().max().unwrap_or(&0));
    let range = surface.range;
    let mut lines = vec![format!(
        "{} steps measured {fewest} to {most} times: up to {} rows, {} tokens fed, {} tokens of context.",
        repeats.len(),
        range.rows,
        range.fed_tokens,
        range.context_tokens
    )];
    lines.push(match &surface.held_out {
        Some(error) => format!(
            "Held out, the surface is off by {} % in the median, {} % for nine of ten, {} % at most ({} steps).",
            percent(error.median),
            percent(error.p90),
            percent(error.max),
            error.points
        ),
        None => "Too few workloads were measured within the time limit to hold any out.".into(),
    });
    lines.push(match &surface.energy {
        Some(energy) => format!(
            "Energy: {} W while busy and {} J for each fed token, from {} windows.",
            significant(energy.watts),
            significant(energy.joules_per_fed_token),
            surface.energy_points.len()
        ),
        None => "Energy: absent, no meter could be read.".into(),
    });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::roofline::Rates;
    use crate::surface::tests::{name, points};

    #[test]
    fn typical_steps_stand_beside_their_roofline() {
        let rates = Rates { copy_bytes_per_s: 1e10, matrix_flop_per_s: 1e11 };
        let surface =
            Surface::fit(name(), points(|load| 1e-3 * f64::from(load.fed_tokens)), Some(rates)).unwrap();
        let text = roofline_table(&surface).terminal();
        assert!(text.contains("10.0 GB/s copied, 100 GFLOP/s"), "{text}");
        assert!(text.contains("bandwidth") && text.contains("arithmetic"), "{text}");
        let lines = summary(&surface);
        assert!(
            lines[0].starts_with("128 steps measured 9 to 9 times: up to 64 rows, 1024 tokens fed"),
            "{lines:?}"
        );
        assert!(lines[2].contains("absent"), "{lines:?}");
    }
}
