//! Runs with a known truth: what each claim's statistic is tested against.
//!
//! A model is a curve: the accuracy it has at so many tokens, for a problem of so much ease. A trajectory draws one number
//! and is correct at every budget where that number is below the problem's accuracy, so budgets are nested as in a real
//! run. Problems differ around the curve without moving its mean.

use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::evidence::Evidence;
use super::lineup::{Contestant, Lineup, TaskFacts};
use super::registry::claims;
use super::verdict::{Finding, Verdict, finding};
use crate::cell::{Budget, Strategy};
use crate::model_facts::{Kind, Lineage, ModelFacts};
use crate::observations::Observations;
use crate::outcome::Outcome;
use crate::price::Verifier;
use crate::trajectory::{Answer, SCHEMA, Thought, Timing, Trajectory};

type Curve = Arc<dyn Fn(f64, f64) -> f64 + Send + Sync>;

const TASK: &str = "simulated";
const PERTURBED: &str = "simulated-perturbed";
const ANSWER_TOKENS: u32 = 8;

/// A run to be simulated.
pub(crate) struct Run {
    problems: usize,
    trajectories: u32,
    budgets: Vec<u32>,
    n: Vec<u32>,
    verifier_s: Option<f64>,
    /// Tasks with problems of their own and the same truth.
    tasks: usize,
    models: Vec<Model>,
}

struct Model {
    name: String,
    curve: Curve,
    perturbed: Option<Curve>,
    parameters: u64,
    lineage: Lineage,
    seconds_per_token: f64,
    slower_at_512: f64,
    time_jitter: f64,
    served_as: Option<String>,
}

fn task_name(at: usize) -> String {
    if at == 0 { TASK.to_owned() } else { format!("{TASK}-{at}") }
}

/// What a claim says of a run.
pub(crate) fn finding_of(id: &str, run: &Run) -> Finding {
    let (lineup, records) = (run.lineup(), run.records());
    let observations = Observations::of(&records);
    let claim = claims().into_iter().find(|claim| claim.id == id).expect("a claim of the registry");
    finding(&Evidence::new(&lineup, &observations), claim)
}

/// The verdict alone, with the numbers on stderr for a test that fails.
pub(crate) fn verdict_of(id: &str, run: &Run) -> Verdict {
    let found = finding_of(id, run);
    eprintln!("{id}: {:?} {:?} {:?}", found.verdict, found.estimate, found.missing);
    found.verdict
}

impl Run {
    pub(crate) fn new(problems: usize, trajectories: u32) -> Self {
        let n = [1, 2, 4, 8, 16, 32].into_iter().filter(|n| *n <= trajectories).collect();
        let budgets = vec![0, 32, 64, 128, 256, 512];
        Self { problems, trajectories, budgets, n, verifier_s: None, tasks: 1, models: Vec::new() }
    }

    pub(crate) fn model(
        mut self,
        name: &str,
        curve: impl Fn(f64, f64) -> f64 + Send + Sync + 'static,
    ) -> Self {
        self.models.push(Model {
            name: name.to_owned(),
            curve: Arc::new(curve),
            perturbed: None,
            parameters: 1_000_000,
            lineage: Lineage::default(),
            seconds_per_token: 1e-3,
            slower_at_512: 1.0,
            time_jitter: 0.05,
            served_as: None,
        });
        self
    }

    pub(crate) fn perturbed(mut self, curve: impl Fn(f64, f64) -> f64 + Send + Sync + 'static) -> Self {
        self.last().perturbed = Some(Arc::new(curve));
        self
    }

    pub(crate) fn budgets(self, budgets: &[u32]) -> Self {
        Self { budgets: budgets.to_vec(), ..self }
    }

    pub(crate) fn n(self, n: &[u32]) -> Self {
        Self { n: n.to_vec(), ..self }
    }

    /// The same again on so many tasks.
    pub(crate) fn tasks(self, tasks: usize) -> Self {
        Self { tasks, ..self }
    }

    /// A verifier that takes so many seconds for each answer.
    pub(crate) fn verifier(self, seconds: f64) -> Self {
        Self { verifier_s: Some(seconds), ..self }
    }

    pub(crate) fn kind(mut self, kind: Kind) -> Self {
        self.last().lineage.kind = Some(kind);
        self
    }

    pub(crate) fn teacher(mut self, name: &str) -> Self {
        self.last().lineage.teacher = Some(name.to_owned());
        self
    }

    pub(crate) fn base(mut self, name: &str) -> Self {
        self.last().lineage.base = Some(name.to_owned());
        self
    }

    pub(crate) fn released(mut self, date: &str) -> Self {
        self.last().lineage.released = Some(date.to_owned());
        self
    }

    pub(crate) fn training_flop(mut self, flop: f64) -> Self {
        self.last().lineage.training_flop = Some(flop);
        self
    }

    pub(crate) fn parameters(mut self, parameters: u64) -> Self {
        self.last().parameters = parameters;
        self
    }

    pub(crate) fn seconds_per_token(mut self, seconds: f64) -> Self {
        self.last().seconds_per_token = seconds;
        self
    }

    pub(crate) fn slower_at_512(mut self, factor: f64) -> Self {
        self.last().slower_at_512 = factor;
        self
    }

    pub(crate) fn time_jitter(mut self, share: f64) -> Self {
        self.last().time_jitter = share;
        self
    }

    /// As if a server had sampled it.
    pub(crate) fn served(mut self) -> Self {
        let name = self.last().name.clone();
        self.last().served_as = Some(name);
        self
    }

    fn last(&mut self) -> &mut Model {
        self.models.last_mut().expect("a model first")
    }

    pub(crate) fn lineup(&self) -> Lineup {
        let contestant = |model: &Model| Contestant {
            name: model.name.clone(),
            budgets: self.budgets_of(model).iter().map(|tokens| Budget::Tokens(*tokens)).collect(),
            facts: ModelFacts {
                family: Some("simulated".into()),
                parameters: Some(model.parameters),
                lineage: model.lineage.clone(),
                served_as: model.served_as.clone(),
                ..ModelFacts::default()
            },
        };
        let task = |name: &str| TaskFacts {
            name: name.to_owned(),
            choice: Some(Strategy::Verifier),
            ..TaskFacts::default()
        };
        let mut tasks: Vec<TaskFacts> = (0..self.tasks).map(|at| task(&task_name(at))).collect();
        if self.models.iter().any(|model| model.perturbed.is_some()) {
            let variants = (0..self.problems).map(|i| (format!("v{i:05}"), format!("p{i:05}"))).collect();
            tasks.push(TaskFacts { variants, originals: vec![0], ..task(PERTURBED) });
        }
        let models = self.models.iter().map(contestant).collect();
        let verifier = self.verifier_s.map(|device_s_per_answer| Verifier {
            device_s_per_answer,
            usd_per_answer: 0.0,
            source: "simulated".into(),
        });
        Lineup { models, tasks, n: self.n.clone(), trajectories: self.trajectories, verifier }
    }

    fn budgets_of(&self, model: &Model) -> &[u32] {
        if model.lineage.kind == Some(Kind::Direct) { &[0] } else { &self.budgets }
    }

    pub(crate) fn records(&self) -> Vec<Trajectory> {
        let mut records = Vec::new();
        for (m, model) in self.models.iter().enumerate() {
            for i in 0..self.problems {
                // Ease is spread evenly and shared by all models.
                let ease = ((i as f64 + 0.5) * 0.618_033_988_75).fract();
                let mut draw = |task: &str, id: String, curve: &Curve, stream: usize| {
                    let mut rng = ChaCha8Rng::seed_from_u64((m * 2 + stream) as u64);
                    rng.set_stream(i as u64);
                    records.extend(
                        (0..self.trajectories)
                            .map(|t| self.record(model, task, &id, t, ease, curve, &mut rng)),
                    );
                };
                for at in 0..self.tasks {
                    // A stream of its own for each task, the first being that of a run with one.
                    draw(&task_name(at), format!("p{i:05}"), &model.curve, 2 * self.models.len() * at);
                }
                if let Some(curve) = &model.perturbed {
                    draw(PERTURBED, format!("v{i:05}"), curve, 1);
                }
            }
        }
        records
    }

    #[expect(clippy::too_many_arguments, reason = "everything that one simulated chain depends on")]
    fn record(
        &self,
        model: &Model,
        task: &str,
        problem: &str,
        trajectory: u32,
        ease: f64,
        curve: &Curve,
        rng: &mut ChaCha8Rng,
    ) -> Trajectory {
        let (luck, pace): (f64, f64) = (rng.random(), 1.0 + model.time_jitter * (rng.random::<f64>() - 0.5));
        let budgets = self.budgets_of(model);
        let answer = |tokens: &u32| {
            let mean = curve(ease, f64::from(*tokens)).clamp(0.0, 1.0);
            // Problems differ most where the mean is a half, and not at all where it is 0 or 1.
            let chance = mean + 1.2 * (ease - 0.5) * mean * (1.0 - mean);
            let outcome = if luck < chance { Outcome::Correct } else { Outcome::Wrong };
            Answer {
                budget: Budget::Tokens(*tokens),
                forced: true,
                reasoning_tokens: *tokens,
                answer_tokens: ANSWER_TOKENS,
                text: String::new(),
                complete: true,
                logprob_mean: None,
                outcome,
                extracted: None,
                rule: None,
                class: Some(if outcome == Outcome::Correct {
                    "right".into()
                } else {
                    format!("w{trajectory}")
                }),
            }
        };
        let late = rng.random::<f64>() * model.time_jitter;
        let seconds = |tokens: &u32| {
            // The first token comes with the prompt.
            let t = f64::from(tokens.saturating_sub(1));
            // Seconds per token change in a straight line, from 1 to `slower_at_512`.
            let sum =
                t + (model.slower_at_512 * (1.0 + late - model.time_jitter / 2.0) - 1.0) * t * t / 1024.0;
            model.seconds_per_token * pace * sum
        };
        let longest = budgets.last().copied().unwrap_or(0);
        // The last token of a cut thought is fed with what closes it.
        let answer_s =
            |tokens: &u32| model.seconds_per_token * f64::from(ANSWER_TOKENS + u32::from(*tokens > 0));
        Trajectory {
            schema: SCHEMA,
            model: model.name.clone(),
            task: task.to_owned(),
            problem: problem.to_owned(),
            trajectory,
            waits: 0,
            question: String::new(),
            gold: String::new(),
            variant_of: None,
            grader: String::new(),
            prompt_tokens: 10,
            reasoning: String::new(),
            reasoning_tokens: longest,
            thought: Thought::Cut,
            answers: budgets.iter().map(answer).collect(),
            timing: Timing {
                prompt_s: model.seconds_per_token,
                chain_s: seconds(&longest),
                reasoning_s: budgets.iter().map(seconds).collect(),
                answer_s: budgets.iter().map(answer_s).collect(),
            },
        }
    }
}
