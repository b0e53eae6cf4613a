# What people and CI run. `make` alone lists the targets.

CARGO ?= cargo

.DEFAULT_GOAL := help
.PHONY: help run build test sim soak golden fuzz mutants setup lint instructions instructions-baseline risk-instructions

help: ## List the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 24

run: ## Build and start paper trading on http://127.0.0.1:8050/ with data in ./data (ARGS="--wait park" adds flags)
	./scripts/setup.sh build
	$(CARGO) build --release --bin pinion
	exec target/release/pinion serve $(ARGS)

build: ## Build the release binary
	$(CARGO) build --release --bin pinion

setup: ## Install what the tests need beyond Rust
	./scripts/setup.sh

test: setup ## Run every test of the workspace (CRASH_CYCLES=100 kills the server more often)
	$(CARGO) test --workspace
	$(CARGO) test --release --package engine --test determinism --test scenarios
	$(CARGO) run --quiet --package engine --example book

sim: ## Engine, writer, replica, snapshots and archives on a simulated disk with faults, from seeds (SEEDS=1000 FIRST_SEED=1 IMAGES=2)
	SEEDS=$${SEEDS:-1000} FIRST_SEED=$${FIRST_SEED:-1} IMAGES=$${IMAGES:-2} $(CARGO) test --package persistence-writer --test simulation -- --nocapture

soak: setup ## The same proofs up to their floors, each line by itself repeatable: 20,000 random streams against the oracle; 1,000,000 images of power cuts and 100,000 faults within a recovery, snapshot or archive; every I/O up to the 2,000th failing; every bit of a journal; 500 kills; 20 full disks; 100 flipped bits of a replica; 50 faults of a database of each kind, and the rest of its proofs; 10,000,000 commands of outage (more than an hour on two free cores)
	ORACLE_SEEDS=$${ORACLE_SEEDS:-20000} $(CARGO) test --release --package engine --test oracle_compare
	SEEDS=$${SEEDS:-31000} FIRST_SEED=$${FIRST_SEED:-1} IMAGES=$${IMAGES:-8} IMAGES_FLOOR=$${IMAGES_FLOOR:-1000000} NESTED_FLOOR=$${NESTED_FLOOR:-100000} $(CARGO) test --release --package persistence-writer --test simulation -- --nocapture
	POWER_CUT_SEEDS=$${POWER_CUT_SEEDS:-20000} FAULT_RECORDS=$${FAULT_RECORDS:-1900} BIT_STRIDE=$${BIT_STRIDE:-1} $(CARGO) test --release --package persistence-writer --lib -- --nocapture
	CRASH_CYCLES=$${CRASH_CYCLES:-500} $(CARGO) test --release --package pinion --test end_to_end crash -- --nocapture
	DISK_FULL_CYCLES=$${DISK_FULL_CYCLES:-20} $(CARGO) test --release --package pinion --test end_to_end disk_full -- --nocapture
	FAULT_ROUNDS=$${FAULT_ROUNDS:-200} OUTAGE_COMMANDS=$${OUTAGE_COMMANDS:-10000000} $(CARGO) test --release --package persistence-writer --test projector -- --nocapture --test-threads 1

golden: ## Write the golden journal of the engine's present rules anew, after a change of decisions that is meant
	$(CARGO) run --package persistence-writer --example golden_journal persistence-writer/tests/golden

fuzz: ## Fuzz the engine: encoded command streams, then chosen commands beside the oracle (MINUTES=5 for each; needs the nightly tool chain and cargo-fuzz)
	$(CARGO) run --package persistence-writer --example fuzz_corpus fuzz/corpus
	cd fuzz && for target in engine_commands engine_oracle; do \
		cargo +nightly fuzz run --sanitizer none $$target -- -max_total_time=$$(($${MINUTES:-5} * 60)) -max_len=16384 -len_control=0 -timeout=20 || exit 1; \
	done

mutants: ## Change the matching code in every way that cargo-mutants knows and see that a test notices (installs it where it is missing; results in target/mutants; some hours)
	@command -v cargo-mutants >/dev/null || $(CARGO) install cargo-mutants --locked
	CARGO="$(CARGO)" ./scripts/mutants.sh

instructions: setup ## Count the instructions of the engine's hot paths under callgrind; fails above +5 % of benches/instructions.txt
	CARGO="$(CARGO)" ./scripts/instructions.sh

instructions-baseline: setup ## Write benches/instructions.txt anew
	CARGO="$(CARGO)" ./scripts/instructions.sh baseline

risk-instructions: setup ## Count the instructions of the risk pass, by check, under callgrind
	CARGO="$(CARGO)" ./scripts/risk_instructions.sh

lint: ## Check formatting and lints
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
