//! Where a task's problems come from: the hub, an address, a file, or a generator.
//!
//! Reading is apart from fetching. A [`Place`] names a file; a [`Library`] knows where files are on this machine and may
//! know how to fetch those that are not. So everything here works, and is tested, without a network.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data_file;
use crate::fields::Fields;
use crate::generator::Generator;
use crate::problem::Problem;

/// One place that holds a task's problems.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The place.
    pub from: Place,
    /// Which columns make a problem; not for generators.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<Fields>,
    /// sha256 of the whole problem set as read from here; absent where nobody has checked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// A place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// A file of a data set on the Hugging Face hub.
    Hub(HubFile),
    /// A file at an address that never changes.
    Url(String),
    /// A file on this machine, relative to the data folder or else to the working directory.
    Path(PathBuf),
    /// Made, not read.
    Generator(Generator),
}

/// A file of a data set on the Hugging Face hub.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HubFile {
    /// `owner/name`.
    pub repository: String,
    /// A commit; a branch such as `main` moves.
    pub revision: String,
    /// Path inside the repository.
    pub file: String,
}

/// What brings a file to this machine.
pub trait Fetch {
    /// The path of a copy of the file of a [`Place::Hub`] or [`Place::Url`].
    ///
    /// # Errors
    /// Why it cannot be had, in one line.
    fn fetch(&self, place: &Place) -> Result<PathBuf, String>;
}

/// Where files are on this machine, and what brings the others.
#[derive(Clone, Default)]
pub struct Library<'a> {
    /// The data folder. A hub file lies under `owner/name/file`, an address under `host/path` (as `wget -x` leaves it).
    pub folder: Option<PathBuf>,
    /// Asked for what is not there.
    pub fetch: Option<&'a dyn Fetch>,
}

/// Why a source cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// The file is not on this machine.
    Absent(String),
    /// It is, but is not what the task says.
    Broken(String),
}

impl Library<'_> {
    /// The file of a place, if it is on this machine already.
    fn at_hand(&self, place: &Place) -> Option<PathBuf> {
        let in_folder = |name: &Path| self.folder.as_ref().map(|folder| folder.join(name));
        let is_file = |path: &PathBuf| path.is_file();
        match place {
            Place::Hub(hub) => in_folder(&Path::new(&hub.repository).join(&hub.file)).filter(is_file),
            Place::Url(url) => in_folder(Path::new(without_scheme(url))).filter(is_file),
            Place::Path(path) => {
                in_folder(path).filter(is_file).or_else(|| Some(path.clone()).filter(is_file))
            }
            Place::Generator(_) => None,
        }
    }

    fn file(&self, place: &Place) -> Result<PathBuf, Unread> {
        if let Some(path) = self.at_hand(place) {
            return Ok(path);
        }
        match (place, self.fetch) {
            (Place::Hub(_) | Place::Url(_), Some(fetch)) => fetch.fetch(place).map_err(Unread::Absent),
            _ => Err(Unread::Absent(format!("{place} is not on this machine"))),
        }
    }
}

impl Source {
    /// Whether it can be read without fetching.
    pub fn is_at_hand(&self, library: &Library) -> bool {
        matches!(self.from, Place::Generator(_)) || library.at_hand(&self.from).is_some()
    }

    /// All problems of the source; those without an id are numbered after `task`.
    pub(crate) fn problems(&self, task: &str, library: &Library) -> Result<Vec<Problem>, Unread> {
        if let Place::Generator(generator) = &self.from {
            return generator.problems().map_err(|m| Unread::Broken(format!("{}: {m}", self.from)));
        }
        let path = library.file(&self.from)?;
        let broken = |message: String| Unread::Broken(format!("{}: {message}", path.display()));
        let fields = self.fields.as_ref().ok_or_else(|| broken("the task names no `fields`".into()))?;
        let rows = data_file::rows(&path).map_err(broken)?;
        let problem = |(number, row)| {
            fields
                .problem(task, number, row)
                .map_err(|message| broken(format!("row {}: {message}", number + 1)))
        };
        let problems = rows.iter().enumerate().map(problem).collect::<Result<Vec<_>, _>>()?;
        check_distinct(&problems).map_err(broken)?;
        Ok(problems)
    }

    /// The column that seed problems of another task are recognised by, with that task's name.
    pub(crate) fn seed_column(&self) -> Option<(&str, &str)> {
        match self.fields.as_ref()?.variant_of.as_ref()? {
            crate::fields::Seed::Like { task, like } => Some((task, like)),
            crate::fields::Seed::Column(_) => None,
        }
    }

    /// The texts of one column, row by row.
    pub(crate) fn column(&self, column: &str, library: &Library) -> Result<Vec<String>, Unread> {
        let path = library.file(&self.from)?;
        let rows = data_file::rows(&path).map_err(Unread::Broken)?;
        rows.iter().map(|row| crate::fields::text(row, column).map_err(Unread::Broken)).collect()
    }
}

impl Place {
    /// Whether something can come from there, else what is wrong.
    pub(crate) fn check(&self) -> Result<(), String> {
        match self {
            Self::Generator(generator) => generator.check(),
            _ => Ok(()),
        }
    }

    /// A task's file may come from anybody: the places that it names on this machine are inside the folders that are meant for it.
    pub(crate) fn leads_out(&self) -> bool {
        let is_inside = |name: &str| {
            let mut parts = Path::new(name).components();
            !name.is_empty() && parts.all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        };
        match self {
            Self::Hub(hub) => {
                ![&hub.repository, &hub.revision, &hub.file].into_iter().all(|name| is_inside(name))
            }
            Self::Url(url) => !is_inside(without_scheme(url)),
            Self::Path(path) => !path.to_str().is_some_and(is_inside),
            Self::Generator(_) => false,
        }
    }
}

/// Records are found by a problem's id, so no two share one; and a set without problems measures nothing.
fn check_distinct(problems: &[Problem]) -> Result<(), String> {
    let mut rows = HashMap::new();
    for (row, problem) in problems.iter().enumerate() {
        if let Some(earlier) = rows.insert(&problem.id, row) {
            return Err(format!("row {}: id `{}` is row {}'s too", row + 1, problem.id, earlier + 1));
        }
    }
    if problems.is_empty() { Err("holds no problem".into()) } else { Ok(()) }
}

fn without_scheme(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, rest)| rest)
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hub(HubFile { repository, revision, file }) => {
                let short = revision.get(..12).unwrap_or(revision);
                write!(f, "huggingface.co/datasets/{repository} at {short}, {file}")
            }
            Self::Url(url) => f.write_str(url),
            Self::Path(path) => write!(f, "{}", path.display()),
            Self::Generator(generator) => write!(f, "generated: {}", generator.name()),
        }
    }
}
