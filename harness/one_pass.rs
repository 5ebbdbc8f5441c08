//! What sampling once saves: the whole grid from one pass, against every cell by itself, both really run.
//!
//! Same problems, same seeds, same batches of rows. A budget and n is run once by itself, since all
//! strategies choose from the same completions. The answers must be the same ones, which is checked on the way.

use std::collections::HashMap;
use std::ops::ControlFlow;

use serde::{Deserialize, Serialize};

use crate::cell::Budget;
use crate::engine::{Engine, EngineError, Generated, Job, Settings};
use crate::rounding::{grouped, significant};
use crate::table::{Column, Table};

/// Tokens sampled and seconds taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spent {
    /// Tokens sampled.
    pub tokens: u64,
    /// Seconds, from tokens in to tokens out; grading and writing are not in them.
    pub seconds: f64,
}

/// One model on one task.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnePass {
    /// The model's name.
    pub model: String,
    /// The task's name.
    pub task: String,
    /// Pairs of a budget and an n.
    pub cells: usize,
    /// For all of them from one pass.
    pub together: Spent,
    /// For each of them by itself, added up.
    pub one_by_one: Spent,
    /// Answers that were compared.
    pub answers: usize,
    /// Answers that were not the same tokens.
    pub different_answers: usize,
}

/// Token ids of answers, by job, trajectory and the budget they were recorded under.
type Answers = HashMap<(usize, u32, Budget), Vec<u32>>;

/// Runs the grid of `settings.budgets` and `ns` in one pass, and then cell by cell. `jobs` ask for the largest n.
///
/// # Errors
/// If the engine fails.
pub fn measure(
    engine: &mut dyn Engine,
    (model, task): (&str, &str),
    jobs: &[Job],
    settings: &Settings,
    ns: &[u32],
) -> Result<OnePass, EngineError> {
    let (together, grid) = sample(engine, jobs, settings)?;
    let (mut one_by_one, mut answers, mut different_answers) = (Spent::default(), 0, 0);
    for budget in &settings.budgets {
        let alone = Settings { budgets: vec![*budget], ..settings.clone() };
        for n in ns {
            let (spent, cell) = sample(engine, &first(jobs, *n), &alone)?;
            one_by_one.tokens += spent.tokens;
            one_by_one.seconds += spent.seconds;
            answers += cell.len();
            different_answers += cell.iter().filter(|(key, ids)| grid.get(key) != Some(ids)).count();
        }
    }
    Ok(OnePass {
        model: model.into(),
        task: task.into(),
        cells: settings.budgets.len() * ns.len(),
        together,
        one_by_one,
        answers,
        different_answers,
    })
}

/// The same jobs with their first `n` trajectories.
fn first(jobs: &[Job], n: u32) -> Vec<Job> {
    let cut = |job: &Job| Job {
        trajectories: job.trajectories.iter().copied().take(n as usize).collect(),
        ..job.clone()
    };
    jobs.iter().map(cut).collect()
}

fn sample(
    engine: &mut dyn Engine,
    jobs: &[Job],
    settings: &Settings,
) -> Result<(Spent, Answers), EngineError> {
    let mut answers = Answers::new();
    let activity = engine.sample(jobs, settings, &mut |generated: Generated| {
        for answer in generated.answers {
            answers.insert((generated.job, generated.trajectory, answer.budget), answer.ids);
        }
        ControlFlow::Continue(())
    })?;
    let seconds = activity.wall_s - activity.handing_over_s;
    Ok((Spent { tokens: activity.sampled_tokens, seconds }, answers))
}

impl OnePass {
    /// How many times fewer tokens and seconds one pass takes.
    pub fn times(&self) -> (f64, f64) {
        let (one_by_one, together) = (self.one_by_one, self.together);
        (one_by_one.tokens as f64 / together.tokens as f64, one_by_one.seconds / together.seconds)
    }
}

/// All models and tasks added up.
pub fn total(parts: &[OnePass]) -> OnePass {
    let mut total = OnePass {
        model: "all".into(),
        task: String::new(),
        cells: 0,
        together: Spent::default(),
        one_by_one: Spent::default(),
        answers: 0,
        different_answers: 0,
    };
    for part in parts {
        total.cells += part.cells;
        total.answers += part.answers;
        total.different_answers += part.different_answers;
        for (sum, spent) in [(&mut total.together, part.together), (&mut total.one_by_one, part.one_by_one)] {
            sum.tokens += spent.tokens;
            sum.seconds += spent.seconds;
        }
    }
    total
}

/// One line for each model and task, and their sum.
pub fn table(parts: &[OnePass]) -> Table {
    let columns = vec![
        Column::text("model"),
        Column::text("task"),
        Column::number("cells", ""),
        Column::number("tokens", "one pass"),
        Column::number("tokens", "one by one"),
        Column::number("fewer", "times"),
        Column::number("time", "one pass, s"),
        Column::number("time", "one by one, s"),
        Column::number("faster", "times"),
    ];
    let all = total(parts);
    let shown = parts.iter().chain((parts.len() > 1).then_some(&all));
    let equal = match all.different_answers {
        0 => format!("All {} answers are the same tokens both ways.", grouped(all.answers as u64)),
        different => format!("{different} of {} answers differ!", grouped(all.answers as u64)),
    };
    Table {
        caption: "The whole grid from one pass, against every cell by itself".into(),
        columns,
        rows: shown.map(entries).collect(),
        footnotes: vec![equal],
    }
}

fn entries(part: &OnePass) -> Vec<String> {
    let (fewer, faster) = part.times();
    vec![
        part.model.clone(),
        part.task.clone(),
        part.cells.to_string(),
        grouped(part.together.tokens),
        grouped(part.one_by_one.tokens),
        significant(fewer),
        significant(part.together.seconds),
        significant(part.one_by_one.seconds),
        significant(faster),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cell::Policy;
    use crate::engine::{Activity, GeneratedAnswer, Sampling, Sink};
    use crate::trajectory::Thought;

    /// Thinks for ever; an answer is its budget, in one token. A second a token.
    struct Clock {
        lies_alone: bool,
    }

    impl Engine for Clock {
        fn sample(
            &mut self,
            jobs: &[Job],
            settings: &Settings,
            sink: &mut Sink,
        ) -> Result<Activity, EngineError> {
            let mut activity = Activity::default();
            for (job, trajectory) in
                jobs.iter().enumerate().flat_map(|(i, job)| job.trajectories.iter().map(move |t| (i, *t)))
            {
                let lie = u32::from(self.lies_alone && settings.budgets.len() == 1);
                let answers: Vec<GeneratedAnswer> =
                    settings.budgets.iter().map(|budget| answer(*budget, lie)).collect();
                let longest = answers.iter().map(|a| a.reasoning_tokens).max().unwrap_or(0);
                activity.sampled_tokens += u64::from(longest) + answers.len() as u64;
                let _ = sink(generated(job, trajectory, answers));
            }
            activity.wall_s = activity.sampled_tokens as f64 + 1.0;
            activity.handing_over_s = 1.0;
            Ok(activity)
        }

        fn prompt_tokens(&self, _: &Job) -> Result<usize, EngineError> {
            Ok(1)
        }
    }

    fn answer(budget: Budget, lie: u32) -> GeneratedAnswer {
        let Budget::Tokens(tokens) = budget else { unreachable!() };
        GeneratedAnswer {
            budget,
            forced: true,
            reasoning_tokens: tokens,
            text: String::new(),
            ids: vec![tokens + lie],
            answer_tokens: 1,
            complete: true,
            logprob_sum: Some(0.0),
            logprobs: vec![0.0],
            reasoning_s: 0.0,
            answer_s: 0.0,
        }
    }

    fn generated(job: usize, trajectory: u32, answers: Vec<GeneratedAnswer>) -> Generated {
        Generated {
            job,
            trajectory,
            prompt_tokens: 1,
            prompt_s: 0.0,
            reasoning: String::new(),
            reasoning_tokens: 0,
            reasoning_ids: vec![],
            reasoning_logprobs: vec![],
            thought: Thought::Cut,
            chain_s: 0.0,
            answers,
        }
    }

    fn measured(lies_alone: bool) -> OnePass {
        let settings = Settings {
            budgets: [10, 20, 40].map(Budget::Tokens).into(),
            policy: Policy::ForceAnswer,
            answer_tokens: 8,
            waits: 0,
            sampling: Sampling { temperature: 0.0, top_k: None, top_p: None, min_p: None },
            seed: 1,
        };
        let job = Job {
            problem: "p".into(),
            instructions: String::new(),
            question: String::new(),
            trajectories: (0..4).collect(),
        };
        measure(&mut Clock { lies_alone }, ("m", "t"), &[job], &settings, &[1, 4]).unwrap()
    }

    #[test]
    fn both_ways_are_counted_in_tokens_and_seconds_without_the_handing_over() {
        let measured = measured(false);
        // Four trajectories of 40 tokens and three answers; five completions at each budget alone.
        assert_eq!(measured.together, Spent { tokens: 4 * 43, seconds: 172.0 });
        assert_eq!(measured.one_by_one, Spent { tokens: 5 * (11 + 21 + 41), seconds: 365.0 });
        assert_eq!((measured.cells, measured.answers, measured.different_answers), (6, 15, 0));
        let text = table(&[measured.clone(), measured]).terminal();
        assert!(text.contains("All 30 answers are the same") && text.contains("2.12"), "{text}");
    }

    #[test]
    fn answers_that_differ_are_counted_and_said() {
        let measured = measured(true);
        assert_eq!(measured.different_answers, 15);
        assert!(table(&[measured]).terminal().contains("15 of 15 answers differ!"));
    }
}
