# make install   set up .venv, once; without the network when nothing changed
# make run       start Inkling: web, worker and scheduler, with a demo shop in an empty database
# make test      every check; ARGS go to pytest: make test ARGS="-k assign -x"
# make lint      the checks that run no test
# make format    put the code in shape

SHELL = /bin/sh
PYTHON = .venv/bin/python
STAMP = .venv/installed-requirements.txt
REQUIREMENTS = requirements.txt requirements-dev.txt
ARGS =

.PHONY: install run test lint format clean

install:
	@if [ -x $(PYTHON) ] && $(PYTHON) -c '' 2>/dev/null && cat $(REQUIREMENTS) | cmp -s - $(STAMP); then exit 0; fi; \
	for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	    if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then found=$$candidate; break; fi; \
	done; \
	if [ -z "$$found" ]; then \
	    echo "Inkling needs Python 3.11 or newer with its venv module, and found none on PATH." >&2; \
	    echo "Install it (Debian, Ubuntu: apt-get install python3.11 python3.11-venv; macOS: brew install python@3.11) and try again." >&2; \
	    exit 1; \
	fi; \
	set -e; \
	if ! [ -x $(PYTHON) ] || ! $(PYTHON) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Creating .venv with $$($$found --version)"; \
	    $$found -m venv --clear .venv; \
	fi; \
	echo "Installing the pinned requirements into .venv"; \
	$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt || { \
	    echo "The packages could not be installed. The first installation needs the network; later ones do not." >&2; exit 1; }; \
	cat $(REQUIREMENTS) > $(STAMP)

run: install
	@exec $(PYTHON) manage.py serve --bootstrap

lint: install
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) .venv/bin/lint-imports

test: lint
	$(PYTHON) -m pytest $(ARGS)

format: install
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
