TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)

.DEFAULT_GOAL := help
.PHONY: help run test chaos replicas hostile fuzz crowd check bench deb postgresql cargo

help: ## Show the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

run: cargo postgresql ## Build and start the server on http://127.0.0.1:9000
	cargo build --release --locked
	exec $(TARGET_DIR)/release/ak-stages serve

# The tests start databases of their own, whatever database the server is configured for.
test: cargo ## Run all tests
	env -u DATABASE_URL -u AUTHENTIK_POSTGRESQL__HOST scripts/install-postgresql.sh
	cargo test --locked --workspace

# As in the tests, for longer. CHAOS_SEED=… repeats the order of the faults of another run.
chaos: cargo ## Let everything happen to the database while clients write, for CHAOS_SECONDS (600: some 200 faults), and while CHAOS_MAILS (1000) wait
	env -u DATABASE_URL -u AUTHENTIK_POSTGRESQL__HOST scripts/install-postgresql.sh
	CHAOS_SECONDS=$(or $(CHAOS_SECONDS),600) CHAOS_MAILS=$(or $(CHAOS_MAILS),1000) \
		cargo test --locked --test chaos -- --nocapture

# As in the tests, for longer.
replicas: cargo ## Let standbys be late and fail while clients read back what they wrote, for REPLICAS_SECONDS (600)
	env -u DATABASE_URL -u AUTHENTIK_POSTGRESQL__HOST scripts/install-postgresql.sh
	REPLICAS_SECONDS=$(or $(REPLICAS_SECONDS),600) cargo test --locked --test replicas -- --nocapture

# As in the tests, for longer. AK_STAGES_SEED=… repeats the requests of another run.
hostile: cargo ## Send HOSTILE_REQUESTS (100000) that nobody should send
	env -u DATABASE_URL -u AUTHENTIK_POSTGRESQL__HOST scripts/install-postgresql.sh
	HOSTILE_REQUESTS=$(or $(HOSTILE_REQUESTS),100000) cargo test --locked --test api hostile -- --nocapture

# See fuzz/README.md. A stable compiler will do: RUSTC_BOOTSTRAP lets it instrument the program.
fuzz: cargo ## Fuzz what reads a client's bytes, each target for FUZZ_SECONDS (60)
	@command -v cargo-fuzz >/dev/null || { echo "cargo-fuzz is missing: cargo install cargo-fuzz" >&2; exit 1; }
	for target in $(or $(FUZZ_TARGETS),body query duration date bearer cookie csrf); do \
		(cd fuzz && RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none $$target -- \
			-max_total_time=$(or $(FUZZ_SECONDS),60) -timeout=2 -max_len=16384 -verbosity=0 -print_final_stats=1) || exit 1; \
	done

# As in the tests, with more clients than they have time for.
crowd: cargo ## Let 10,000 idle, 1,000 slow and 320 withholding clients crowd the door, and 64 largest bodies at once
	env -u DATABASE_URL -u AUTHENTIK_POSTGRESQL__HOST scripts/install-postgresql.sh
	DOOR_CONNECTIONS=10000 DOOR_SLOW=1000 DOOR_BODIES=64 \
		cargo test --locked --test api -- --nocapture --test-threads 1 door::

check: cargo ## Check format, lints, documentation and the OpenAPI document
	.ci/run static

# Options of bench/run: make bench BENCH="--quick --cases retrieve"
bench: cargo ## Measure the server; the results are in bench/results (bench/README.md)
	cargo build --release --locked
	bench/run $(BENCH)

deb: cargo ## Build the Debian package into target/debian
	cargo build --release --locked
	scripts/build-deb.sh $(TARGET_DIR)/release

postgresql: ## Install PostgreSQL if the server would need one and there is none
	scripts/install-postgresql.sh

cargo:
	@command -v cargo >/dev/null || { \
		echo "cargo is missing: install Rust 1.95 or later, see https://rustup.rs" >&2; exit 1; }
