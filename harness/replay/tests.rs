//! Closed forms, and a simulator that walks every step of every row.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

/// A cost given as a formula.
struct Formula<F: Fn(&Load) -> f64>(F);

impl<F: Fn(&Load) -> f64> Cost for Formula<F> {
    fn seconds(&self, load: &Load) -> f64 {
        (self.0)(load)
    }

    fn joules(&self, load: &Load, seconds: f64) -> Option<f64> {
        Some(100.0 * seconds + f64::from(load.fed_tokens))
    }
}

fn course(prompt: u32, thinking: u32, closing: Option<u32>, answer: u32) -> Course {
    let answers = closing.is_some() || answer > 0;
    Course {
        prompt_tokens: prompt,
        thinking_steps: thinking,
        closing_tokens: closing,
        answer_steps: answer,
        answers,
    }
}

fn request(completions: &[Course]) -> Request {
    Request { completions: completions.to_vec() }
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(b.abs()).max(1.0)
}

#[test]
fn with_a_constant_cost_a_request_takes_its_prompt_and_its_longest_completion() {
    let one = request(&[course(20, 10, Some(5), 3), course(20, 30, Some(1), 2)]);
    let replayed = replay(&[one.clone(), one], Serving::OneUser { rows: 8 }, &Formula(|_| 0.5));
    assert_eq!(replayed.e2e_s, [0.5 * 34.0; 2]);
    assert_eq!(replayed.ttft_s, [0.5; 2]);
    assert_eq!(replayed.ttfa_s, [0.5 * 12.0, 0.5 * 32.0, 0.5 * 12.0, 0.5 * 32.0]);
    assert_eq!((replayed.device_s, replayed.steps), (34.0, 68));
    assert_eq!(replayed.itl_s.percentile(0.99), Some(0.5));
}

#[test]
fn finished_rows_leave_the_batch() {
    let one = request(&[course(7, 10, Some(1), 0), course(7, 4, Some(1), 0)]);
    let replayed = replay(&[one], Serving::OneUser { rows: 8 }, &Formula(|load| f64::from(load.rows)));
    // The prompt alone, five steps of two rows, six of one.
    assert!(close(replayed.e2e_s[0], 1.0 + 5.0 * 2.0 + 6.0));
}

#[test]
fn a_cost_of_attention_sums_to_the_triangle_of_the_context() {
    let one = request(&[course(10, 100, None, 0)]);
    let replayed = replay(&[one], Serving::OneUser { rows: 1 }, &Formula(|load| load.attended_tokens as f64));
    let prompt = (1..=10).sum::<u64>();
    let decoding = (11..=110).sum::<u64>();
    assert!(close(replayed.e2e_s[0], (prompt + decoding) as f64));
}

#[test]
fn a_batch_smaller_than_n_makes_completions_wait() {
    let one = request(&[course(5, 9, Some(1), 0); 4]);
    let e2e =
        |rows| replay(std::slice::from_ref(&one), Serving::OneUser { rows }, &Formula(|_| 1.0)).e2e_s[0];
    assert_eq!([e2e(4), e2e(2), e2e(1)], [11.0, 21.0, 41.0]);
}

#[test]
fn saturation_shares_steps_among_requests_and_a_latency_limit_bounds_the_batch() {
    let requests = vec![request(&[course(5, 50, Some(1), 5)]); 64];
    let cost = Formula(|load: &Load| 1.0 + 0.1 * f64::from(load.rows));
    let device_s = |rows| replay(&requests, Serving::Saturated { rows }, &cost).device_s;
    assert!(device_s(1) > 6.0 * device_s(16));
    assert_eq!(largest_batch_within(&requests, 64, 1.9, &cost), Some(8));
    assert_eq!(largest_batch_within(&requests, 64, 0.5, &cost), None);
}

#[test]
fn joules_follow_steps_and_tokens() {
    let one = request(&[course(20, 10, None, 0)]);
    let replayed = replay(&[one], Serving::OneUser { rows: 1 }, &Formula(|_| 0.5));
    assert!(close(replayed.joules.unwrap(), 100.0 * 11.0 * 0.5 + 30.0));
}

/// A completion of the slow simulator: what it still feeds.
struct Slow {
    request: usize,
    context: u64,
    feeds: VecDeque<u32>,
    is_prompt: bool,
}

/// Walks one step at a time and keeps nothing clever. Returns E2E by request and the seconds in all.
fn slow(requests: &[Request], rows: usize, cost: &dyn Cost) -> (Vec<f64>, f64) {
    let (mut now, mut next) = (0.0, 0);
    let mut started = vec![0.0; requests.len()];
    let mut left: Vec<usize> = requests.iter().map(|r| r.completions.len()).collect();
    let mut e2e = vec![0.0; requests.len()];
    let mut waiting: VecDeque<(usize, Course)> = VecDeque::new();
    let mut active: Vec<Slow> = Vec::new();
    loop {
        let mut load = Load::default();
        while active.len() < rows {
            if let Some((request, c)) = waiting.pop_front() {
                load.forks += 1;
                load.sampled_tokens += 1;
                let feeds = std::iter::repeat_n(1, c.thinking_steps as usize)
                    .chain(c.closing_tokens)
                    .chain(std::iter::repeat_n(1, c.answer_steps as usize));
                let feeds: VecDeque<u32> = feeds.collect();
                if feeds.is_empty() {
                    left[request] -= 1;
                    e2e[request] = now - started[request];
                } else {
                    active.push(Slow { request, context: c.prompt_tokens.into(), feeds, is_prompt: false });
                }
            } else if next < requests.len() {
                started[next] = now;
                let feeds = [requests[next].completions[0].prompt_tokens].into();
                active.push(Slow { request: next, context: 0, feeds, is_prompt: true });
                next += 1;
            } else {
                break;
            }
        }
        if active.is_empty() {
            return (e2e, now);
        }
        for row in &active {
            load.add_row(row.context, row.feeds[0]);
            load.sampled_tokens += u32::from(!row.is_prompt);
        }
        now += cost.seconds(&load);
        for mut row in std::mem::take(&mut active) {
            row.context += u64::from(row.feeds.pop_front().unwrap());
            if row.is_prompt {
                waiting.extend(requests[row.request].completions.iter().map(|c| (row.request, *c)));
            } else if row.feeds.is_empty() {
                left[row.request] -= 1;
                e2e[row.request] = now - started[row.request];
            } else {
                active.push(row);
            }
        }
    }
}

fn any_course() -> impl Strategy<Value = Course> {
    (0u32..150, prop::option::of(1u32..6), 0u32..8).prop_map(|(t, c, a)| course(9, t, c, a))
}

proptest! {
    #[test]
    fn stretches_agree_with_walking_every_step(
        completions in prop::collection::vec(prop::collection::vec(any_course(), 1..6), 1..8),
        rows in 1u32..9,
    ) {
        let requests: Vec<Request> = completions.iter().map(|c| request(c)).collect();
        let cost = Formula(|load: &Load| {
            1e-3 + 1e-4 * f64::from(load.fed_tokens.max(4)) + 1e-5 * load.attended_tokens as f64
                + 1e-4 * f64::from(load.sampled_tokens) + 3e-4 * f64::from(load.forks)
        });
        let fast = replay(&requests, Serving::Saturated { rows }, &cost);
        let (mut e2e, seconds) = slow(&requests, rows as usize, &cost);
        prop_assert!(close(fast.device_s, seconds), "{} {seconds}", fast.device_s);
        let mut fast_e2e = fast.e2e_s;
        fast_e2e.sort_by(f64::total_cmp);
        e2e.sort_by(f64::total_cmp);
        prop_assert!(fast_e2e.iter().zip(&e2e).all(|(a, b)| close(*a, *b)), "{fast_e2e:?} {e2e:?}");
        let alone = replay(&requests, Serving::OneUser { rows }, &cost);
        for (one, got) in requests.iter().zip(&alone.e2e_s) {
            let (want, _) = slow(std::slice::from_ref(one), rows as usize, &cost);
            prop_assert!(close(*got, want[0]));
        }
    }
}
