# What the scripts here share: a sweep as a file. `sweep NAME SOURCE BUDGETS TEMPERATURE TRAJECTORIES PROBLEMS LINES`, where
# LINES are those of [models.server], or nothing for a model that runs here.
sweep() {
  local name=$1 source=$2 budgets=$3 temperature=$4 trajectories=$5 problems=$6 lines=${7:-} n=1
  [ "$trajectories" = 1 ] || n="1, $trajectories"
  cat <<TOML
name = "$name"
why = "the same sweep here and behind a server"
seed = 11
budgets = $budgets
n = [$n]
strategies = ["first", "maj", "weighted"]
trajectories = $trajectories

[sampling]
temperature = $temperature

[[models]]
name = "m"
source = "$source"
${lines:+
[models.server]
$lines
}
[[tasks]]
name = "countdown-3"
problems = $problems

[[tasks]]
name = "chain"
problems = $problems
TOML
}

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
