#!/bin/sh
# Mutates the matching code (.cargo/mutants.toml says which) in three passes: first against tests that take a moment, then what they
# let through against all that can tell, then without debug assertions, whose comparisons hide what only release builds do.
# Fails where a mutant survives all of them. Arguments go to cargo-mutants.
set -eu
cd "$(dirname "$0")/.."

out=target/mutants
rm -rf "$out"
mkdir -p "$out"

# Few and short streams: they run once for each mutant. What fails need not be made small.
export ORACLE_SEEDS=4 ORACLE_COMMANDS=2000 ORACLE_SHRINK=0
export PROPTEST_CASES=64 PROPTEST_MAX_SHRINK_ITERS=0 PROPTEST_RNG_SEED=1

# pass TIMEOUT_S "OPTIONS" TESTS… -- ARGUMENTS…
pass() {
    timeout=$1 options=$2
    shift 2
    targets=
    while [ "$1" != -- ]; do
        targets="$targets --cargo-arg=$1"
        shift
    done
    shift
    # shellcheck disable=SC2086
    "${CARGO:-cargo}" mutants --package engine --jobs 1 --baseline skip --no-shuffle --timeout "$timeout" --output "$out" \
        $options $targets "$@" -- -- --skip streams_reach
}

# Survivors (2) and timeouts (3) of a pass go on to the next.
go_on() {
    case $1 in 0 | 2 | 3) ;; *) exit "$1" ;; esac
}
status=0
pass 60 "" --test=book --test=scenarios -- "$@" || status=$?
go_on $status
status=0
pass 300 --iterate --lib --test=bounded_work --test=determinism --test=oracle_compare --test=rejections --test=scripted --test=snapshot -- "$@" ||
    status=$?
go_on $status
pass 300 --iterate --config=profile.mutants.package.engine.debug-assertions=false --test=scenarios --test=oracle_compare -- "$@"
