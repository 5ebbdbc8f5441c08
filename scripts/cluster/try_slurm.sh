#!/usr/bin/env bash
# The array job, tried on a Slurm of its own: does an array that is preempted, warned and crashed give the whole run?
#
#   scripts/cluster/try_slurm.sh        as root on Debian, about three minutes; needs nothing but the program and apt-get
#
# Installs slurm-wlm and munge where they are missing, and starts them on loopback in a temporary folder. An array of four
# shards is disturbed in three ways, merged by the job that depends on it, and compared with the run that was never split.
# The program is $ISOCOST, or target/release/isocost. What is said goes to transcript.txt too, if all is well.
set -euo pipefail
cluster=$(dirname "$(readlink -f "$0")")
repository=$(readlink -f "$cluster/../..")
ISOCOST=$(readlink -f "${ISOCOST:-$repository/target/release/isocost}")
export ISOCOST SWEEP=brittleness OUT=shards

fail() { echo "try_slurm: $*" >&2; exit 1; }
[ "$(id -u)" = 0 ] || fail "this wants root: it installs packages, and starts daemons"
[ -x "$ISOCOST" ] || fail "there is no program: cargo build --release, or say where it is in ISOCOST"

if ! type slurmctld slurmd munged python3 > /dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq > /dev/null || fail "apt-get update failed"
  apt-get install -y -qq --no-install-recommends slurm-wlm munge python3 > /dev/null || fail "apt-get install failed"
fi

work=$(mktemp -d)
chmod 755 "$work" # or munge refuses its socket there
mkdir "$work/spool" "$work/state" "$work/log"
ln -s "$repository/scripts" "$work/scripts"
cd "$work"
mkfifo said
tee transcript.txt < said &
tee=$!
exec > said

# Processes by the files that hold their ids.
kill_by() { [ ! -e "$2" ] || kill "-$1" "$(cat "$2")" 2> /dev/null || true; }
clean_up() {
  status=$?
  trap - EXIT
  if [ -e slurmctld.pid ]; then # or another cluster would hear of it
    scancel --me 2> /dev/null || true
    for _ in $(seq 150); do [ -n "$(squeue -h 2> /dev/null)" ] || break; sleep 0.1; done
  fi
  kill_by TERM slurmd.pid
  kill_by TERM slurmctld.pid
  kill_by TERM munged.pid
  exec > /dev/null
  wait "$tee"
  if [ "$status" = 0 ] && grep -wF -e "$work" -e "$repository" -e "$(hostname)" transcript.txt >&2; then
    echo "try_slurm: the transcript says where it was made" >&2
    status=1
  fi
  if [ "$status" = 0 ]; then
    cp transcript.txt "$cluster/transcript.txt"
  else
    tail -n 8 log/* ./*.log >&2 || true
  fi
  sleep 1
  rm -rf "$work"
  exit "$status"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Waits until the command succeeds, SECONDS at most.
until_true() { # SECONDS WHAT COMMAND...
  local end=$((SECONDS + $1)) what=$2
  shift 2
  until "$@" > /dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "waited in vain: $what"
    sleep 0.1
  done
}
shown() { echo "\$ $*"; "$@"; }

# A cluster of one node of two processors, which are there whether or not the machine has them.
export SLURM_CONF=$work/slurm.conf
read -r controller_port node_port < <(python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))')
cat > slurm.conf << END
ClusterName=loopback
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmctldPort=$controller_port
SlurmdPort=$node_port
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$work/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation=$work/state
SlurmdSpoolDir=$work/spool
SlurmctldPidFile=$work/slurmctld.pid
SlurmdPidFile=$work/slurmd.pid
SlurmctldLogFile=$work/log/slurmctld.log
SlurmdLogFile=$work/log/slurmd.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
ReturnToService=2
KillWait=10
SlurmdTimeout=6
NodeName=localhost NodeHostname=$(hostname) NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN
PartitionName=usual Nodes=localhost Default=YES PriorityTier=1
PartitionName=urgent Nodes=localhost PriorityTier=2 PreemptMode=OFF
END
# Without control groups, which containers seldom have; Slurm 22 does not know the word, and does not need it.
slurmd -V | grep -q ' 22\.' || echo "CgroupPlugin=disabled" > cgroup.conf
head -c 1024 /dev/urandom > munge.key
chmod 400 munge.key
munged --key-file="$work/munge.key" --socket="$work/munge.socket" --pid-file="$work/munged.pid" \
  --seed-file="$work/munge.seed" --log-file="$work/log/munged.log"
slurmctld
slurmd
until_true 30 "the node is up" sh -c '[ "$(sinfo -h -o %t)" = idle ]'

sinfo --version
isocost() { "$ISOCOST" "$@"; }
isocost --version

echo
echo "# The run that is never split."
shown isocost run "$SWEEP" --out unsplit > log/unsplit.log 2>&1

echo
echo "# Four shards on two processors, and the job that waits for all of them."
echo "\$ export SWEEP=$SWEEP OUT=$OUT"
shown sbatch --parsable --array=0-3 --cpus-per-task=1 scripts/cluster/slurm.sbatch | tee job
job=$(tail -n 1 job)
shown sbatch --parsable --dependency="afterok:$job" scripts/cluster/merge.sbatch | tee merge
merge=$(tail -n 1 merge)

# Where the array stands: what has begun, and what each shard has.
running() { squeue -h -r -j "$job" -t RUNNING -o %K; }
records() { wc -l 2> /dev/null < "$OUT/shard-$1/trajectories.jsonl" || echo 0; }
both_sample() {
  [ "$(running | wc -l)" = 2 ] || return 1
  for task in $(running); do [ "$(records "$task")" -gt 20 ] || return 1; done
}
says() { grep -q "$2" "isocost-${job}_$1.log"; }
queue() { shown squeue -r -o "%.10i %.13j %.9P %.10T %N"; }

echo
echo "# A job that is more urgent takes one of the processors for three seconds."
until_true 60 "two tasks sample" both_sample
queue
shown sbatch --partition=urgent --job-name=urgent --output=urgent.log --wrap "sleep 3"
preempted() { for task in 0 1; do if says "$task" "TERM: stopping"; then echo "$task"; return; fi; done; return 1; }
until_true 60 "a task is preempted" preempted
first=$(preempted)
second=$((1 - first))
until_true 60 "the urgent job runs" test -e urgent.log
queue

echo
echo "# The other task is told that its time is up, as Slurm does a minute before the end."
# scancel asks again after five seconds if the task is gone by the time of the answer: it must not be stopped twice.
shown timeout 3 scancel --batch --signal=USR1 "${job}_$second" || true
until_true 30 "the task queues itself again" sh -c "squeue -h -r -j ${job}_$second -o %T | grep PENDING"
queue

echo
echo "# The node is lost: its daemon and all that runs on it are killed. Once Slurm has noticed, the node comes back."
until_true 60 "two tasks sample" both_sample
queue
crashed=$(running)
pids=$(scontrol listpids | awk 'NR > 1 { print $1 }')
stewards=$(for pid in $pids; do awk '/^PPid/ && $2 > 1 { print $2 }' "/proc/$pid/status"; done)
kill -9 "$(cat slurmd.pid)" $pids $stewards 2> /dev/null || true
for task in $crashed; do echo "shard-$task has $(records "$task") records"; done
until_true 90 "the loss is noticed" sh -c "sinfo -h -o %t | grep down"
queue
slurmd

echo
echo "# The rest is left to Slurm."
has_left() { ! squeue -h -j "$1" 2> /dev/null | grep -q .; }
until_true 240 "the merge has ended" has_left "$merge"
ended=$(scontrol show job "$merge" | grep -o 'JobState=[A-Z]*')
for task in 0 1 2 3; do
  echo "== isocost-${job}_$task.log"
  grep -E '^shard|: stopping|stopped with|is done' "isocost-${job}_$task.log"
done
echo "== isocost-merge-$merge.log"
grep '^merged' "isocost-merge-$merge.log" || true
echo "== $ended"
[ "$ended" = JobState=COMPLETED ] || fail "the merge has not ended well"
for task in "$first" "$second" $crashed; do says "$task" "start 2" || fail "shard-$task was never disturbed"; done

echo
echo "# What was merged, against the run that was never split."
python3 - unsplit "$OUT/whole" << 'END'
import csv, json, sys

def records(run):
    found = {}
    for line in open(f"{run}/trajectories.jsonl"):
        record = json.loads(line)
        del record["timing"]
        key = tuple(record[name] for name in ("model", "task", "problem", "trajectory", "waits"))
        assert key not in found, f"{run}: {key} is there twice"
        found[key] = record
    return found

def cells(run):
    return list(csv.DictReader(open(f"{run}/cells.csv")))

def is_timed(column):
    return column.startswith(("device_s", "usd", "cost_of_pass_usd", "joules"))

one, other = (records(run) for run in sys.argv[1:])
assert one and one.keys() == other.keys(), f"in one of them only: {sorted(one.keys() ^ other.keys())[:5]}"
different = [key for key in one if one[key] != other[key]]
assert not different, f"different: {different[:5]}"
print(f"{len(one)} records: none lost, none twice, all equal but for their timing")

one, other = (cells(run) for run in sys.argv[1:])
assert one and len(one) == len(other), f"{len(one)} cells and {len(other)}"
columns = [column for column in one[0] if not is_timed(column)]
different = {column for a, b in zip(one, other) for column in columns if a[column] != b[column]}
assert not different, f"different columns: {different}"
print(f"{len(one)} cells: equal in all {len(columns)} columns that do not depend on time")
END
