# Everything a person does here. The first target that needs it sets the project up in .venv, once.

export PYTHON
.DEFAULT_GOAL := help
.PHONY: help swarm test lint format lock vectors bench clean run dev

help: ## show this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

swarm: run ## start a swarm of real nodes on this machine; ARGS="--help" shows what it takes
	@exec .venv/bin/troth swarm $(ARGS)

test: ## every check there is, as CI runs it; a part with STAGES="lint unit"
	@exec tools/stages.sh $(if $(STAGES),install $(STAGES))

lint: ## format, lint, types and who may import whom
	@exec tools/stages.sh install format lint types imports

format: dev ## lay the code out, and sort its imports
	@.venv/bin/ruff check --quiet --select I --fix .
	@.venv/bin/ruff format .

lock: ## pin every dependency anew, with hashes and without addresses
	@exec tools/lock.sh

vectors: run ## make the test vectors in spec/vectors anew
	@exec .venv/bin/python spec/vectors/make.py

bench: run ## measure how fast entries settle, beside the bare transport and signatures, what a trade takes, what size costs; ARGS="--quick --json FILE"
	@exec .venv/bin/python tests/bench/run.py $(ARGS)

clean: ## remove what builds and checks leave behind (.venv stays)
	@rm -rf build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -path ./.venv -prune -o -path ./.git -prune -o -name __pycache__ -type d -exec rm -rf {} +

run:
	@tools/setup.sh run

dev:
	@tools/setup.sh dev
