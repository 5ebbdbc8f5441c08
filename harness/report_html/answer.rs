//! The answer first: of each task, the cheapest cell near the best, and what buys the most per dollar, joule and second.

use serde::Serialize;

use crate::bargain::{bargains, cheapest_answer, not_compared};
use crate::cell_tables::answers_per_price;
use crate::currency::Currency;
use crate::figures::cell_name;
use crate::report_md::{bargain_table, headline};
use crate::rounding::{amount, share};
use crate::row::Row;
use crate::table::{Column, Table};

/// A cell with this share of the best accuracy is near it.
const NEAR: f64 = 0.95;

/// What a task comes to.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    task: &'a str,
    /// The cheapest cell within a twentieth of the best accuracy.
    hero: Option<Hero>,
    headline: String,
    values: Table,
    levels: Table,
}

/// Two large numbers with their intervals.
#[derive(Serialize)]
struct Hero {
    cell: String,
    accuracy: (String, String),
    cost: (String, String),
    unit: String,
}

/// The answer for a task.
pub(super) fn answer<'a>(rows: &'a [Row], task: &'a str) -> Answer<'a> {
    let answers = answers_per_price(rows.iter());
    let found = bargains(rows, task);
    let mut levels = bargain_table(&found, answers);
    levels.caption = "The cheapest way to a share of the best accuracy".into();
    let hero =
        found.iter().take_while(|bargain| bargain.level >= NEAR).last().map(|bargain| hero(bargain.row));
    let said = [Some(headline(&found, answers, str::to_owned)), not_compared(rows, task)];
    let headline = capitalised(&said.into_iter().flatten().collect::<Vec<_>>().join(" "));
    Answer { task, hero, headline, values: values(rows, task), levels }
}

fn hero(row: &Row) -> Hero {
    let currency = if row.prices.is_empty() { Currency::DeviceSeconds } else { Currency::Dollars };
    let (cost, unit) = cost(currency, row);
    Hero {
        cell: cell_name(&row.cell),
        accuracy: parts(&share(row.accuracy.as_ref())),
        cost: parts(&cost),
        unit,
    }
}

/// A number and its interval, apart.
fn parts(text: &str) -> (String, String) {
    text.split_once(' ')
        .map_or((text.to_owned(), String::new()), |(value, rest)| (value.to_owned(), rest.to_owned()))
}

fn capitalised(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

/// The cell with the most accuracy per dollar, joule and second: whose correct answers are the cheapest.
fn values(rows: &[Row], task: &str) -> Table {
    let entries = |currency: Currency| {
        let of = |row: &Row| {
            let (cost, unit) = cost(currency, row);
            vec![
                format!("per {}", currency.one()),
                cell_name(&row.cell),
                share(row.accuracy.as_ref()),
                format!("{cost} {unit}"),
            ]
        };
        let absent = || vec![format!("per {}", currency.one()), why_absent(currency).to_owned()];
        cheapest_answer(rows, task, currency).map_or_else(absent, of)
    };
    Table {
        caption: "The most accuracy".into(),
        columns: vec![
            Column::text(""),
            Column::text("is bought by"),
            Column::number("accuracy", "95 % interval"),
            Column::number("a correct answer costs", "95 % interval"),
        ],
        rows: Currency::ALL.into_iter().map(entries).collect(),
        footnotes: vec![],
    }
}

fn why_absent(currency: Currency) -> &'static str {
    match currency {
        Currency::Dollars => "no price was given",
        Currency::Joules => "no energy meter could be read",
        Currency::DeviceSeconds => "no correct answer",
    }
}

/// What a correct answer costs, scaled so that it begins before the point, and for how many answers or in what unit.
fn cost(currency: Currency, row: &Row) -> (String, String) {
    let estimate = currency.per_correct(row);
    let value = estimate.map_or(1.0, |estimate| estimate.value);
    let (scale, sign, unit) = match currency {
        Currency::Dollars if value < 1e-4 => (1e6, "$", "per million"),
        Currency::Dollars if value < 0.1 => (1e3, "$", "per thousand"),
        Currency::Dollars => (1.0, "$", "each"),
        Currency::Joules if value < 0.1 => (1e3, "", "mJ"),
        Currency::Joules => (1.0, "", "J"),
        Currency::DeviceSeconds if value < 0.1 => (1e3, "", "ms"),
        Currency::DeviceSeconds => (1.0, "", "s"),
    };
    (format!("{sign}{}", amount(estimate, scale)), unit.into())
}
