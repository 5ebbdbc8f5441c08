#!/usr/bin/env bash
# Two hundred requests at once for two minutes against a local server that streams at a steady pace: asserts that memory and
# descriptors of the program do not grow, and writes what it measured to docs/servers/load.md.
#
#   scripts/servers/load.sh [CARGO-OPTION...]     (--release, for the overhead of the program as it is installed)
set -euo pipefail
cd "$(dirname "$0")/../.."
mkdir -p docs/servers
measured=$(mktemp)
trap 'rm -f "$measured"' EXIT
LOAD_REPORT=$measured cargo test --workspace "$@" --test load -- --ignored --nocapture
{
  echo "# Load"
  echo
  echo "Written by \`scripts/servers/load.sh${*:+ $*}\` on $(nproc) cores of $(awk -F': ' '/model name/ { print $2; exit }' /proc/cpuinfo) (kernel $(uname -r))."
  echo "200 trajectories are under way at once; each is two requests, a thought that is left at its closing tag and an answer. The"
  echo "server sends a token each 25 ms; it runs on the same cores, and its own processor time is not in the table."
  echo
  cat "$measured"
} >docs/servers/load.md
cat docs/servers/load.md
