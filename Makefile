# make install   set up .venv with the pinned requirements; without the network when it has been done before
# make run       start Inkling: web, worker and scheduler, with a demo shop in an empty database
# make test      every check; ARGS go to pytest: make test ARGS="-k assign -x"
# make lint      the checks that run no test
# make format    put the code in shape
# make calibrate how often the product is wrong where the truth is known, into docs/calibration.md; an hour or two
# make browser   build the browser client into tracking/static/tracking/ab.js; needs esbuild (apt-get install esbuild)
# make pins      renew requirements.txt and requirements-dev.txt from the .in files
# make clean     remove .venv and the tools' caches; the data in var/ stays

SHELL = /bin/sh
PYTHON = .venv/bin/python
STAMP = .venv/installed-requirements.txt
REQUIREMENTS = requirements.txt requirements-dev.txt
ARGS =
# Tests run in this many processes; JOBS=0 runs them in one, which a debugger needs.
JOBS = 2
# Compiled modules halve the start of every process, and the tests start many.
unexport PYTHONDONTWRITEBYTECODE
PYTEST = $(PYTHON) -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder

# What production would set, so that its checks run with every change.
PRODUCTION = INKLING_ENV=production INKLING_ALLOWED_HOSTS=inkling.example.com \
    INKLING_SECRET_KEY=$$($(PYTHON) -c 'import secrets; print(secrets.token_urlsafe(64))')

.PHONY: install run test lint format calibrate browser pins clean

install:
	@if $(PYTHON) -c 'import pip' 2>/dev/null && cat $(REQUIREMENTS) | cmp -s - $(STAMP); then exit 0; fi; \
	set -e; \
	if ! $(PYTHON) -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    found=; \
	    for candidate in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	        if $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	            found=$$candidate; break; \
	        fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "Inkling needs Python 3.11 or newer with its venv module, and found none on PATH." >&2; \
	        echo "Debian and Ubuntu: apt-get install python3 python3-venv. macOS: brew install python@3.11. Then try again." >&2; \
	        exit 1; \
	    fi; \
	    echo "Creating .venv with $$($$found --version)."; \
	    $$found -m venv --clear .venv; \
	fi; \
	echo "Installing the pinned requirements into .venv."; \
	$(PYTHON) -m pip install --quiet --no-compile --disable-pip-version-check -r requirements-dev.txt || { \
	    echo "The packages could not be installed. The first installation needs the network; later ones do not." >&2; \
	    exit 1; \
	}; \
	cat $(REQUIREMENTS) > $(STAMP)

run: install
	@exec $(PYTHON) manage.py serve --bootstrap

lint: install
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command as run; run()'
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && set -e && export INKLING_DATA_DIR=$$scratch && \
	$(PYTHON) manage.py makemigrations --check --dry-run && \
	env $(PRODUCTION) $(PYTHON) manage.py check --deploy --fail-level WARNING

# The database tests run twice: on SQLite with all others, then on PostgreSQL where one answers (it must when CI=true).
test: lint
	$(PYTEST) $(ARGS)
	@if url=$$($(PYTHON) -m tests.services postgres); then \
	    echo "Once more on PostgreSQL: the database tests"; \
	    DATABASE_URL=$$url $(PYTEST) -m "database and not browser and not processes" $(ARGS) || [ $$? = 5 ]; \
	elif [ -n "$$CI" ]; then \
	    exit 1; \
	else \
	    echo "SKIPPED: the database tests on PostgreSQL"; \
	fi

format: install
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

# REPLICATES of each world over counts, THROUGH of each world through the whole analysis (all worlds: some 0.1 s of CPU for each),
# and EXPERIMENTS over HTTP through a running instance.
REPLICATES = 20000
THROUGH = 20000
EXPERIMENTS = 200
calibrate: install
	$(PYTHON) -m tests.calibration.page --replicates $(REPLICATES) --through $(THROUGH) --experiments $(EXPERIMENTS)

# One file from tracking/browser/, and the checksum of what it was made of, which a test compares. Needs esbuild.
browser:
	esbuild tracking/browser/ab.js --bundle --minify --format=iife --target=es2020 --outfile=tracking/static/tracking/ab.js
	cat tracking/browser/*.js | sha256sum | cut -d' ' -f1 > tracking/static/tracking/ab.sources

pins: install
	set -e; scratch=$$(mktemp -d); trap 'rm -rf "$$scratch"' EXIT; \
	frozen() { "$$scratch/bin/python" -m pip list --format=freeze --exclude pip --exclude setuptools | tr 'A-Z_' 'a-z-' | sort; }; \
	$(PYTHON) -m venv "$$scratch"; \
	"$$scratch/bin/python" -m pip install --quiet -r requirements.in; \
	{ echo "# The exact set that Inkling runs with: requirements.in and all that it needs. Made by: make pins"; frozen; } > requirements.txt; \
	"$$scratch/bin/python" -m pip install --quiet -c requirements.txt -r requirements-dev.in; \
	{ echo "# The exact set that the checks run with. Made by: make pins"; echo "-r requirements.txt"; frozen | grep -vxFf requirements.txt; } > requirements-dev.txt

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
