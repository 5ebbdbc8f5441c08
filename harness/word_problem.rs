//! Word problems made from the project's own stories, with perturbations of each.
//!
//! A published problem may have been in a model's training data, a problem made from a new seed cannot. Three perturbations
//! of one problem (other names, other numbers, irrelevant sentences) leave its reasoning as it is, so whatever accuracy
//! they cost is brittleness. The stories are in `word_problems.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use num_traits::ToPrimitive;
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::expression::evaluate;
use crate::problem::Problem;

static MATERIAL: LazyLock<Material> =
    LazyLock::new(|| toml::from_str(include_str!("word_problems.toml")).expect("a test reads it"));

/// How a problem differs from its seed problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Perturbation {
    /// Other people and things.
    Names,
    /// Other numbers of the same sizes.
    Numbers,
    /// Two sentences with numbers that do not matter.
    Distractors,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Material {
    names: Vec<String>,
    things: Vec<String>,
    distractors: Vec<String>,
    stories: Vec<Story>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Story {
    story: Vec<String>,
    question: String,
    answer: String,
    numbers: BTreeMap<char, (u32, u32)>,
}

/// What fills a story.
struct Filling {
    story: &'static Story,
    people: [&'static str; 2],
    things: &'static str,
    numbers: BTreeMap<char, u32>,
    /// Sentences that do not matter, with the place each is put at.
    distractors: Vec<(usize, String)>,
}

/// `count` problems of a seed; with a perturbation, the variation of each.
pub fn draw(count: usize, seed: u64, perturbation: Option<Perturbation>) -> Vec<Problem> {
    (0..count).map(|number| problem(number, seed, perturbation)).collect()
}

fn problem(number: usize, seed: u64, perturbation: Option<Perturbation>) -> Problem {
    let id = format!("w{seed}-{number:04}");
    let mut filling = Filling::draw(number, &mut rng(&id, "seed"));
    let Some(perturbation) = perturbation else {
        return filling.problem(id, None);
    };
    let name = format!("{perturbation:?}").to_lowercase();
    filling.perturb(perturbation, &mut rng(&id, &name));
    filling.problem(format!("{id}-{name}"), Some(id))
}

/// A stream of its own for each problem and perturbation, so that one never moves another.
fn rng(id: &str, purpose: &str) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(Sha256::digest(format!("{id} {purpose}")).into())
}

impl Filling {
    /// Stories take turns; what fills them is drawn.
    fn draw(number: usize, rng: &mut ChaCha8Rng) -> Self {
        let story = &MATERIAL.stories[number % MATERIAL.stories.len()];
        let (people, things) = (people(rng), things(rng));
        Self { story, people, things, numbers: story.draw_numbers(rng), distractors: Vec::new() }
    }

    fn perturb(&mut self, perturbation: Perturbation, rng: &mut ChaCha8Rng) {
        match perturbation {
            Perturbation::Names => {
                let (old_people, old_things) = (self.people, self.things);
                self.people = until(|| people(rng), |new| new.iter().all(|name| !old_people.contains(name)));
                self.things = until(|| things(rng), |new| *new != old_things);
            }
            Perturbation::Numbers => {
                let old = self.numbers.clone();
                self.numbers =
                    until(|| self.story.draw_numbers(rng), |new| new.iter().all(|n| old[n.0] != *n.1));
            }
            Perturbation::Distractors => {
                let chosen = two(&MATERIAL.distractors, rng);
                let places = 1..=self.story.story.len();
                let sentence = |text: &str, rng: &mut ChaCha8Rng| {
                    text.replace("{x}", &rng.random_range(13..=97).to_string())
                };
                self.distractors = chosen
                    .into_iter()
                    .map(|t| (rng.random_range(places.clone()), sentence(t, rng)))
                    .collect();
            }
        }
    }

    fn problem(&self, id: String, variant_of: Option<String>) -> Problem {
        let mut sentences = self.story.story.clone();
        for (place, sentence) in &self.distractors {
            sentences.insert((*place).min(sentences.len()), sentence.clone());
        }
        sentences.push(self.story.question.clone());
        let gold = self.story.value(&self.numbers).expect("numbers are drawn until there is one");
        Problem { id, question: self.filled(&sentences.join(" ")), gold: gold.to_string(), variant_of }
    }

    fn filled(&self, text: &str) -> String {
        let [a, b] = self.people;
        let text = text.replace("{A}", a).replace("{B}", b).replace("{things}", self.things);
        self.numbers.iter().fold(text, |text, (slot, n)| text.replace(&format!("{{{slot}}}"), &n.to_string()))
    }
}

impl Story {
    /// Numbers from their ranges whose answer is a whole number above 0.
    fn draw_numbers(&self, rng: &mut ChaCha8Rng) -> BTreeMap<char, u32> {
        let mut draw = |(slot, (low, high)): (&char, &(u32, u32))| (*slot, rng.random_range(*low..=*high));
        until(|| self.numbers.iter().map(&mut draw).collect(), |numbers| self.value(numbers).is_some())
    }

    fn value(&self, numbers: &BTreeMap<char, u32>) -> Option<u64> {
        let digits = |c: char| numbers.get(&c).map_or(c.to_string(), u32::to_string);
        let expression: String = self.answer.chars().map(digits).collect();
        let (value, _) = evaluate(&expression).ok()?;
        value.is_integer().then(|| value.to_integer()).filter(|whole| *whole > 0)?.to_u64()
    }
}

fn people(rng: &mut ChaCha8Rng) -> [&'static str; 2] {
    two(&MATERIAL.names, rng)
}

/// Two different texts of a list.
fn two<'a>(list: &'a [String], rng: &mut ChaCha8Rng) -> [&'a str; 2] {
    let first = rng.random_range(0..list.len());
    let second = (first + rng.random_range(1..list.len())) % list.len();
    [&list[first], &list[second]]
}

fn things(rng: &mut ChaCha8Rng) -> &'static str {
    MATERIAL.things.choose(rng).expect("there are things")
}

/// Draws until one will do.
fn until<T>(draw: impl FnMut() -> T, will_do: impl Fn(&T) -> bool) -> T {
    std::iter::repeat_with(draw).find(|drawn| will_do(drawn)).expect("drawing never ends")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Perturbation; 3] = [Perturbation::Names, Perturbation::Numbers, Perturbation::Distractors];

    #[test]
    fn every_story_fills_without_a_slot_left() {
        for perturbation in [None, Some(ALL[0]), Some(ALL[1]), Some(ALL[2])] {
            for problem in draw(200, 11, perturbation) {
                assert!(!problem.question.contains(['{', '}']), "{}", problem.question);
                assert!(problem.gold.parse::<u64>().unwrap() > 0);
            }
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_problems_and_another_gives_others() {
        assert_eq!(draw(40, 11, None), draw(40, 11, None));
        assert_eq!(draw(40, 11, None)[..20], draw(20, 11, None)[..]);
        assert_ne!(draw(40, 11, None)[0].question, draw(40, 12, None)[0].question);
    }

    #[test]
    fn a_perturbation_names_its_seed_problem_and_changes_only_what_it_says() {
        let numbers = |text: &str| -> Vec<String> {
            let is_digit = |c: char| c.is_ascii_digit();
            text.split(|c| !is_digit(c)).filter(|w| !w.is_empty()).map(str::to_owned).collect()
        };
        let seeds = draw(60, 11, None);
        for perturbation in ALL {
            for (seed, variant) in seeds.iter().zip(draw(60, 11, Some(perturbation))) {
                assert_eq!(variant.variant_of.as_deref(), Some(seed.id.as_str()));
                assert_ne!(variant.question, seed.question);
                let (old, new) = (numbers(&seed.question), numbers(&variant.question));
                match perturbation {
                    Perturbation::Names => assert_eq!((old, &seed.gold), (new, &variant.gold)),
                    Perturbation::Numbers => assert_eq!(old.len(), new.len()),
                    Perturbation::Distractors => {
                        assert_eq!((old.len() + 2, &seed.gold), (new.len(), &variant.gold));
                    }
                }
            }
        }
    }

    #[test]
    fn the_stories_are_solved_by_hand_here() {
        let by_hand = |number: usize| {
            let numbers = |low: bool| {
                let ranges = &MATERIAL.stories[number].numbers;
                ranges.iter().map(|(c, r)| (*c, if low { r.0 } else { r.1 })).collect::<BTreeMap<_, _>>()
            };
            MATERIAL.stories[number].value(&numbers(false))
        };
        // Boxes: 12 x 20 - 30. Shop: 9 x (15 + 90). Trains: 14 x 48 - 40 + 60.
        assert_eq!((by_hand(0), by_hand(2), by_hand(8)), (Some(210), Some(945), Some(692)));
    }
}
