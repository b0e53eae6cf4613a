#!/bin/sh
# Counts the instructions of the engine's hot paths under callgrind and compares them with the committed baseline.
# Counts hardly depend on the machine or its load, so a rise is a change of the code. Fails above +5 %.
#   scripts/instructions.sh             compare
#   scripts/instructions.sh baseline    write the baseline anew
set -eu

cd "$(dirname "$0")/.."
baseline=benches/instructions.txt
paths="book_add book_cancel book_modify book_take full_add full_cancel full_modify full_take print_beside_stops stop_fires condition_fires print_beside_trails print_moves_trails order_expires add_beside_keys close_beside_orders"

if ! command -v valgrind >/dev/null 2>&1; then
    echo "instructions: valgrind is missing; scripts/setup.sh installs it where it may." >&2
    exit 1
fi
${CARGO:-cargo} build --quiet --release --package engine --example hot_paths
program=${CARGO_TARGET_DIR:-target}/release/examples/hot_paths

# Instructions per operation of one path; the path has a function of its name and does 1,000 operations.
count() {
    said=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="hot_paths::$1" "$program" "$1" 2>&1) ||
        { echo "$said" >&2; exit 1; }
    total=$(echo "$said" | sed -n 's/.*Collected : \([0-9]*\).*/\1/p')
    if [ -z "$total" ] || [ "$total" -eq 0 ]; then
        echo "instructions: callgrind saw nothing of $1" >&2
        exit 1
    fi
    echo $((total / 1000))
}

if [ "${1:-}" = baseline ]; then
    for path in $paths; do
        now=$(count "$path")
        echo "$path $now"
    done >"$baseline.new"
    mv "$baseline.new" "$baseline"
    cat "$baseline"
    exit 0
fi

worse=0
for path in $paths; do
    now=$(count "$path")
    was=$(sed -n "s/^$path //p" "$baseline")
    if [ -z "$was" ]; then
        echo "instructions: $baseline has no line for $path; make instructions-baseline writes it." >&2
        exit 1
    fi
    change=$(((now - was) * 1000 / was))
    echo "$path: $now instructions per operation, $was in the baseline ($change per mille)"
    if [ $((now * 100)) -gt $((was * 105)) ]; then
        worse=1
    fi
done
if [ "$worse" -ne 0 ]; then
    echo "instructions: more than 5 % above $baseline. If it is worth it, make instructions-baseline and say why." >&2
    exit 1
fi
