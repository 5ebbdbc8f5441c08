//! The problems of a task: from the first of its sources that can be read, checked against its pin.

use super::{Task, TaskError};
use crate::kinship::Originals;
use crate::problem::{Problem, ProblemSet};
use crate::source::{Library, Source, Unread};

impl Task {
    /// All problems from the first source that can be read, checked against its pin.
    ///
    /// # Errors
    /// [`TaskError::Absent`], [`TaskError::Broken`] or [`TaskError::Changed`].
    pub fn problems(&self, library: &Library) -> Result<ProblemSet, TaskError> {
        // What is here already comes before what must be fetched.
        let (here, elsewhere): (Vec<&Source>, _) = self.sources.iter().partition(|s| s.is_at_hand(library));
        let mut absent = Vec::new();
        for source in here.into_iter().chain(elsewhere) {
            match self.read(source, library) {
                Ok(problems) => return self.pinned(source, problems),
                Err(Unread::Absent(reason)) => absent.push(reason),
                Err(Unread::Broken(message)) => {
                    return Err(TaskError::Broken { name: self.name.clone(), message });
                }
            }
        }
        Err(self.absent(&absent, library))
    }

    fn read(&self, source: &Source, library: &Library) -> Result<Vec<Problem>, Unread> {
        let mut problems = source.problems(&self.name, library)?;
        if let Some((task, column)) = source.seed_column() {
            self.find_seeds(&mut problems, task, &source.column(column, library)?, library)?;
        }
        Ok(problems)
    }

    /// Finds the problems of another task that these are variations of.
    fn find_seeds(
        &self,
        problems: &mut [Problem],
        task: &str,
        texts: &[String],
        library: &Library,
    ) -> Result<(), Unread> {
        let seeds = Self::open(task).and_then(|task| task.problems(library));
        let seeds = seeds.map_err(|error| Unread::Absent(error.to_string()))?;
        let originals = Originals::new(seeds.problems());
        for (problem, text) in problems.iter_mut().zip(texts) {
            problem.variant_of = originals.of(text).map(str::to_owned);
        }
        Ok(())
    }

    fn pinned(&self, source: &Source, problems: Vec<Problem>) -> Result<ProblemSet, TaskError> {
        let set = ProblemSet::new(problems);
        match &source.sha256 {
            Some(pinned) if pinned != set.sha256() => Err(TaskError::Changed {
                name: self.name.clone(),
                found: set.sha256().to_owned(),
                pinned: pinned.clone(),
            }),
            _ => Ok(set),
        }
    }

    fn absent(&self, reasons: &[String], library: &Library) -> TaskError {
        let folder = library.folder.as_ref().map_or("DIR".into(), |folder| folder.display().to_string());
        let remedy = format!("put one of these files into {folder} and give --data {folder} or ISOCOST_DATA");
        TaskError::Absent { name: self.name.clone(), reason: reasons.join("; "), remedy }
    }

    /// A seeded random subset of `limit` problems, in set order; all of them if there are no more.
    ///
    /// # Errors
    /// As [`Task::problems`].
    pub fn subset(&self, limit: usize, seed: u64, library: &Library) -> Result<ProblemSet, TaskError> {
        Ok(self.problems(library)?.subset(limit, seed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::Place;
    use crate::task::tests::task;

    fn here() -> Library<'static> {
        Library::default()
    }

    #[test]
    fn problems_that_share_an_id_and_files_without_problems_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let task = task(
            "\"{question}\"",
            "from = { path = \"p.jsonl\" }\nfields = { id = \"i\", question = \"q\", gold = \"a\" }",
        );
        let library = Library { folder: Some(folder.path().to_owned()), fetch: None };
        let row = |id: &str| format!("{{\"i\":\"{id}\",\"q\":\"?\",\"a\":\"1\"}}\n");
        for (text, said) in [
            (row("a") + &row("a"), "p.jsonl: row 2: id `a` is row 1's too"),
            (String::new(), "holds no problem"),
        ] {
            std::fs::write(folder.path().join("p.jsonl"), text).unwrap();
            let refused = task.problems(&library).unwrap_err().to_string();
            assert!(refused.contains(said), "{refused}");
        }
    }

    #[test]
    fn every_generated_built_in_task_is_pinned_and_still_gives_the_pinned_problems() {
        let generated = Task::names()
            .map(|name| Task::open(name).unwrap())
            .filter(|task| task.sources.iter().any(|s| matches!(s.from, Place::Generator(_))));
        let pins: Vec<_> = generated
            .map(|task| {
                let unpinned = Task {
                    sources: vec![Source { sha256: None, ..task.sources[0].clone() }],
                    ..task.clone()
                };
                let found = unpinned.problems(&here()).unwrap().sha256().to_owned();
                (task.name, task.sources[0].sha256.clone().unwrap_or_default(), found)
            })
            .collect();
        assert!(pins.len() >= 10);
        let changed: Vec<_> = pins.iter().filter(|(_, pinned, found)| pinned != found).collect();
        assert!(changed.is_empty(), "task, pinned, found: {changed:#?}");
    }

    #[test]
    fn a_subset_is_random_but_the_same_for_the_same_seed() {
        let task = Task::open("countdown-3").unwrap();
        let subset = |seed| task.subset(20, seed, &here()).unwrap();
        assert_eq!(subset(1), subset(1));
        assert_ne!(subset(1), subset(2));
        let all = task.problems(&here()).unwrap();
        assert_ne!(subset(1).problems(), &all.problems()[..20]);
        assert_eq!(task.subset(usize::MAX, 1, &here()).unwrap(), all);
    }

    #[test]
    fn problems_are_read_from_the_first_source_that_is_at_hand() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("sets")).unwrap();
        std::fs::write(folder.path().join("sets/t.jsonl"), "{\"q\": \"1+1?\", \"a\": \"so #### 2\"}\n")
            .unwrap();
        let library = Library { folder: Some(folder.path().to_owned()), fetch: None };
        let fields = "fields = { question = \"q\", gold = { column = \"a\", after = \"####\" } }";
        let hub = "from = { hub = { repository = \"o/n\", revision = \"abc\", file = \"t.parquet\" } }";
        let task = task(
            "{question}",
            &format!("{hub}\n{fields}\n[[sources]]\nfrom = {{ path = \"sets/t.jsonl\" }}\n{fields}"),
        );
        let problems = task.problems(&library).unwrap();
        assert_eq!(problems.problems()[0].gold, "2");
        let error = task.problems(&here()).unwrap_err().to_string();
        assert!(error.contains("huggingface.co/datasets/o/n") && error.contains("ISOCOST_DATA"), "{error}");
    }

    #[test]
    fn problems_that_differ_from_the_pinned_ones_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("t.csv"), "q,a\n1+1?,2\n").unwrap();
        let library = Library { folder: Some(folder.path().to_owned()), fetch: None };
        let source = |pin: &str| {
            format!(
                "from = {{ path = \"t.csv\" }}\nfields = {{ question = \"q\", gold = \"a\" }}\nsha256 = \"{pin}\""
            )
        };
        let error = task("{question}", &source("00")).problems(&library).unwrap_err();
        let TaskError::Changed { found, .. } = error else { panic!("{error}") };
        assert_eq!(task("{question}", &source(&found)).problems(&library).unwrap().problems().len(), 1);
    }
}
