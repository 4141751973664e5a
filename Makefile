# make run: start it.  make test: all tests.  Both install what they need, in .venv.
# make bundle: what was committed, of it what runs, as a zip for Elastic Beanstalk.
PYTHON ?= python3
BIN := .venv/bin
BUNDLE ?= takeanumber.zip

.PHONY: run test soak bench bundle lint format screenshots clean

run: .venv/runs
	@$(BIN)/python takeanumber.py

test: lint tests/node_modules/installed
	@$(BIN)/pytest -m "not soak and not alone" --numprocesses 4; first=$$?; \
	$(BIN)/pytest -m "not soak and alone" && exit $$first

soak: .venv/tests tests/node_modules/installed
	$(BIN)/pytest -m soak

bench: .venv/tests
	$(BIN)/python tests/bench/bench.py
	$(BIN)/python tests/bench/stats.py
	$(BIN)/python tests/bench/wait.py
	$(BIN)/python tests/bench/backup.py
	$(BIN)/python tests/bench/contacts.py
	$(BIN)/python tests/bench/calls.py

bundle:
	@git archive --format=zip --output=$(BUNDLE) HEAD $$(sed -n 's|^!/||p' .ebignore)
	@echo $(BUNDLE)

lint: .venv/tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

format: .venv/tests
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

screenshots: .venv/tests
	$(BIN)/python docs/screenshots.py

.venv/runs: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed.") if sys.version_info < (3, 11) else None'
	@test -d .venv || $(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	@touch $@

.venv/tests: .venv/runs tests/requirements.txt
	@$(BIN)/pip install --quiet --disable-pip-version-check -r tests/requirements.txt
	@touch $@

tests/node_modules/installed: .venv/tests tests/package-lock.json
	@test -x /usr/bin/chromium || { echo "The browser tests need Chromium: apt-get install chromium"; exit 1; }
	@command -v npm >/dev/null || { echo "The accessibility tests need npm: apt-get install npm"; exit 1; }
	@npm ci --silent --no-audit --no-fund --prefix tests
	@touch $@

clean:
	rm -rf .venv tests/node_modules .pytest_cache .ruff_cache .hypothesis takeanumber.zip
