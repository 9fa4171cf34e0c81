# What each command does: make help.

.DEFAULT_GOAL := help
.PHONY: help
help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Demo: everything on this machine, without a cluster

.PHONY: demo demo-clean
demo: ## Start MySQL servers and both apps here; REPLICAS=3, WRITE_PORT=31000 and READ_PORT=31001 are other choices
	@demo/python-env .venv demo/requirements.txt
	@.venv/bin/python demo/run.py

demo-clean: ## Delete the demo's data and the MySQL that was downloaded for it
	@demo/run.py --clean

##@ Test

.PHONY: test lint
test: ## Run everything that can be tested without a cluster
	@demo/python-env .venv requirements-dev.txt
	@.venv/bin/python -m pytest tests --ignore=tests/e2e

lint: ## Check the style of Python, shell scripts and Dockerfiles
	@demo/python-env .venv requirements-dev.txt
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
