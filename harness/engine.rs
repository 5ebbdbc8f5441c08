//! What generates: the seam between this crate and the tensors.

use std::ops::ControlFlow;
use std::sync::mpsc::Sender;

use serde::{Deserialize, Serialize};

use crate::cell::{Budget, Policy};
use crate::request_log::Attempt;
use crate::step::Step;
use crate::trajectory::Thought;

/// How the next token is drawn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Logits are divided by this; 0 takes the most probable token.
    pub temperature: f64,
    /// Only the so many most probable tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<usize>,
    /// Only the most probable tokens that together reach this probability (Holtzman et al. 2020).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Only tokens at least this fraction as probable as the most probable one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
}

/// What all trajectories of one call share.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Ascending budgets without repetition. The thought is sampled to the last one.
    pub budgets: Vec<Budget>,
    /// What happens at a budget above 0.
    pub policy: Policy,
    /// Most tokens of an answer.
    pub answer_tokens: u32,
    /// Forced continuations (`Wait`) before the thought may end.
    pub waits: u32,
    /// How tokens are drawn.
    pub sampling: Sampling,
    /// With the problem's id and the trajectory's number this determines every random draw.
    pub seed: u64,
}

/// Trajectories wanted of one problem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The problem's id.
    pub problem: String,
    /// Instructions, given as the system message.
    pub instructions: String,
    /// What is asked, given as the user's message.
    pub question: String,
    /// Numbers of the trajectories, from 0.
    pub trajectories: Vec<u32>,
}

/// A sampled chain before it is graded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generated {
    /// Index of its job.
    pub job: usize,
    /// Its number among the problem's.
    pub trajectory: u32,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Device seconds of reading the prompt.
    pub prompt_s: f64,
    /// The thought without its delimiters.
    pub reasoning: String,
    /// Its tokens.
    pub reasoning_tokens: u32,
    /// Their ids, as far as they are known: a server may keep them to itself.
    pub reasoning_ids: Vec<u32>,
    /// The natural logarithm of each one's probability; absent where a token was forced.
    pub reasoning_logprobs: Vec<Option<f64>>,
    /// How it ended.
    pub thought: Thought,
    /// Device seconds of the whole chain, without forced answers.
    pub chain_s: f64,
    /// Answers by ascending budget.
    pub answers: Vec<GeneratedAnswer>,
}

/// An answer before it is graded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GeneratedAnswer {
    /// Where the thought was cut; `max` for the answer after a thought that was not cut.
    pub budget: Budget,
    /// Whether the end of the thought was forced.
    pub forced: bool,
    /// Reasoning tokens before it.
    pub reasoning_tokens: u32,
    /// The text.
    pub text: String,
    /// The sampled token ids, without the one that ended it.
    pub ids: Vec<u32>,
    /// The natural logarithm of each one's probability.
    pub logprobs: Vec<f64>,
    /// Tokens sampled, with the one that ended it.
    pub answer_tokens: u32,
    /// Whether it ended by itself.
    pub complete: bool,
    /// Sum of the sampled tokens' log-probabilities, in nats; absent where a server does not tell.
    pub logprob_sum: Option<f64>,
    /// Device seconds of the thought up to the cut.
    pub reasoning_s: f64,
    /// Device seconds of the answer.
    pub answer_s: f64,
}

/// What the device did during one call of [`Engine::sample`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Activity {
    /// Forward passes.
    pub steps: u64,
    /// Rows summed over forward passes.
    pub row_steps: u64,
    /// Tokens fed, prompts included.
    pub fed_tokens: u64,
    /// Tokens sampled.
    pub sampled_tokens: u64,
    /// Seconds inside forward passes.
    pub device_s: f64,
    /// Seconds in all.
    pub wall_s: f64,
    /// Most rows of a forward pass.
    pub most_rows: u64,
    /// Times the device ran out of memory, after each of which the batch was halved.
    #[serde(default)]
    pub halvings: u64,
    /// Seconds spent handing trajectories over: text, grading, writing.
    #[serde(default)]
    pub handing_over_s: f64,
    /// Seconds times the share of the processors' time that went to other programs, or other machines where this one is
    /// virtual; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub others_s: Option<f64>,
    /// What happened that a reader should know: a worker that died, requests that were tried again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<String>,
}

impl Activity {
    /// Adds what another call did.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.row_steps += other.row_steps;
        self.fed_tokens += other.fed_tokens;
        self.sampled_tokens += other.sampled_tokens;
        self.device_s += other.device_s;
        self.wall_s += other.wall_s;
        self.most_rows = self.most_rows.max(other.most_rows);
        self.halvings += other.halvings;
        self.handing_over_s += other.handing_over_s;
        self.others_s = self.others_s.into_iter().chain(other.others_s).reduce(|a, b| a + b);
        self.incidents.extend_from_slice(&other.incidents);
    }
}

/// Why sampling stopped early.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// A prompt and its answer do not fit the model's context.
    #[error("problem {problem}: {needed} tokens do not fit the model's context of {context}")]
    ContextOverflow {
        /// The problem's id.
        problem: String,
        /// Tokens needed at least.
        needed: usize,
        /// The model's limit.
        context: usize,
    },
    /// A prompt could not be made.
    #[error("problem {problem}: {message}")]
    Prompt {
        /// The problem's id.
        problem: String,
        /// What is wrong.
        message: String,
    },
    /// A server failed for some trajectories, however often it was asked, or will not be asked again.
    #[error("{failed} of {asked} trajectories could not be had: {message}: run again to ask for them again")]
    Server {
        /// How many trajectories are lacking.
        failed: usize,
        /// Out of how many.
        asked: usize,
        /// What the last attempt of one of them met.
        message: String,
    },
    /// The device or a kernel failed.
    #[error("the device failed: {0}")]
    Device(String),
}

/// Takes trajectories in, on whatever thread has the time; answers whether to go on.
pub type Sink<'a> = dyn FnMut(Generated) -> ControlFlow<()> + Send + 'a;

/// A model that samples trajectories with budgets by forking.
pub trait Engine {
    /// Samples every trajectory of `jobs` and hands each to `sink` as soon as it is complete, in no
    /// promised order. `sink` may stop the call; trajectories not handed over are then lost.
    ///
    /// # Errors
    /// [`EngineError`]; what was handed to `sink` before stays valid.
    fn sample(&mut self, jobs: &[Job], settings: &Settings, sink: &mut Sink)
    -> Result<Activity, EngineError>;

    /// Reports every step from now on, to all who asked and still listen; an engine that cannot see its steps reports none.
    fn report_steps(&mut self, _to: Sender<Step>) {}

    /// Reports every attempt of a request from now on; an engine that asks no server reports none.
    fn report_attempts(&mut self, _to: Sender<Attempt>) {}

    /// Tokens of a prompt, for planning.
    ///
    /// # Errors
    /// [`EngineError::Prompt`] if the prompt cannot be made.
    fn prompt_tokens(&self, job: &Job) -> Result<usize, EngineError>;
}
