//! Resampling problems: the cluster bootstrap (Efron and Tibshirani 1993; Davison and Hinkley 1997, section 3.8).
//!
//! A draw picks P problems with replacement and takes each with *all* its trajectories, budgets and cells. Draw
//! `b` uses stream `b` of a ChaCha8 generator, so the draws are the same on one thread and on a hundred, and
//! two statistics computed with the same [`Bootstrap`] see the same draws: their ratio is a paired ratio.

use super::estimate::Level;
use super::summaries::Summaries;
use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

/// How many resamplings, from which seed, for which level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// Resamplings; 2,000 by default.
    pub draws: usize,
    /// Seed of the generator.
    pub seed: u64,
    /// Confidence level of the interval.
    pub level: Level,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { draws: 2000, seed: 0, level: Level::default() }
    }
}

impl Bootstrap {
    /// `statistic` of each draw, in order. Its argument holds `problems` indices below `problems`.
    pub fn draw<T: Send>(&self, problems: usize, statistic: impl Fn(&[u32]) -> T + Sync) -> Vec<T> {
        let one = |chosen: &mut Vec<u32>, draw: usize| {
            self.choose(problems, draw, chosen);
            statistic(chosen)
        };
        (0..self.draws).into_par_iter().map_init(Vec::new, one).collect()
    }

    /// `statistic` of the column means of each draw, in order.
    pub fn draw_means<T: Send>(&self, data: &Summaries, statistic: impl Fn(&[f64]) -> T + Sync) -> Vec<T> {
        let one = |(chosen, means): &mut (Vec<u32>, Vec<f64>), draw: usize| {
            self.choose(data.problems(), draw, chosen);
            data.means_of(chosen, means);
            statistic(means)
        };
        let buffers = || (Vec::new(), vec![0.0; data.columns()]);
        (0..self.draws).into_par_iter().map_init(buffers, one).collect()
    }

    /// The problems of one draw. Scaling 32 random bits is uniform to `problems / 2^32`.
    fn choose(&self, problems: usize, draw: usize, chosen: &mut Vec<u32>) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(draw as u64);
        chosen.clear();
        chosen.extend((0..problems).map(|_| ((u64::from(rng.next_u32()) * problems as u64) >> 32) as u32));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_do_not_depend_on_the_number_of_threads() {
        let bootstrap = Bootstrap { draws: 50, ..Bootstrap::default() };
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let draw = || bootstrap.draw(17, |chosen| chosen.to_vec());
        assert_eq!(pool(1).install(draw), pool(4).install(draw));
    }

    #[test]
    fn the_seed_changes_the_draws_and_indices_stay_in_range() {
        let draw = |seed| Bootstrap { draws: 200, seed, ..Bootstrap::default() }.draw(7, |c| c.to_vec());
        assert_ne!(draw(1), draw(2));
        let all: Vec<u32> = draw(1).concat();
        assert_eq!(all.len(), 1400);
        (0..7).for_each(|i| assert!((140..=260).contains(&all.iter().filter(|&&x| x == i).count())));
        assert!(all.iter().all(|&x| x < 7));
    }

    #[test]
    fn means_of_a_draw_are_those_of_its_problems() {
        let values: Vec<f64> = (0..9).map(|i| f64::from(i * i)).collect();
        let data = Summaries::from_columns(&[&values]).unwrap();
        let bootstrap = Bootstrap { draws: 20, ..Bootstrap::default() };
        let by_index = bootstrap.draw(9, |c| c.iter().map(|&i| values[i as usize]).sum::<f64>() / 9.0);
        assert_eq!(bootstrap.draw_means(&data, |m| m[0]), by_index);
    }
}
