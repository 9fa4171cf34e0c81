# What each command does: make help.

.DEFAULT_GOAL := help
.PHONY: help
help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Demo: everything on this machine, without a cluster

.PHONY: demo demo-clean
demo: ## Start MySQL servers and both apps here; REPLICAS=3, WRITE_PORT=31000 and READ_PORT=31001 are other choices
	@demo/run.py --check
	@demo/python-env .venv demo/requirements.txt
	@.venv/bin/python demo/run.py

demo-clean: ## Delete the demo's data and the MySQL that was downloaded for it
	@demo/run.py --clean

##@ Test

.PHONY: test test-unit pictures lint
test: ## Run every test that needs no cluster, and print the test coverage of the apps
	@demo/python-env .venv requirements-dev.txt
	@exec tests/chromium >/dev/null
	@BROWSER=$$(tests/chromium) && export BROWSER && exec .venv/bin/python -m pytest tests --ignore=tests/e2e --cov=write-app --cov=read-app

test-unit: ## Run the apps' own tests: no root, no MySQL, seconds
	@demo/python-env .venv requirements-dev.txt
	@exec .venv/bin/python -m pytest tests/unit

pictures: ## Take the screenshots in images/ again, on the cluster: a card of each page in light and dark
	@demo/python-env .venv requirements-dev.txt
	@BROWSER=$$(tests/chromium) && export BROWSER && .venv/bin/python -m pytest tests/e2e/test_pages.py -k screenshots
	cd .cache/screenshots && cp write.png write-dark.png read.png read-dark.png ../../images/

lint: ## Check the style of Python, shell scripts, Dockerfiles and manifests, and look for known vulnerabilities
	@demo/python-env .venv requirements-dev.txt
	@demo/python-env .cache/lint requirements-lint.txt
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	cd write-app && ../.venv/bin/mypy app.py
	cd read-app && ../.venv/bin/mypy app.py
	.venv/bin/hadolint write-app/Dockerfile read-app/Dockerfile
	.venv/bin/shellcheck --external-sources $$(grep -lsE '^#!.*(ba)?sh$$' .ci/* scripts/* demo/* tests/*)
	BC_SKIP_MAPPING=TRUE LOG_LEVEL=ERROR .cache/lint/bin/checkov --config-file .checkov.yaml
	scripts/audit .cache/lint/bin/pip-audit
	.cache/lint/bin/codespell
	.cache/lint/bin/rumdl check .
	.cache/lint/bin/zizmor --offline --quiet --config .github/zizmor.yml .github

##@ Cluster: CONTEXT=name and NAMESPACE=name replace kubectl's current ones

export KUBECTL := kubectl$(if $(CONTEXT), --context=$(CONTEXT))$(if $(NAMESPACE), --namespace=$(NAMESPACE))
DEMO := -l app.kubernetes.io/part-of=mysql-replication-demo

.PHONY: build load deploy status verify dns scale undeploy clean e2e
build: ## Build the two images with docker, podman or buildah
	@scripts/build

load: ## Copy the images to the nodes; INTO=kind, minikube, k3d or containerd if the context does not say which
	@scripts/load $(INTO)

deploy: ## Run kubectl apply -f kubernetes/, wait until all is ready, print the addresses of the two pages
	@scripts/deploy

status: ## Show the demo's pods, Services and claims, and the cluster's warnings
	@scripts/where >/dev/null
	$(KUBECTL) get statefulset,deployment,pod,service,persistentvolumeclaim $(DEMO) -o wide
	$(KUBECTL) get events --field-selector type=Warning --sort-by=.lastTimestamp

verify: ## Show which pod follows which, and that a row written on the primary is on every pod
	@scripts/verify

dns: ## Show what mysql, mysql-0.mysql and mysql-read resolve to; IMAGE=busybox:1.28 asks with another busybox
	@scripts/dns

scale: ## Run N MySQL pods: make scale N=3
	@scripts/where >/dev/null
	@case "$(N)" in [1-9]|10) ;; *) echo "Say how many MySQL pods, from 1 to 10: make scale N=3" >&2; exit 1 ;; esac
	$(KUBECTL) scale statefulset mysql --replicas=$(N)
	$(KUBECTL) rollout status statefulset/mysql --timeout=300s

undeploy: ## Delete everything except the volumes and the passwords: a later deploy has the same data
	@scripts/where >/dev/null
	$(KUBECTL) delete statefulset,deployment,cronjob,job,service,configmap,networkpolicy,poddisruptionbudget $(DEMO)
	$(KUBECTL) wait --for=delete pod $(DEMO) --timeout=120s

clean: ## Delete everything, including volumes, backups and passwords; asks first, unless YES=1
	@namespace=$$(scripts/where) && [ -n "$(YES)" ] || { printf 'Delete the demo and all its data? [y/N] '; read -r answer && [ "$$answer" = y ]; } || { echo "Nothing deleted."; exit 1; }
	@$(MAKE) --no-print-directory undeploy
	$(KUBECTL) delete persistentvolumeclaim,secret $(DEMO)

e2e: ## Run the tests on the cluster, in their own namespaces; ONLY="deploy security" runs test_deploy.py and test_security.py
	@demo/python-env .venv requirements-dev.txt
	@BROWSER=$$(tests/chromium) && export BROWSER && exec .venv/bin/python -m pytest $(if $(ONLY),$(sort $(ONLY:%=tests/e2e/test_%.py)),tests/e2e) --timeout=600

##@ Chaos: nothing acknowledged is lost, whatever is killed

.PHONY: chaos
chaos: ## Cause faults under load on the cluster for 40 minutes, into docs/chaos.md; SHORT=1: each fault once
	@demo/python-env .venv requirements-dev.txt
	@PYTHONPATH=tests exec .venv/bin/python -m chaos $(if $(SHORT),--short)

##@ Bench: both apps beside a naive one and beside the ceiling

.PHONY: bench bench-cluster
bench: ## Measure speed, cost and memory on this machine, into docs/performance.md; SOAK=1: ten minutes of load, watched
	@demo/python-env .venv requirements-dev.txt
	@PYTHONPATH=tests:demo exec .venv/bin/python -m bench $(if $(SOAK),--soak)

bench-cluster: ## Measure the same on the cluster, beside a naive app, and the time until everything is ready
	@demo/python-env .venv requirements-dev.txt
	@PYTHONPATH=tests:demo exec .venv/bin/python -m bench.cluster

##@ Operation: docs/operations.md says when and why

.PHONY: secret backup backups fetch history restore rotate
secret: ## Make a Secret with random passwords, before the first deploy; KEYS=app-password changes only that one
	@KEYS="$(KEYS)" scripts/secret

backup: ## Back up all databases now, and wait for the end; a CronJob does the same every night
	@scripts/backup

backups: ## List the backups
	@scripts/backups

fetch: ## Copy a backup here: FROM=userdb-....sql.gz; TO=folder without FROM copies all that the folder does not have
	@FETCH="$(FROM)" TO="$(TO)" scripts/backups

history: ## List the transactions that changed or deleted something; ALL=1 lists all
	@ALL="$(ALL)" scripts/history

restore: ## Restore FROM=backup or file; TO_BEFORE=transaction also restores what was written up to just before it
	@FROM="$(FROM)" TO_BEFORE="$(TO_BEFORE)" scripts/restore

rotate: ## Set new random passwords in a running deployment, without a restart of MySQL; KEYS=app-password changes one
	@KEYS="$(KEYS)" scripts/rotate
