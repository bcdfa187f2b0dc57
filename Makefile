# What can be done here. `make` alone lists it.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
TOOLS = PATH="$$(tools/need --bin):$$PATH"
GENERATED := openapi docs/reference
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help
help: ## list the targets
	@sed -nE 's/^([a-z-]+):.*## (.*)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

.PHONY: run
run: ## build and start Keyholt, its data in ./data
	tools/need build
	cargo run --release --locked -p keyholt -- serve

.PHONY: test
test: ## run the whole suite; installs what is missing and starts a PostgreSQL of its own
	tools/suite

.PHONY: check
check: style generated test ## everything that must hold before a change lands

.PHONY: style
style: ## formatting, lints, house style, licences and sources of dependencies
	tools/need build deny
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo xtask tidy
	$(TOOLS) cargo deny --locked check licenses bans sources

.PHONY: generate
generate: ## write openapi/ and docs/reference/ anew
	cargo xtask generate

.PHONY: generated
generated: generate ## see that what is generated is fresh and that the contract is well-formed
	git diff --exit-code -- $(GENERATED)
	@new="$$(git ls-files --others --exclude-standard -- $(GENERATED))"; \
	[ -z "$$new" ] || { echo "generated, but not committed:"; echo "$$new"; exit 1; }
	tools/need spectral
	$(TOOLS) spectral lint --fail-severity warn --ruleset tools/spectral.yaml openapi/*

.PHONY: tour
tour: ## walk the README's tour, the how-to pages and the tutorials line by line; TOUR_DATABASE=postgres walks them there
	tools/need build python curl jq
	tools/tour
	for page in docs/tutorials/*.md; do tools/tour "$$page"; done

.PHONY: audit
audit: ## known vulnerabilities of the dependencies; fetches the RustSec database
	tools/need build deny
	$(TOOLS) cargo deny --locked check advisories

.PHONY: bench
bench: ## measure speed and size, write docs/benchmarks.md; ROWS=verify-1m,list for some groups, QUICK=1 to try it
	tools/need build postgresql python deb:strace
	command -v npm >/dev/null || tools/need deb:nodejs deb:npm
	python3 -c 'import ensurepip' 2>/dev/null || tools/need deb:python3-venv
	cargo build --release --locked -p keyholt
	cargo build --release --locked -p keyholt-bench
	tools/with-postgres chrt --batch 0 $(TARGET)/release/keyholt-bench run --programs $(TARGET)/release --home $(TARGET)/bench \
		--json $(TARGET)/$(if $(QUICK),bench-quick,bench).json --page docs/benchmarks.md --peers bench/peers \
		$(if $(ROWS),--rows $(ROWS)) $(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(QUICK),--quick)

.PHONY: torture
torture: ## break a running server in every way that must be harmless, write docs/explanation/reliability.md; STEPS=kill,race for some, PERCENT=30 for fewer trials
	tools/need build postgresql python haproxy deb:strace deb:libfaketime deb:e2fsprogs
	cargo build --release --locked -p keyholt
	cargo build --release --locked -p keyholt-torture
	$(TARGET)/release/keyholt-torture --keyholt $(TARGET)/release/keyholt --home $(TARGET)/torture \
		$(if $(STEPS),--steps $(STEPS),--page docs/explanation/reliability.md) $(if $(SEED),--seed $(SEED)) $(if $(SHORT),--short) $(if $(PERCENT),--percent $(PERCENT))
	$(if $(STEPS),,tools/need schemathesis)
	$(if $(STEPS),,$(TOOLS) TRIAL_BINARY=$(TARGET)/release/keyholt tools/with-postgres bash -c \
		'TRIAL_DATABASE=$$KEYHOLT_TEST_POSTGRES tools/with-keyholt "$$PWD/tools/contract"')

.PHONY: mutants
mutants: ## break the rules of the domain one by one and see that a test notices; FILES=crates/core/src/scope.rs for some
	tools/need build mutants
	$(TOOLS) cargo mutants --jobs 2 --timeout 60 --output $(TARGET) $(foreach file,$(FILES),--file $(file))

.PHONY: fuzz
fuzz: ## look for inputs that break something, ten minutes for each target; FUZZ_SECONDS=60 TARGETS="secret scope"
	tools/fuzz $(or $(FUZZ_SECONDS),600) $(TARGETS)
