# Everything works in a fresh clone: each target makes its own .venv first.
# Tests start hundreds of processes, and pytest rewrites every test file: without compiled files all
# of that is done anew, in every process and every run.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: venv demo bundle bundle-check test test-durations test-unit test-integration lint lint-sdk snapshots bench chaos load observe lock clean coverage launch-check mutants
.DEFAULT_GOAL := demo

venv: $(STAMP)

$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps -e .
	@touch $(STAMP)

demo: venv
	$(BIN)/python -m cdesk_app.cli.demo

# More processes than a machine of two cores has, since tests that start a process wait for it; tests
# that share what dbt built for them stay together (tests/conftest.py).
PROCESSES := -n 5 --dist loadscope --no-loadscope-reorder
PYTEST := $(BIN)/python -m pytest -q $(PROCESSES)

test: venv
	$(PYTEST)

# The same, and what took longest (docs/tests.md).
test-durations: venv
	$(PYTEST) -p tests.cpu_times --durations=20

# The halves of `make test`.
test-unit: venv
	$(PYTEST) tests/unit

test-integration: venv
	$(PYTEST) --ignore tests/unit

lint: venv
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/sqlfluff lint models analyses tests/data

# Renews the files that tests compare with, what takes seconds before what needs the Snowflake
# stand-in. Read the difference before you commit it.
snapshots: venv
	UPDATE_SNAPSHOT=1 $(BIN)/python -m pytest -q -m snapshot --ignore tests/integration/snowflake
	UPDATE_SNAPSHOT=1 $(BIN)/python -m pytest -q -m snapshot tests/integration/snowflake

# The protocol tests against the newest MCP SDK, with the lazy import on though it was not measured.
lint-sdk: venv
	$(BIN)/python scripts/lint_sdk.py

bench: venv
	$(BIN)/python -m bench

# The extension for Claude Desktop: dist/cdesk-<version>.mcpb. Needs npm, which brings the tool that
# validates and packs it.
bundle: venv
	$(BIN)/python scripts/bundle.py

# Installs the bundle and the wheel for real, from the package registry.
bundle-check: venv
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m pytest -q -m bundle tests/integration/test_installation.py

chaos: venv
	$(BIN)/python -m pytest -q -m chaos tests/chaos

load: venv
	$(BIN)/python -m bench load --report docs/load.md

# One alert seen end to end on a local Prometheus and Alertmanager; ends by itself.
observe: venv
	$(BIN)/python scripts/observe.py

# Lines and branches, across all processes of `make test`. Reported where a test fails, too, which
# fails it all the same. REPORT=docs/tests.md keeps what no test runs.
coverage: venv
	rm -f .coverage .coverage.*
	@failed=0; $(BIN)/python -m coverage run -m pytest -q $(PROCESSES) \
		$(if $(RESULTS),--junitxml='$(RESULTS)') || failed=$$?; \
	echo "tests ended with exit $$failed"; \
	$(BIN)/python -m coverage combine --quiet && \
	{ $(BIN)/python -m coverage report --skip-covered --fail-under=80 || failed=$$?; } && \
	{ $(BIN)/python scripts/uncovered.py $(if $(REPORT),--report '$(REPORT)') || failed=$$?; } && \
	if [ $$failed != 0 ]; then echo "make coverage failed (exit $$failed)"; exit $$failed; fi

# Small mistakes put into a copy of a room, one at a time: which does no test notice? `ROOM=uploader`
# or several in quotes (all without it), SEED, COUNT and MINUTES of each room, BASE=main for what a
# change touched, KNOWN=1 for the mistakes that once stayed unseen, REPORT=docs/tests.md,
# WHOLE=1 to try survivors with the tests that take long, too.
mutants: venv
	$(BIN)/python -m scripts.mutants $(ROOM) $(if $(BASE),--base $(BASE)) $(if $(SEED),--seed $(SEED)) \
		$(if $(COUNT),--count $(COUNT)) $(if $(MINUTES),--minutes $(MINUTES)) \
		$(if $(REPORT),--report $(REPORT)) $(if $(WHOLE),--whole) $(if $(KNOWN),--known)

# Go or no-go, with evidence: about 35 minutes of a machine that does nothing else. QUICK=1 runs what
# takes seconds, ONLY=rollback one point; both say so, and are no GO.
launch-check: venv
	$(BIN)/python -m cdesk_app.ops.launch_check $(if $(QUICK),--quick) $(if $(ONLY),--only '$(ONLY)') $(if $(OUT),--out $(OUT))

lock: venv
	$(BIN)/python -m pip install --quiet pip-tools
	$(BIN)/pip-compile --quiet --all-extras --upgrade --no-emit-index-url --no-emit-find-links --strip-extras \
		--no-annotate --no-header --output-file requirements.lock pyproject.toml

clean:
	rm -rf $(VENV) target logs .demo
