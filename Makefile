# make run: start the service.  make test: run the tests.  Both install what they need (see tests/install.py).
# make bundle: make the zip for Elastic Beanstalk from the last commit.
PYTHON ?= python3
# Keep compiled modules, even where the environment says not to: without them, each start takes four times as long.
export PYTHONDONTWRITEBYTECODE :=
BIN := .venv/bin
BUNDLE ?= takeanumber.zip

.PHONY: run test compiled requirements audit soak bench bundle lint format screenshots clean install-run install-test

run: install-run
	@$(BIN)/python takeanumber.py

# Four tests run at once, since many wait for a server or a browser; "loadgroup" hands them out one by one. Those
# marked "alone" measure time, so they don't share the machine. They also run when another test failed.
ALONE = $(shell grep -rl pytest.mark.alone --include="test_*.py" tests)
test: install-test
	@$(MAKE) --no-print-directory --jobs 2 lint compiled
	@$(BIN)/pytest -m "not soak and not alone" --numprocesses 4 --dist loadgroup --durations 25; first=$$?; \
	$(BIN)/pytest -m "not soak and alone" --durations 25 $(ALONE) && exit $$first

soak: install-test
	$(BIN)/pytest -m soak
	$(BIN)/python tests/attack/attack.py
	$(BIN)/python tests/run_on_other_dates.py

bench: install-test
	$(BIN)/python tests/bench/bench.py
	$(BIN)/python tests/bench/strangers.py
	$(BIN)/python tests/bench/stats.py
	$(BIN)/python tests/bench/wait.py
	$(BIN)/python tests/bench/backup.py
	$(BIN)/python tests/bench/contacts.py
	$(BIN)/python tests/bench/calls.py
	$(BIN)/python tests/bench/move.py
	$(BIN)/python tests/bench/postgres.py
	$(BIN)/python tests/bench/push.py

bundle:
	@git archive --format=zip --output=$(BUNDLE) HEAD $$(sed -n 's|^!/||p' .ebignore)
	@echo $(BUNDLE)

# What the processes that run tests would each compile, all at the same time.
compiled: install-test
	@$(BIN)/pytest --collect-only -qq > /dev/null 2>&1 || true

lint: install-test
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy takeanumber.py app
	@$(BIN)/lint-imports

requirements:
	@$(PYTHON) tests/lock.py lock $(OPTIONS)

# Tells of known vulnerabilities; where there is no network, it says that nothing was checked.
audit:
	@$(PYTHON) tests/lock.py audit

format: install-test
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

screenshots: install-test
	$(BIN)/python docs/screenshots.py

install-run:
	@$(PYTHON) tests/install.py run

install-test:
	@$(PYTHON) tests/install.py test

clean:
	rm -rf .venv .pytest_cache .ruff_cache .mypy_cache .hypothesis takeanumber.zip
