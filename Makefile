# Everything that is needed to build, run and test evenkeel. `make help` lists the targets.

HOST := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
# Statically linked: one file that runs on any Linux, and in an empty image. The explicit target keeps the flag away
# from procedural macros, which it would break.
export RUSTFLAGS := -C target-feature=+crt-static
CARGO := cargo
FLAGS := --locked --target $(HOST)
BUILT := target/$(HOST)/release
EVENKEEL := target/release/evenkeel
# What `make bench` compares loading with: a docker-compose program. Without one that part is left out.
BENCH_COMPOSE ?=
# How long `make fuzz` looks for mistakes, in seconds.
FUZZ_TIME ?= 180
FKS_STATE := $(if $(filter 0,$(shell id -u)),/var/lib/evenkeel-fks,$(HOME)/.local/state/evenkeel-fks)

# What the tests are built as: one program for those that need nothing, one for those that need a Docker Engine.
TESTS := $(CARGO) test $(FLAGS)
BUILT_TESTS := target/$(HOST)/debug
# Minutes that parts of `make test` may take on a machine with two CPUs, the first one with nothing built; and all of them.
BUILD_BUDGET ?= 20
HERMETIC_BUDGET ?= 8
ENGINE_BUDGET ?= 25
TEST_BUDGET ?= 80
# Tests with the Engine that run at the same time, each with projects of its own. They mostly wait; with more of them an
# Engine on two CPUs takes seconds for each start, and tests of the pace of restarts fail for that.
ENGINE_THREADS ?= 3
# Which of them: a part of their names. Otherwise all.
ENGINE_TESTS ?=

.PHONY: help run down fks fks-down build image engine test test-build test-hermetic test-engine test-long fmt lint deny conformance \
  bench bench-loader bench-scale fuzz search clean toolchain
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | awk -F'\t' '{printf "  make %-13s %s\n", $$1, $$2}'

run: build engine image ## build everything, find or install Docker, run the controller over manifests/
	@$(EVENKEEL) resume --all >/dev/null
	@exec $(EVENKEEL) run --manifests manifests

down: build ## remove what `make run` started; volumes are kept
	@$(EVENKEEL) down --manifests manifests reports shop

fks: build engine image ## run the fleet of examples/fks
	@$(EVENKEEL) resume --all --state $(FKS_STATE) --manifests examples/fks/manifests >/dev/null
	@exec $(EVENKEEL) run --manifests examples/fks/manifests --config examples/fks/evenkeel.yaml --state $(FKS_STATE)

fks-down: build ## remove the fleet
	@$(EVENKEEL) down --manifests examples/fks/manifests --config examples/fks/evenkeel.yaml --state $(FKS_STATE) fks

build: toolchain ## build both programs in release mode, into target/release
	@$(CARGO) build --release $(FLAGS) --bin evenkeel --bin demo-service
	@mkdir -p target/release
	@for name in evenkeel demo-service; do \
	  cmp -s $(BUILT)/$$name target/release/$$name || cp -f $(BUILT)/$$name target/release/$$name; done

image: build ## import the demo image from the program just built
	@deploy/demo-image target/release/demo-service

engine: build ## find a Docker Engine; as root on a machine with apt, install one where there is none
	@deploy/ensure-engine $(EVENKEEL)

test: toolchain ## all that CI asks for; EVENKEEL_TEST_NO_SKIP=1 lets no test be skipped
	@MAKE='$(MAKE)' tests/stages $(TEST_BUDGET) fmt test-build:$(BUILD_BUDGET) lint deny \
	  test-hermetic:$(HERMETIC_BUDGET) test-engine:$(ENGINE_BUDGET) conformance

test-build: toolchain
	$(TESTS) --no-run --lib --test it --test it-engine

test-hermetic: toolchain ## the tests that need neither a Docker Engine nor a network
	$(TESTS) --lib --test it

test-engine: toolchain ## the tests that need a Docker Engine, which is found or installed; and how many were skipped, and why
	@$(TESTS) --no-run --test it-engine
	@deploy/ensure-engine $(BUILT_TESTS)/evenkeel || [ "$$EVENKEEL_TEST_NO_SKIP" != 1 ]
	@tests/it-engine/run $(TESTS) --test it-engine -- --test-threads $(ENGINE_THREADS) $(ENGINE_TESTS)

# An hour or more. Whoever runs it commits the page that it writes.
test-long: toolchain ## what takes too long for each change; writes docs/long-run.md
	@tests/long-run 'make search SEEDS=100000' 'EVENKEEL_SEQUENCES=300 make test-engine ENGINE_TESTS="--nocapture side_by_side"' \
	  'make bench' $(if $(shell command -v cargo-fuzz),'make fuzz FUZZ_TIME=1800')

fmt:
	$(CARGO) fmt --check

lint: toolchain
	$(CARGO) clippy $(FLAGS) --all-targets -- -D warnings

# Sources that are missing are fetched first. The check itself asks nobody.
deny: toolchain ## check which crates, licences and sources there are, by .cargo-deny.toml
	@$(CARGO) fetch --locked --quiet
	$$(tests/tools deny)/cargo-deny --offline --locked --config .cargo-deny.toml check bans licenses sources

# Recorded answers of Docker Compose to files of other projects. They are not part of this repository.
CONFORMANCE ?= $(firstword $(wildcard ../*/conformance/check))

conformance: ## compare `render` with recorded answers of Docker Compose, where CONFORMANCE names the checker
	@if [ -n "$(CONFORMANCE)" ]; then \
	  $(TESTS) --no-run --test it && \
	  python3 $(CONFORMANCE) --binary $(BUILT_TESTS)/evenkeel --hashes; \
	else echo "skipped: CONFORMANCE names no checker"; fi

bench: build image bench-loader bench-scale ## measure against bare API calls; see benches/README.md
	@$(CARGO) build --release $(FLAGS) --example floor
	$(CARGO) bench $(FLAGS) --bench engine -- --floor $(BUILT)/examples/floor --evenkeel $(EVENKEEL) all

bench-loader: build ## measure loading; BENCH_COMPOSE=PATH names a docker-compose to compare with
	$(CARGO) bench $(FLAGS) --bench loader -- --evenkeel $(EVENKEEL) $(if $(BENCH_COMPOSE),--compose $(BENCH_COMPOSE))

bench-scale: toolchain ## measure the control loop over many services, simulated
	$(CARGO) bench $(FLAGS) --bench scale

# The switches of the fuzzer are not in a stable compiler; this variable lets it take them. Sanitizers are for unsafe
# code, of which there is none. What is found lies in fuzz/artifacts; the corpus grows in fuzz/corpus.
fuzz: toolchain ## look for input that the loader cannot take, for FUZZ_TIME=180 seconds; needs cargo-fuzz and a C++ compiler
	@command -v cargo-fuzz >/dev/null || { echo "make: cargo-fuzz is needed: cargo install cargo-fuzz --locked" >&2; exit 1; }
	@mkdir -p fuzz/corpus/loader
	RUSTC_BOOTSTRAP=1 RUSTFLAGS= $(CARGO) fuzz run --sanitizer none loader fuzz/corpus/loader fuzz/seeds/loader -- \
	  -max_total_time=$(FUZZ_TIME) -timeout=20 -rss_limit_mb=2048 -max_len=16384 -dict=fuzz/loader.dict

SEEDS ?= 200000

search: toolchain ## look for interleavings that break an invariant, SEEDS=200000 of them; see docs/search.md
	$(CARGO) run --release $(FLAGS) --bin search -- --seeds $(SEEDS)

clean: ## remove what was built
	$(CARGO) clean

toolchain:
	@command -v cargo >/dev/null && [ -n "$(HOST)" ] || { \
	  echo "make: a Rust toolchain is needed (cargo, rustc): https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null || { echo "make: a C linker is needed: apt-get install gcc libc6-dev" >&2; exit 1; }
