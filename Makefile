# `make run` and `make test` work on a bare machine with Python 3.11; `make help` lists the rest.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
TEST_WORKERS ?= 2

.PHONY: help setup run test check lint types pytest bench viz docs clean clean-all
.DEFAULT_GOAL := help

help: ## lists the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(READY) ## the environment alone, in .venv/

# torch first and by itself: a package that asks for any torch would fetch gigabytes of CUDA.
$(READY): requirements.lock pyproject.toml
	@echo "== setting up .venv (a few minutes the first time)"
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check "$$(grep '^torch==' requirements.lock)"
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

run: $(READY) ## a labeler from the bundled corpus, with report and lineage
	@echo "== kedro run: documents -> queries -> candidates -> labels -> labeler -> report"
	$(BIN)/kedro run
	@echo "== next: open the report named above; \`$(BIN)/kedro viz run\` shows the lineage, \`$(BIN)/mlflow ui\` the runs"

# Types are checked beside the tests, which leave a core idle now and then.
test: lint ## every check and every test
	@$(MAKE) --no-print-directory --jobs=2 types pytest

check: lint types ## linter, formatter and types

lint: $(READY) ## linter and formatter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY) ## the type checker
	$(BIN)/pyrefly check

# Threads of two workers wait for one another in loops, which on two cores slows both.
pytest: export OMP_NUM_THREADS ?= 1
pytest: $(READY) ## the tests alone
	$(BIN)/pytest -n $(TEST_WORKERS) --dist loadfile --no-loadscope-reorder

bench: $(READY) ## the slow runs on real data behind docs/results/ (BENCHMARKS=folder of the sets)
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/student.py validate
	$(BIN)/python benchmarks/student.py across
	$(BIN)/python benchmarks/student.py test --seeds 2
	$(BIN)/python benchmarks/student.py page
	$(BIN)/python benchmarks/interval_coverage.py
	$(BIN)/python benchmarks/systems.py
	$(BIN)/python benchmarks/report_speed.py
	$(BIN)/python benchmarks/performance.py
	$(BIN)/python benchmarks/early_exit.py
	$(BIN)/python benchmarks/scale.py

viz: $(READY) ## the lineage as a static site in build/, with a screenshot
	$(BIN)/python docs/tools/build_viz.py

docs: $(READY) ## the documentation as a static site in site/
	$(BIN)/mkdocs build --strict

# Whatever was paid for, written by people or registered; also the list of forgotten documents,
# without which the next run would read them again.
KEPT := label_ledger.sqlite* forgotten.json grading_samples.parquet human_grades.parquet

clean: ## removes what a run makes again for nothing; keeps the rest and says what
	@rm -rf recorded build site .pytest_cache .ruff_cache
	@find data/0[2-8]_* $(foreach name,$(KEPT),-name '$(name)' -prune -o) ! -type d -exec rm -f {} + 2>/dev/null || true
	@find data/0[2-8]_* -mindepth 1 -type d -empty -delete 2>/dev/null || true
	@for kept in $$(find data/0[2-8]_* $(foreach name,$(KEPT),-name '$(name)' -prune -print -o) -false 2>/dev/null) \
	  $$(ls -d mlflow.db mlruns 2>/dev/null); do echo "kept $$kept"; done

clean-all: ## removes these as well, after a question
	@printf "Paid answers, people's grades, the list of forgotten documents and every registered model go, for good. Type yes: "
	@read answer && [ "$$answer" = yes ] || { echo "nothing was removed"; exit 1; }
	@$(MAKE) --no-print-directory clean >/dev/null
	rm -rf data/0[2-8]_* mlflow.db mlruns mlartifacts
