# One line for each target; `make` alone lists them. CARGO_TARGET_DIR says where builds go.

CARGO_TARGET_DIR ?= $(CURDIR)/target
export CARGO_TARGET_DIR

MEDALLION := $(CARGO_TARGET_DIR)/debug/medallion
RUST_VERSION := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)
# Events that `make demo` generates for each of its two pipelines.
ROWS ?= 20000
# How long `make demo-stream` sends events, and how many a second.
DURATION ?= 30
RATE ?= 5000
# How often each test of `make soak` kills a run or a stream, how many seconds its lakes fail, and how many random inputs
# are cut into batches.
CRASHES ?= 100
OUTAGE ?= 30
CASES ?= 500

# What a build has with the source of Kinesis, and the stand-in for its server.
KINESIS := cli/kinesis,medallion-tests/kinesis
MOTO := $(CARGO_TARGET_DIR)/kinesis/bin/moto_server

.DEFAULT_GOAL := help
.PHONY: help build release demo demo-stream test test-kinesis lint bench bench-incremental bench-merge bench-kafka bench-stream bench-endure bench-workflow soak clean-demo tools go java browser

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-18s%s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: tools ## Build the `medallion` command for development
	cargo build --workspace --bins

release: tools ## Build the `medallion` command optimised, into release/ of the target folder
	cargo build --release -p cli

demo: build ## Try the pipelines on their tests, generate data, run two of them to gold, and show the results
	$(MEDALLION) test
	$(MEDALLION) generate experiments --rows $(ROWS)
	$(MEDALLION) generate behavior --rows $(ROWS)
	$(MEDALLION) run demo
	$(MEDALLION) query "SELECT * FROM experiments.gold.participation ORDER BY flag_key, flag_value" --limit 6
	$(MEDALLION) query "SELECT flag_key, flag_value, participants, conversion_rate, control_rate, ROUND(p_value, 4) AS p_value, is_significant FROM experiments.gold.significance ORDER BY p_value" --limit 6
	$(MEDALLION) query "SELECT * FROM behavior.gold.kpi_summary ORDER BY period"
	$(MEDALLION) query "SELECT * FROM behavior.gold.daily_kpis ORDER BY event_date DESC" --limit 7
	$(MEDALLION) query "SELECT segment, COUNT(*) AS customers, SUM(revenue) AS revenue FROM behavior.gold.customer_segments GROUP BY segment ORDER BY revenue DESC"
	$(MEDALLION) query "SELECT name, units, revenue, average_rating FROM behavior.gold.product_performance ORDER BY revenue DESC" --limit 5
	@echo "What was refused, and why: nothing is lost."
	$(MEDALLION) query "SELECT unnest(reasons) AS reason, COUNT(*) AS rows, MIN(source) AS example_file FROM experiments.quarantine.silver_events GROUP BY reason ORDER BY rows DESC"
	$(MEDALLION) query "SELECT reasons, substr(row, 1, 90) AS row_begins FROM experiments.quarantine.silver_events ORDER BY source, position" --limit 3
	@echo "Run it again: nothing is new, so nothing is written. Then look into pipelines/ and README.md."

demo-stream: build ## Stream generated events to gold for DURATION (30) seconds at RATE (5000) a second; needs no Kafka
	@demo/stream $(MEDALLION) $(DURATION) $(RATE)

test: tools go java browser ## Run all tests, those of real invoices if MEDALLION_RETAIL names their folder; S3 tests need Go, Kafka tests Java, the page's Chromium
	cargo build --workspace --bins
	cargo test --workspace

test-kinesis: tools $(MOTO) ## Run the tests of the Kinesis source, which is in builds with `--features kinesis`; needs Python
	cargo build --workspace --bins --features $(KINESIS)
	cargo test --workspace --lib --test it --features $(KINESIS) kinesis

$(MOTO): tests/kinesis/requirements.txt
	python3 -m venv --clear $(CARGO_TARGET_DIR)/kinesis
	$(CARGO_TARGET_DIR)/kinesis/bin/pip install --quiet --requirement $<
	touch $@

lint: tools ## Check format, lints and documentation; every warning is an error
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --workspace --all-targets --features $(KINESIS) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace --features $(KINESIS)

bench: tools ## Measure against hand-written Python on the same input; see bench/
	bench/run

bench-incremental: tools ## Measure refreshes of gold after one per cent of new rows, beside full ones; see bench/
	bench/refresh

bench-merge: tools ## Measure merges into 20 million rows against the Delta library's own
	bench/merge

bench-kafka: tools ## Measure how fast a Kafka topic is drained, beside a bare consumer; needs Java and Maven
	bench/drain

bench-stream: tools ## Measure the delay from produced to visible in gold; needs Java and Maven
	bench/delay

bench-workflow: ## Measure what tasks and runs cost, and how fast a long run history answers
	cargo run --release -p workflow --example figures

bench-endure: tools ## Measure whether a stream holds out at a high rate for ten minutes; needs Java and Maven
	bench/endure

soak: tools go ## Crash, fail and cut far more often than `make test` does, and count the rows
	cargo build --workspace --bins
	MEDALLION_CRASHES=$(CRASHES) MEDALLION_OUTAGE=$(OUTAGE) MEDALLION_REFUSED=10000 cargo test -p cli -p medallion-tests --test it -- --nocapture crash outage backlog equals_batch killed_replay
	MEDALLION_CRASHES=$(CRASHES) cargo test -p workflow --lib -- --nocapture crashes
	PROPTEST_CASES=$(CASES) cargo test -p cli -p medallion-tests --lib -- --nocapture batch_cuts

clean-demo: ## Delete what the demos made: the lake, the generated landing files, the run history
	rm -rf lake landing/experiments landing/experiments_conversions landing/behavior .medallion

tools:
	@command -v cargo >/dev/null || { echo "cargo is missing: install Rust $(RUST_VERSION) or newer from https://rustup.rs"; exit 1; }
	@command -v cc >/dev/null || { echo "a C compiler is missing: apt-get install build-essential (Debian), xcode-select --install (macOS)"; exit 1; }
	@version=$$(rustc --version | cut -d ' ' -f 2 | cut -d - -f 1); printf '%s\n' "$(RUST_VERSION)" "$$version" | sort -V -C || { echo "Rust $$version is too old: this needs $(RUST_VERSION) or newer; rustup update stable"; exit 1; }

go:
	@command -v go >/dev/null || { echo "go is missing: the S3 tests build their server with it; install it from https://go.dev/dl"; exit 1; }

java:
	@command -v java >/dev/null || { echo "java is missing: the Kafka tests run a broker with it; apt-get install default-jre-headless"; exit 1; }
	@command -v mvn >/dev/null || { echo "mvn is missing: the Kafka tests fetch their broker with it; apt-get install maven"; exit 1; }

browser:
	@command -v chromedriver >/dev/null || { echo "chromedriver is missing: the tests of the page drive a browser with it; apt-get install chromium chromium-driver"; exit 1; }
