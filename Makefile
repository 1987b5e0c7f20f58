# Every target sets up its own virtual environment first; it is rebuilt when the dependencies in pyproject.toml change.
PYTHON ?= python3
OUT ?= figures
VENV := .venv
BIN := $(VENV)/bin
# Only the [project…] tables decide what is installed; a changed linter setting does not rebuild.
DEPENDENCIES := $(shell sed -n '/^\[build-system\]/,/^\[tool/p' pyproject.toml | cksum | cut -d ' ' -f 1)
INSTALLED := $(VENV)/.installed-$(DEPENDENCIES)

# A machine may be set to write no bytecode; then every worker and every command of a test compiles all sources anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help reproduce report test slow-test lint derivations notebooks docs gallery benchmarks clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "%-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

reproduce: $(INSTALLED)  ## the order parameter through the transition: theory and simulation, in figures/
	$(BIN)/unrolled reproduce order-parameter --quick --out $(OUT)

report: $(INSTALLED)  ## one HTML page with panels, checks, derivations and an interactive figure, in report/
	$(BIN)/unrolled report --quick --out report

test: $(INSTALLED)  ## the fast tests
	$(BIN)/python -m pytest -n auto --dist worksteal

slow-test: $(INSTALLED)  ## the long statistical tests
	$(BIN)/python -m pytest -n auto --dist worksteal -m slow

lint: $(INSTALLED)  ## ruff, mypy and the import walls
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache

derivations: $(INSTALLED)  ## run the literate derivations; notebooks and HTML in derivations-out/
	$(BIN)/python -m derivations.report.notebooks --out derivations-out

notebooks: $(INSTALLED)  ## run the notebooks of docs/notebooks; for Jupyter and as HTML in notebooks-out/
	$(BIN)/python -m derivations.report.notebooks --scripts docs/notebooks --out notebooks-out

docs: $(INSTALLED)  ## all pages, notebooks, derivations and API reference as HTML in docs-out/; fails on a dead link
	$(BIN)/python -m derivations.report.site --out docs-out --runs derivations-out

gallery: $(INSTALLED)  ## remake docs/gallery.md and its pictures from the panels in figures/
	$(BIN)/unrolled reproduce --quick --out $(OUT)
	$(BIN)/python -m derivations.report.gallery --panels $(OUT)

benchmarks: $(INSTALLED)  ## timing ratios; installs the peers that they are measured against
	$(BIN)/python -m pip install --quiet --editable '.[benchmarks]'
	$(BIN)/python -m pytest -m benchmark -s tests/benchmarks

$(INSTALLED): | python-is-recent
	rm -rf $(VENV)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
	touch $@

.PHONY: python-is-recent
python-is-recent:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "unrolled needs Python 3.11 or newer; choose one with: make PYTHON=/path/to/python3 ..." >&2; exit 1; }

clean:  ## remove the virtual environment and everything that was made
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache derivations-out notebooks-out docs-out
