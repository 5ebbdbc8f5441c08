//! The tasks that are part of the program, by name: one file each in `harness/tasks`.

/// Names and texts, in the order lists show them.
pub(crate) const BUILT_IN: [(&str, &str); 24] = [
    ("gsm8k", include_str!("tasks/gsm8k.toml")),
    ("math-500", include_str!("tasks/math-500.toml")),
    ("aime-2024", include_str!("tasks/aime-2024.toml")),
    ("aime-2025", include_str!("tasks/aime-2025.toml")),
    ("amc-2023", include_str!("tasks/amc-2023.toml")),
    ("svamp", include_str!("tasks/svamp.toml")),
    ("gpqa-diamond", include_str!("tasks/gpqa-diamond.toml")),
    ("mmlu-pro", include_str!("tasks/mmlu-pro.toml")),
    ("math-perturb-simple", include_str!("tasks/math-perturb-simple.toml")),
    ("math-perturb-hard", include_str!("tasks/math-perturb-hard.toml")),
    ("gsm-plus", include_str!("tasks/gsm-plus.toml")),
    ("gsm-hard", include_str!("tasks/gsm-hard.toml")),
    ("game24", include_str!("tasks/game24.toml")),
    ("word-problems", include_str!("tasks/word-problems.toml")),
    ("word-problems-names", include_str!("tasks/word-problems-names.toml")),
    ("word-problems-numbers", include_str!("tasks/word-problems-numbers.toml")),
    ("word-problems-distractors", include_str!("tasks/word-problems-distractors.toml")),
    ("countdown-3", include_str!("tasks/countdown-3.toml")),
    ("countdown-3-permuted", include_str!("tasks/countdown-3-permuted.toml")),
    ("countdown-3-numbers", include_str!("tasks/countdown-3-numbers.toml")),
    ("countdown-3-target", include_str!("tasks/countdown-3-target.toml")),
    ("countdown-4", include_str!("tasks/countdown-4.toml")),
    ("chain", include_str!("tasks/chain.toml")),
    ("training", include_str!("tasks/training.toml")),
];
