# Everything CI checks.
check:
    .ci/run

# The first result: a sweep over the bundled models.
quickstart:
    cargo run --release -- run quickstart

# Make one bundled model again, for example `just train reason-l`.
train name:
    cargo run --release -p isocost-models --features train --bin train -- models/training/recipes/{{name}}.toml target/training/{{name}}

# Criterion benches of the estimators and the grader.
bench:
    cargo bench -p isocost-harness
