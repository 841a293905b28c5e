# The two commands a newcomer needs: make demo, make test. Each does its own set-up.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
export OMP_WAIT_POLICY := passive
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: demo test programs check serve bench docs clean

demo: $(READY)  ## MovieLens-100K end to end; the report is runs/demo/report.html
	$(BIN)/headrace demo --out runs/demo

test: $(READY) programs  ## every test
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -q

programs:  # that some tests drive: Debian's, where we may install; without one its tests are skipped, by name
	@lacking() { for one in chromium redis-server faketime; do command -v $$one >/dev/null || echo $$one; done; }; \
	install() { timeout 300 apt-get install -y -qq --no-install-recommends $$(lacking); }; \
	export DEBIAN_FRONTEND=noninteractive; \
	if [ -n "$$(lacking)" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		{ install || { timeout 120 apt-get update -qq && install; }; } >/dev/null 2>&1 || true; fi; \
	for one in $$(lacking); do echo "$$one is not installed: the tests that drive it are skipped"; done

check: $(READY)  ## style, types, layers, code blocks of the docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python docs/make_papers.py --check
	$(BIN)/python docs/make_client.py --check
	$(BIN)/python docs/run_blocks.py

serve: $(READY)  ## the API on the demo's result, http://127.0.0.1:8765/docs
	test -f runs/demo/plan.json || $(BIN)/headrace demo --out runs/demo
	$(BIN)/headrace serve runs/demo

bench: $(READY)  ## speed, written to benchmarks/results
	test -f runs/demo/plan.json || $(BIN)/headrace demo --out runs/demo
	for name in imports training index encoding importing serving neighbours sasrec semantic_ids generation evaluation experiments optimizers transformer world flying balancers balancer_memory tables anchors populations long_history reading embsum; do $(BIN)/python -m benchmarks.$$name || exit 1; done

docs: $(READY)  ## docs/papers.md from results/, the client from the routes, and the code blocks of README.md and docs/
	$(BIN)/python docs/make_papers.py
	$(BIN)/python docs/make_client.py
	$(BIN)/python docs/run_blocks.py

clean:  ## the environment and what builds made
	rm -rf $(VENV) runs dist

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Headrace needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try: make $(MAKECMDGOALS) PYTHON=python3.11"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo "Can't make a virtual environment. On Debian: apt-get install python3-venv"; rm -rf $(VENV); exit 1; }
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)
