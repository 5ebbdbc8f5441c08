//! How large the tasks of a product are.
//!
//! Every thread has a share of the panels. Long tasks read memory without a pause, so a share begins with them. Its last ones are short, so
//! that threads are done at about the same time and one that is slowed down holds nobody up.

/// A thread's next task is one of so many parts of what is left of its share.
const PART: usize = 3;

/// Panels of one task after another, through all shares.
pub(super) struct Sizes {
    share: usize,
    left: usize,
    most: usize,
}

impl Sizes {
    /// For so many panels and threads, with at most `most` panels in a task.
    pub(super) fn new(panels: usize, threads: usize, most: usize) -> Self {
        let share = panels.div_ceil(threads).max(1);
        Self { share, left: share, most: most.max(1) }
    }

    /// Panels of the next task, of a matrix with so many panels left.
    pub(super) fn next(&mut self, panels: usize) -> usize {
        let size = self.left.div_ceil(PART).min(self.most).min(panels);
        self.left -= size;
        if self.left == 0 {
            self.left = self.share;
        }
        size
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of all tasks of one matrix.
    fn all(panels: usize, threads: usize, most: usize) -> Vec<usize> {
        let (mut sizes, mut left, mut all) = (Sizes::new(panels, threads, most), panels, Vec::new());
        while left > 0 {
            all.push(sizes.next(left));
            left -= all[all.len() - 1];
        }
        all
    }

    #[test]
    fn every_share_begins_with_long_tasks_and_ends_with_one_panel() {
        assert_eq!(all(28, 2, 1000), [5, 3, 2, 2, 1, 1, 5, 3, 2, 2, 1, 1]);
        assert_eq!(all(28, 1, 4), [4, 4, 4, 4, 4, 3, 2, 1, 1, 1]);
    }

    #[test]
    fn tasks_are_never_empty_and_have_all_panels() {
        for (panels, threads, most) in [(1, 64, 9), (7, 3, 0), (304, 5, 96), (4748, 2, 1536)] {
            let all = all(panels, threads, most);
            assert!(all.iter().all(|size| (1..=most.max(1)).contains(size)), "{all:?}");
            assert_eq!(all.iter().sum::<usize>(), panels);
        }
    }

    #[test]
    fn a_task_ends_with_its_matrix() {
        let mut sizes = Sizes::new(36, 2, 1000);
        assert_eq!((sizes.next(28), sizes.next(2), sizes.next(4)), (6, 2, 4));
    }
}
