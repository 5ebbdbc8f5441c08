//! A grid of amounts between 0 and 1, budget by n, with lines of equal cost and of equal accuracy across it.

use super::drawing::{Anchor, Drawing, LABEL, Pen, WIDTH, head_height};
use super::palette::Colour;

const LEFT: f64 = 58.0;
const RIGHT: f64 = WIDTH - 20.0;
const ROW: f64 = 33.0;
const BELOW: f64 = 46.0;
/// From this share on a tile is dark enough for light text.
const DARK: f64 = 0.6;

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
    /// The heat map, drawn.
    pub fn draw(&self) -> Drawing {
        let top = head_height(&self.subtitle) + 24.0;
        let bottom = top + ROW * self.rows.1.len() as f64;
        let mut pen = Pen::default();
        self.draw_tiles(&mut pen, bottom);
        let dash = " stroke-dasharray=\"5 4\"";
        self.draw_contours(&mut pen, bottom, (&self.accuracies, "equal accuracy", ""));
        self.draw_contours(&mut pen, bottom, (&self.costs, "equal cost", dash));
        self.draw_shares(&mut pen, bottom);
        self.draw_names(&mut pen, (top, bottom));
        pen.finish(&self.title, &self.subtitle, (head_height(&self.subtitle), bottom + BELOW))
    }

    fn width(&self) -> f64 {
        (RIGHT - LEFT) / self.columns.1.len().max(1) as f64
    }

    fn draw_tiles(&self, pen: &mut Pen, bottom: f64) {
        let width = self.width();
        for (row, tiles) in self.tiles.iter().enumerate() {
            for (column, tile) in tiles.iter().enumerate() {
                let Some(tile) = tile else { continue };
                let (x, y) = (LEFT + width * column as f64, bottom - ROW * (row + 1) as f64);
                pen.open_colour("tile", Colour::Heat, "");
                pen.tile((x + 0.5, y + 0.5, width - 1.0, ROW - 1.0), 0.05 + 0.9 * tile.share, &tile.says);
                pen.close();
            }
        }
    }

    fn draw_shares(&self, pen: &mut Pen, bottom: f64) {
        let width = self.width();
        for (row, tiles) in self.tiles.iter().enumerate() {
            for (column, tile) in tiles.iter().enumerate() {
                let Some(tile) = tile else { continue };
                let (x, y) = (LEFT + width * column as f64, bottom - ROW * (row + 1) as f64);
                let class = if tile.share > DARK { "on-dark" } else { "on-light" };
                let colour = if tile.share > DARK { "#fff" } else { Colour::Ink.on_paper() };
                pen.open(class, &format!(" color=\"{colour}\" pointer-events=\"none\""));
                pen.text(&tile.label, (x + width / 2.0, y + ROW / 2.0 + 4.0), LABEL, Anchor::Middle);
                pen.close();
            }
        }
    }

    fn draw_names(&self, pen: &mut Pen, (top, bottom): (f64, f64)) {
        let width = self.width();
        pen.open_colour("axis", Colour::Grey, "");
        for (at, name) in self.columns.1.iter().enumerate() {
            pen.text(name, (LEFT + width * (at as f64 + 0.5), bottom + 18.0), LABEL, Anchor::Middle);
        }
        for (at, name) in self.rows.1.iter().enumerate() {
            pen.text(name, (LEFT - 8.0, bottom - ROW * (at as f64 + 0.5) + 4.0), LABEL, Anchor::End);
        }
        pen.text(&self.columns.0, ((LEFT + RIGHT) / 2.0, bottom + 38.0), LABEL, Anchor::Middle);
        pen.text(&self.rows.0, (12.0, top - 14.0), LABEL, Anchor::Start);
        pen.close();
    }

    fn draw_contours(&self, pen: &mut Pen, bottom: f64, (contours, name, dash): (&[Contour], &str, &str)) {
        if contours.is_empty() {
            return;
        }
        pen.open_colour(
            "series contour",
            Colour::Model(1),
            &format!(" data-series=\"{name}\" pointer-events=\"none\""),
        );
        for contour in contours {
            let at = |&(column, row): &(f64, f64)| {
                (LEFT + self.width() * (column + 0.5), bottom - ROW * (row + 0.5))
            };
            let pixels: Vec<(f64, f64)> = contour.points.iter().map(at).collect();
            let [first, second, ..] = pixels[..] else { continue };
            pen.line(&pixels, 1.5, dash);
            // Between two tiles, where no share is written.
            let x = (first.0 + second.0) / 2.0;
            let y = bottom - ((bottom - (first.1 + second.1) / 2.0) / ROW).round() * ROW;
            let halo = " class=\"halo\" paint-order=\"stroke\" stroke=\"#fff\" stroke-width=\"3.5\" stroke-linejoin=\"round\"";
            pen.text_with(&contour.label, (x, y + 3.5), 10.5, Anchor::Middle, halo);
        }
        pen.close();
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
        assert_eq!(heat.draw().file().matches("class=\"pt\"").count(), 1);
    }
}
