//! A grid of amounts between 0 and 1, budget by n, with lines of equal cost and of equal accuracy across it.

use serde_json::{Value, json};

use super::axis::rounded;
use crate::escape;

/// A tile.
#[derive(Clone, Debug, PartialEq)]
pub struct Tile {
    /// How much, from 0 to 1.
    pub share: f64,
    /// What is written on it.
    pub label: String,
    /// What is shown on pointing at it.
    pub says: String,
}

/// A line of equal amounts: a row, between rows, for each column that it crosses.
#[derive(Clone, Debug, PartialEq)]
pub struct Contour {
    /// Its amount, with unit.
    pub label: String,
    /// Column and row, counted from the first tile's centre.
    pub points: Vec<(f64, f64)>,
}

/// A heat map.
#[derive(Clone, Debug, PartialEq)]
pub struct Heat {
    /// What it shows.
    pub title: String,
    /// How to read it.
    pub subtitle: String,
    /// Title and names of the columns.
    pub columns: (String, Vec<String>),
    /// Title and names of the rows, from the lowest.
    pub rows: (String, Vec<String>),
    /// By row and column; what was not measured is absent.
    pub tiles: Vec<Vec<Option<Tile>>>,
    /// Lines of equal cost.
    pub costs: Vec<Contour>,
    /// Lines of equal accuracy.
    pub accuracies: Vec<Contour>,
}

impl Heat {
    /// The heat map as the script reads it: columns and rows counted from the first tile's centre.
    pub(super) fn description(&self) -> Value {
        let gap =
            |contour: &Contour, is_last: bool| if is_last { contour.points.len().max(2) - 2 } else { 0 };
        let contours = |contours: &[Contour], is_last: bool| {
            contours.iter().map(|one| one.description(gap(one, is_last))).collect::<Vec<_>>()
        };
        json!({
            "kind": "heat",
            "title": escape::visible(&self.title),
            "subtitle": escape::visible(&self.subtitle),
            "columns": { "title": self.columns.0, "names": self.columns.1 },
            "rows": { "title": self.rows.0, "names": self.rows.1 },
            "tiles": self.placed().collect::<Vec<_>>(),
            "costs": contours(&self.costs, true),
            "accuracies": contours(&self.accuracies, false),
        })
    }

    fn placed(&self) -> impl Iterator<Item = Value> {
        let in_row = |(row, tiles): (usize, &'_ Vec<Option<Tile>>)| {
            let one = move |(column, tile): (usize, &Option<Tile>)| {
                let tile = tile.as_ref()?;
                let says = escape::visible_lines(&tile.says);
                Some(
                    json!({ "at": [column, row], "share": rounded(tile.share), "label": tile.label, "says": says }),
                )
            };
            tiles.iter().enumerate().filter_map(one).collect::<Vec<_>>()
        };
        self.tiles.iter().enumerate().flat_map(in_row)
    }
}

impl Contour {
    /// With its label in one of the gaps between its points, and between tiles, where no share is written.
    fn description(&self, gap: usize) -> Value {
        let points: Vec<[f64; 2]> = self.points.iter().map(|&(x, y)| [rounded(x), rounded(y)]).collect();
        let label_at = points.get(gap..gap + 2).map(|ends| {
            let middle = |axis: usize| (ends[0][axis] + ends[1][axis]) / 2.0;
            [middle(0), (middle(1) + 0.5).round() - 0.5]
        });
        json!({ "label": self.label, "label_at": label_at, "points": points })
    }
}

/// Where rising amounts, one a row, pass `level`, counted in rows; the logarithm of the amounts is straight in between.
pub fn crossing(amounts: &[Option<f64>], level: f64) -> Option<f64> {
    let pair = |at: usize| Some((at, (*amounts.get(at)?)?, (*amounts.get(at + 1)?)?));
    let crossed = |(_, low, high): &(usize, f64, f64)| *low <= level && level < *high && *low > 0.0;
    let (at, low, high) = (0..amounts.len()).filter_map(pair).find(crossed)?;
    Some(at as f64 + (level / low).ln() / (high / low).ln())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_crossed_between_the_rows_that_enclose_it() {
        assert_eq!(crossing(&[Some(1.0), Some(10.0), Some(1000.0)], 100.0), Some(1.5));
        assert_eq!(crossing(&[Some(1.0), None, Some(1000.0)], 100.0), None);
        assert_eq!(crossing(&[Some(1.0), Some(2.0)], 5.0), None);
    }

    #[test]
    fn a_contour_is_labelled_between_tiles() {
        let contour = Contour { label: "$1".into(), points: vec![(0.0, 1.2), (1.0, 0.9)] };
        assert_eq!(contour.description(0)["label_at"], json!([0.5, 1.5]));
    }

    #[test]
    fn a_tile_without_a_number_is_left_out() {
        let tile = |share| Some(Tile { share, label: format!("{share}"), says: String::new() });
        let heat = Heat {
            title: "t".into(),
            subtitle: String::new(),
            columns: ("c".into(), vec!["0".into(), "1".into()]),
            rows: ("r".into(), vec!["1".into()]),
            tiles: vec![vec![tile(0.5), None]],
            costs: vec![],
            accuracies: vec![],
        };
        assert_eq!(heat.description()["tiles"].as_array().map(Vec::len), Some(1));
    }
}
