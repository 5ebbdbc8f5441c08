#!/usr/bin/env bash
# Runs in an object store, for real: the tests of src/tests/stored.rs (a run in a store, killed and gone on with, taken over,
# sharded and merged) against moto, a server that speaks Amazon's S3, in place of a folder. Writes what came of it to
# docs/servers/object-store.md. Installs moto from PyPI into target/moto. Needs Python with venv, curl and cargo.
#
#   scripts/servers/object_store.sh [CARGO-OPTION...]
set -euo pipefail
cd "$(dirname "$0")/../.."
source scripts/servers/sweep.sh
[ -x target/moto/bin/moto_server ] || { python3 -m venv target/moto && target/moto/bin/pip install --quiet 'moto[server,s3]'; }

work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
port=$(free_port)
target/moto/bin/moto_server -H 127.0.0.1 -p "$port" >"$work/server.log" 2>&1 &
server=$!
export AWS_ENDPOINT=http://127.0.0.1:$port AWS_ALLOW_HTTP=true AWS_REGION=us-east-1
export AWS_ACCESS_KEY_ID=planted-id AWS_SECRET_ACCESS_KEY=planted-secret
until curl -sf -X PUT "$AWS_ENDPOINT/runs" >/dev/null; do
  kill -0 "$server" || { cat "$work/server.log" >&2; exit 1; }
  sleep 0.2
done

ISOCOST_TEST_STORE=s3://runs cargo test "$@" --features object-store --test stored 2>&1 | tee "$work/tests"
mkdir -p docs/servers
{
  echo "# Object store"
  echo
  echo "Written by \`scripts/servers/object_store.sh${*:+ $*}\`: moto $(target/moto/bin/pip show moto | awk '/^Version/ { print $2 }') as S3 on loopback, $(nproc) cores."
  echo
  grep '^test ' "$work/tests" | sed 's/^test \(.*\) \.\.\. /* \1: /; s/_/ /g'
  echo
  echo "$(grep -c 'PUT /' "$work/server.log") objects were put, $(grep -c 'PUT /.* 412' "$work/server.log") refused because another process had put them first; $(grep -c 'GET /' "$work/server.log") were read or listed."
} >"$work/transcript.md"
cp "$work/transcript.md" docs/servers/object-store.md
cat docs/servers/object-store.md
