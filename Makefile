# `make help` says what there is. Every target sets up what it needs; a second run finds it done.

lab ?= 1
submission ?= solutions/$(if $(filter lab% assessment,$(GIVEN_LAB)),$(GIVEN_LAB),lab$(GIVEN_LAB))/reference
args ?=

# What somebody typed reaches programs by the environment: neither make nor a shell reads what is in it.
typed = $(if $(filter file,$(origin $(1))),$($(1)),$(value $(1)))
export GIVEN_LAB := $(call typed,lab)
export GIVEN_SUBMISSION := $(call typed,submission)
export GIVEN_ARGS := $(call typed,args)
unexport lab submission args

# Bytecode is kept: else every program of ours that starts compiles its modules first, and tests start many.
unexport PYTHONDONTWRITEBYTECODE

KUBEPROOF := .venv/bin/python scripts/with-args.py .venv/bin/kubeproof
PYTEST := .venv/bin/python scripts/with-args.py .venv/bin/pytest
READY := .venv/.ready
LINTED := graders tests scripts
# Side by side, a test goes to whoever is free.
SPREAD := -n 2 --dist worksteal
# Half of what tests without a cluster take is waiting, and a third of what those with one take.
SPREAD_FAST := -n 4 --dist worksteal
SPREAD_CLUSTER := -n 3 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup grade doctor test test-fast test-cluster test-attacks test-kind test-class test-action test-scale image test-interop selftest bench lint lint-workflows dist docs-site lock clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo '  make grade lab=1 submission=DIR args="--only retries --keep"'

setup: $(READY) ## Have everything ready: environment, control plane, Python and Go for learners
	@$(KUBEPROOF) setup

grade: $(READY) ## Grade a submission: lab=1 submission=DIR args="..."
	@$(KUBEPROOF) grade -- "$$GIVEN_LAB" "$$GIVEN_SUBMISSION"

doctor: $(READY) ## Say what this machine can do, and how to fix what it cannot
	@$(KUBEPROOF) doctor

test: test-fast test-cluster ## Lint and all tests but the attacks (builds the binaries if they are not there)

# What comes last is taken by whoever is free: stores and sandboxes come first, for each worker that has some
# of them starts a PostgreSQL of its own.
test-fast: lint ## Lint and the tests that need no cluster, nor many whole programs
	$(PYTEST) $(SPREAD_FAST) tests/conformance tests/unit -m "not cluster and not processes and not adversarial"

test-cluster: $(READY) ## The tests that need a cluster or start whole programs, and solutions from command to report
	@.venv/bin/kubeproof setup
	$(PYTEST) $(SPREAD_CLUSTER) tests/unit tests/conformance tests/cluster tests/e2e -m "(cluster or processes) and not adversarial and not kind"

test-attacks: $(READY) ## Attack the harness: hostile submissions, operators, sudden deaths
	@.venv/bin/kubeproof setup
	$(PYTEST) $(SPREAD) tests/conformance tests/adversarial -m adversarial
	@[ -n "$$GIVEN_ARGS" ] || .venv/bin/python scripts/stages.py note attacks

test-kind: $(READY) ## Real nodes and pods: the kind provider, in-cluster runs (root may lack a Docker engine)
	@sh scripts/kind-needs.sh
	@.venv/bin/kubeproof setup
	$(PYTEST) tests/kind tests/conformance -m kind
	@[ -n "$$GIVEN_ARGS" ] || .venv/bin/python scripts/stages.py note kind

test-class: $(READY) ## A class of forty, killed ten times on the way, on SQLite and on PostgreSQL
	$(PYTEST) tests/e2e/test_whole_class.py -m whole_class

test-action: $(READY) ## The action's steps as written, on a fresh clone, with what passes and what does not of each lab
	$(PYTEST) tests/e2e/test_action_on_a_clone.py -m action

test-scale: $(READY) ## A class graded elsewhere, by workers and in pods: one killed, a node stopped, the place gone
	@sh scripts/kind-needs.sh scale
	@.venv/bin/kubeproof setup
	$(PYTEST) tests/e2e/test_batch_elsewhere.py tests/scale -m scale

image: $(READY) ## The grader's image by the Containerfile, into build/grader.tar.zst (no registry is needed)
	@sh scripts/kind-needs.sh
	@.venv/bin/python scripts/grader_image.py build/grader.tar.zst

test-interop: $(READY) ## Gradebooks read back by nbgrader and pandas, in a virtual environment of their own
	@[ -x .venv-interop/bin/nbgrader ] || { python3 -m venv .venv-interop && .venv-interop/bin/pip install -q -r requirements.lock && .venv-interop/bin/pip install -q -e '.[interop]'; }
	PATH="$$PWD/.venv-interop/bin:$$PATH" .venv-interop/bin/python -m pytest -p no:cacheprovider tests/conformance/test_gradebooks_interop.py

selftest: $(READY) ## Grade the reference, the starter and every flawed solution of a lab: lab=1
	@$(KUBEPROOF) selftest -- "$$GIVEN_LAB"

bench: $(READY) ## Measure clusters, grades, the fault proxy, a class, and a graded class of 300 judged again
	@$(KUBEPROOF) bench

lint: $(READY) ## ruff, mypy, import-linter
	.venv/bin/ruff check $(LINTED)
	.venv/bin/ruff format --check $(LINTED)
	.venv/bin/mypy
	.venv/bin/lint-imports

lint-workflows: $(READY) ## actionlint and zizmor over the action, the workflows and the examples
	@.venv/bin/python scripts/lint_workflows.py

dist: $(READY) ## Build wheel, source and checksums into dist/
	@.venv/bin/python scripts/release.py build

docs-site: $(READY) ## Make pages of the docs in build/site, and see that no link is dead
	@.venv/bin/python scripts/docs_site.py

lock: ## Pin all requirements anew, with hashes
	@sh scripts/lock.sh

clean: ## Remove the environment and what tools left (not the cache of binaries)
	rm -rf .venv .venv-interop build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis *.egg-info

$(READY): requirements.lock pyproject.toml scripts/bootstrap.sh
	@sh scripts/bootstrap.sh
