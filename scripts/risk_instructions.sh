#!/bin/sh
# The instructions of the risk pass under callgrind, as the table of tuning.md: the short way, the checks one by one under
# whole profiles, and what each single check adds to those that are always on.
set -eu

cd "$(dirname "$0")/.."
if ! command -v valgrind >/dev/null 2>&1; then
    echo "risk_instructions: valgrind is missing; scripts/setup.sh installs it where it may." >&2
    exit 1
fi
${CARGO:-cargo} build --quiet --release --package engine --example risk_pass
program=${CARGO_TARGET_DIR:-target}/release/examples/risk_pass

# Instructions for each of a thousand orders.
count() {
    said=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null --toggle-collect="risk_pass::pass" "$program" "$1" 2>&1) ||
        { echo "$said" >&2; exit 1; }
    total=$(echo "$said" | sed -n 's/.*Collected : \([0-9]*\).*/\1/p')
    if [ -z "$total" ] || [ "$total" -eq 0 ]; then
        echo "risk_instructions: callgrind saw nothing of $1" >&2
        exit 1
    fi
    echo $((total / 1000))
}

echo "| pass of an order that passes | instructions |"
echo "|---|---|"
echo "| the short way, profile \`maker\` | $(count short_way) |"
echo "| one by one, profile \`maker\` | $(count maker) |"
echo "| one by one, profile \`dashboard\` | $(count dashboard) |"
base=$(count always_on)
echo "| one by one, every limit off: what is always on | $base |"
for check in balance_check position_limit risk_per_trade daily_loss_limit stop_loss_required risk_reward_ratio price_sanity \
    quantity_limits order_to_position_ratio order_value open_order_value gross_exposure net_exposure symbol_position \
    order_rate daily_orders duplicate_burst repeated_execution stale_reference; do
    echo "| \`$check\` adds | $(($(count "$check") - base)) |"
done
