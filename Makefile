# hostcall: `make run` boots a guest, `make test` checks everything. `make help` lists the rest.

CARGO ?= cargo
# rustup's directory is on the path of login shells only.
export PATH := $(PATH):$(HOME)/.cargo/bin
# Tests wait for guests and deadlines more than they compute: four at once on two processors.
export RUST_TEST_THREADS ?= $(shell nproc | awk '{ print $$1 < 4 ? 4 : $$1 }')

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests build run lint loom test test-long compatibility bench clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 24

setup: ## install what is missing (as root), or say how
	@.ci/setup

setup-tests:
	@.ci/setup --tests

build: setup ## build everything, optimised
	@echo "== building (the first time takes a minute or two)"
	@$(CARGO) build --release --workspace

run: setup ## boot a guest: a shell on a terminal, a tour without one
	@echo "== building (the first time takes a minute or two)"
	@$(CARGO) build --release -p hostd -p hostcall-preload -p hostcall-hostfs -p hostcall-shell -p hostcall-bench
	@if [ -t 0 ] && [ -t 1 ]; then \
		echo "== booting a guest"; \
		target/release/hostd run || true; \
	else \
		echo "== booting a guest for a tour"; \
		target/release/hostd run --copy docs/tour.sh:/root/tour.sh -- bash /root/tour.sh || exit 1; \
		echo; echo "== what calls cost here (a few seconds)"; \
		target/release/hostcall-bench --only stat --out target; \
	fi

lint: ## formatting and clippy
	@echo "== formatting"
	@$(CARGO) fmt --all --check
	@echo "== clippy"
	@$(CARGO) clippy --quiet --workspace --all-targets -- -D warnings

# loom replaces atomics and threads, so its build shares nothing with the others and has a directory of its own.
loom: ## model-check the ring, the wait and the queue for turns
	@echo "== model checking"
	@RUSTFLAGS="--cfg loom" $(CARGO) test --quiet --release -p hostcall --lib --target-dir target/loom

# The workspace's tests come last, so that the last line printed is theirs (there are no documentation tests). Tests that
# start programs of the workspace find them built. --tests takes the libraries' and programs' unit tests as well; --bins
# would run hrun too, which has no harness (shell/Cargo.toml).
test: setup-tests lint loom ## everything: formatting, clippy, licences, layering, loom, all tests
	@echo "== building for the tests"
	@$(CARGO) build --quiet --workspace --lib --bins --examples
	@echo "== tests"
	@$(CARGO) test --workspace --tests --no-fail-fast

test-long: test ## the same, and the tests that take minutes
	@echo "== long tests"
	@$(CARGO) build --quiet --release --workspace
	@$(CARGO) test --release --workspace --tests -- --ignored

compatibility: setup-tests ## run real programs in guests, and write docs/COMPATIBILITY.md
	@$(CARGO) build --quiet --workspace --lib --bins --examples
	@HOSTCALL_WRITE_COMPATIBILITY=1 $(CARGO) test -p hostcall-tests --test compatibility -- --include-ignored

bench: setup-tests ## measure against the host and against rivals
	@$(CARGO) build --release --workspace
	@$(CARGO) run --release -p hostcall-bench

clean: ## remove what was built
	@$(CARGO) clean
