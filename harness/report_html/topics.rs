//! The topics of the page: what is said of each, its pictures and its tables.

use serde::Serialize;

use super::{CHECKED, Waited};
use crate::figures::{Figure, Topic};
use crate::report_md::Report;
use crate::table::Table;

/// What the page says of a topic, and which pictures belong to it.
#[derive(Serialize)]
struct TopicText {
    id: &'static str,
    title: &'static str,
    lead: &'static str,
    /// Why there is nothing, and what to do about it.
    absent: &'static str,
    #[serde(skip)]
    pictures: &'static [Topic],
}

const NO_SURFACE: &str =
    "The run has no surface. `isocost verify RUN` measures one, and this section appears.";

/// In the order of the page, which names them by their places.
const TOPICS: [TopicText; 6] = [
    TopicText {
        id: "cost",
        title: "What accuracy costs",
        lead: "Every cell of the sweep by what it costs and what it reaches, and what thinking longer adds.",
        absent: "No cell has an accuracy.",
        pictures: &[Topic::Plane, Topic::Tokens],
    },
    TopicText {
        id: "split",
        title: "Thinking longer or sampling more",
        lead: "The same money can buy one long thought or several short ones.",
        absent: "Needs a model with at least two budgets and a strategy that chooses among n completions.",
        pictures: &[Topic::Grid, Topic::Serial],
    },
    TopicText {
        id: "waiting",
        title: "Waiting",
        lead: "What a user waits, with the percentiles that are felt.",
        absent: NO_SURFACE,
        pictures: &[Topic::Waiting],
    },
    TopicText {
        id: "device",
        title: "The device",
        lead: "What a step costs, and how near it comes to what the device can do.",
        absent: NO_SURFACE,
        pictures: &[Topic::Device],
    },
    TopicText {
        id: "checked",
        title: CHECKED,
        lead: "Cells run again by themselves, against what the one pass recorded and the surface predicted.",
        absent: "The run was not verified. `isocost verify RUN` runs some of its cells alone and compares.",
        pictures: &[Topic::Predicted],
    },
    TopicText { id: "economy", title: "What it took", lead: "", absent: "", pictures: &[Topic::Economy] },
];

/// Pictures and tables of one topic.
#[derive(Serialize)]
pub(super) struct TopicView<'a> {
    #[serde(flatten)]
    text: &'static TopicText,
    figures: Vec<FigureView<'a>>,
    /// Beside the pictures: a table for each task and model, and remarks.
    waited: &'a [Waited],
    remarks: &'a [String],
    tables: &'a [Table],
}

#[derive(Serialize)]
struct FigureView<'a> {
    name: &'a str,
    task: Option<&'a str>,
    model: Option<&'a str>,
    title: &'a str,
    description: &'a str,
    caption: &'a str,
}

/// Every topic with what this run has of it.
pub(super) fn topics<'a>(
    report: &'a Report,
    figures: &'a [Figure],
    waiting: &'a [Waited],
) -> Vec<TopicView<'a>> {
    let checked = report.sections.iter().find(|section| section.title == CHECKED);
    let checked = checked.map_or(&[][..], |section| &section.tables);
    let view = |text: &'static TopicText| {
        let figures = figures.iter().filter(|figure| text.pictures.contains(&figure.topic));
        let tables = if text.id == "checked" { checked } else { &[] };
        TopicView {
            text,
            figures: figures.map(figure_view).collect(),
            waited: if text.id == "waiting" { waiting } else { &[] },
            remarks: tables.first().map_or(&[][..], |table| &table.footnotes),
            tables,
        }
    };
    TOPICS.iter().map(view).collect()
}

fn figure_view(figure: &Figure) -> FigureView<'_> {
    FigureView {
        name: &figure.name,
        task: figure.task.as_deref(),
        model: figure.model.as_deref(),
        title: figure.picture.title(),
        description: figure.picture.subtitle(),
        caption: &figure.caption,
    }
}
