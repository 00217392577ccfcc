# FlickrHub. `make help` lists what there is; deploy/local/README.md says how the local stack works.

PYTHON_CODE = libs services deploy/local deploy/image deploy/k8s deploy/observability tests docs
STACK = .venv/bin/python -m deploy.local
SERVICES = gateway auth executor notifier
UNLESS_SET_UP = test -x .venv/bin/python ||
# The tests' stack: its own folder, its own free ports.
TEST_RUN_DIR ?= .run-test
TEST_STACK = RUN_DIR='$(TEST_RUN_DIR)' $(STACK)
COMPILE = .venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --custom-compile-command 'make lock' $(ARGS)

PROMETHEUS = deploy/local/bootstrap.sh prometheus || echo "Without promtool the tests that fire alerts are skipped."

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help setup servers up down clean status logs demo test test-unit test-contract test-integration test-e2e lint \
	dlq lock docs bench bench-upload bench-isolation chaos fuzz k8s metrics-check rotate-keys backup restore

help: ## list every target
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-18s %s\n", $$1, $$2}' Makefile

setup: ## make .venv and install every package into it
	@deploy/local/bootstrap.sh python

servers: ## setup, and install RabbitMQ and Redis where they are missing
	@deploy/local/bootstrap.sh servers

demo: servers ## watch the main job, from OAuth to the signed callback
	@$(STACK).demo

test: lint servers ## everything that proves it: lint, unit, integration, contract and end-to-end tests
	@deploy/local/bootstrap.sh kubectl
	@$(PROMETHEUS)
	@$(TEST_STACK) test $(wildcard tests/unit tests/integration tests/contract tests/e2e) $(ARGS)

up: servers ## start everything and wait until it is ready
	@$(STACK) up

down: ## stop what make up started, keep its data
	@$(UNLESS_SET_UP) exit 0; $(STACK) down

clean: ## stop it and forget it: data, logs and credentials of the local stack
	@$(UNLESS_SET_UP) exit 0; $(STACK) clean && $(TEST_STACK) clean && for dir in $(wildcard $(TEST_RUN_DIR)-*) .run-chaos .run-fuzz .run-bench .run-metrics; do RUN_DIR=$$dir $(STACK) clean || exit; done

rotate-keys: ## give the secrets at rest a new key and take the old one away, while jobs run
	@$(UNLESS_SET_UP) { echo "Nothing is set up yet: make up"; exit 3; }; $(STACK) rotate-keys $(ARGS)

backup: ## MongoDB and the key ring of the running stack into a new folder (TO=folder)
	@$(UNLESS_SET_UP) { echo "Nothing is set up yet: make up"; exit 3; }; \
	test -n "$(TO)" || { echo "Where to? make backup TO=folder"; exit 2; }; $(STACK) backup '$(TO)'

restore: ## put a backup back (FROM=folder, ARGS="--drop --rabbitmq-lost")
	@$(UNLESS_SET_UP) { echo "Nothing is set up yet: make up"; exit 3; }; \
	test -n "$(FROM)" || { echo "From where? make restore FROM=folder"; exit 2; }; $(STACK) restore '$(FROM)' $(ARGS)

status: ## every process: running, ready, port, pid
	@$(UNLESS_SET_UP) { echo "Nothing is set up yet: make up"; exit 3; }; $(STACK) status

logs: ## follow the logs (NAME=gateway: of one process)
	@$(UNLESS_SET_UP) { echo "Nothing is set up yet: make up"; exit 3; }; $(STACK) logs $(NAME)

dlq: ## dead letters of the running stack (ARGS="list flickr_dlq", "replay flickr_dlq --all --dry-run")
	@$(UNLESS_SET_UP) { echo "Nothing is set up yet: make up"; exit 3; }; \
	env_file="$${RUN_DIR:-.run}/env"; \
	test -r "$$env_file" || { echo "Nothing is running: make up"; exit 3; }; \
	set -a; . "$$env_file"; set +a; .venv/bin/flickrhub-dlq $(ARGS)

test-unit: setup ## tests that need nothing running (ARGS="-k word" for some)
	@deploy/local/bootstrap.sh kubectl
	@$(PROMETHEUS)
	@.venv/bin/python -m pytest tests/unit --numprocesses 2 $(ARGS)

test-integration: servers ## tests against real servers
	@$(TEST_STACK) test tests/integration $(ARGS)

test-contract: servers ## every row of the contract over HTTP
	@$(TEST_STACK) test tests/contract $(ARGS)

test-e2e: servers ## whole walks through the running stack
	@$(TEST_STACK) test tests/e2e $(ARGS)

bench: ## jobs/s, latencies, CPU and memory beside a bare chain through RabbitMQ (ARGS="--phases saturation")
	@deploy/local/bootstrap.sh bench
	@.venv/bin/python -m tests.bench.speed $(ARGS)

bench-isolation: servers ## another user's callbacks while one's receiver hangs and 10,000 wait for it (ARGS="--blocks 3")
	@.venv/bin/python -m tests.bench.isolation $(ARGS)

bench-upload: servers ## a photo of 200 MiB through gateway and executor, beside curl (ARGS="--rounds 9")
	@.venv/bin/python -m tests.bench.upload $(ARGS)

chaos: servers ## kill, silence and restart everything under load: nothing is lost (ARGS="--seed 7")
	@.venv/bin/python -m tests.chaos $(ARGS)

fuzz: servers ## requests made of the OpenAPI document, and every Hypothesis property at length (ARGS="--cases 10000")
	@.venv/bin/python -m tests.fuzz $(ARGS)

k8s: setup ## render every overlay of deploy/k8s, and hold every object to its schemas
	@deploy/local/bootstrap.sh kubectl
	@.venv/bin/python -m tests.k8s

metrics-check: servers ## every query of the dashboard, and what it says, by a Prometheus that scrapes a stack under load
	@deploy/local/bootstrap.sh prometheus
	@.venv/bin/python -m tests.observability $(ARGS)

lint: setup ## ruff, mypy --strict, import-linter
	.venv/bin/python -m ruff check .
	.venv/bin/python -m ruff format --check .
	.venv/bin/python -m mypy $(wildcard $(PYTHON_CODE))
	.venv/bin/lint-imports

lock: setup ## compile the hashed lock files: everything, and each image's own (ARGS=--upgrade for newer versions)
	$(COMPILE) requirements/runtime.in -o requirements/runtime.txt
	$(COMPILE) requirements/dev.in -o requirements/dev.txt
	$(COMPILE) requirements/kubectl.in -o requirements/kubectl.txt
	$(COMPILE) -c requirements/dev.txt requirements/build.in -o requirements/build.txt
	for service in $(SERVICES); do $(COMPILE) -c requirements/dev.txt --no-emit-package flickrhub-common \
		services/$$service/pyproject.toml -o requirements/$$service.txt || exit; done
	$(COMPILE) -c requirements/dev.txt libs/flickr_sim/pyproject.toml -o requirements/flickr-sim.txt

docs: setup ## regenerate what is generated in docs/, deploy/k8s/ and .env.example
	.venv/bin/python docs/generate.py
	.venv/bin/python -m deploy.observability.dashboard
	.venv/bin/python -m deploy.k8s.generate
