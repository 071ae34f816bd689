# Every command of the project. `make help` lists them and needs nothing but make and awk.

PYTHON ?= python3

export PYTHON
export PATH := $(CURDIR)/.venv/bin:$(PATH)
# Ansible refuses to start in a locale that is not UTF-8; this one is part of every Debian.
export LC_ALL := C.UTF-8

PLAY := ansible-playbook -i inventories/local
# What prepares this machine for a deploy.
BOOTSTRAP := scripts/bootstrap deploy
COLLECTION := pgkeep.postgres
# All gates even when one fails, two at a time, the words of each together; the longest first.
GATES := $(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target sanity lint docs build types changelog
# Half of the tests wait for an engine, so two lanes share the processors. What one of them makes has a name of its own.
LANES := $(MAKE) --no-print-directory --keep-going --jobs=2 --output-sync=target lane-modules lane-scenarios
SHELL_SCRIPTS = .ci/run $(shell grep -lE '^.!/.*(bash|/sh)\b' scripts/* roles/*/files/* tests/lab/* 2>/dev/null)

.DEFAULT_GOAL := help
.PHONY: help deploy dev dev-clean test check lint format types docs changelog sanity unit build images integration molecule lane-modules lane-scenarios bench release clean venv

help: ## This list
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' Makefile

##@ Use
deploy: ## Bare machine (Debian 12 or 13, as root) to a proven PostgreSQL of inventories/local
	@$(BOOTSTRAP)
	@$(PLAY) playbooks/deploy.yml

dev: ## A small instance of inventories/dev for development, on PORT=15432; prints how to come in
	@$(BOOTSTRAP)
	@ansible-playbook -i inventories/dev playbooks/dev.yml

dev-clean: ## Remove what make dev made, with its data and secrets, and nothing else
	@scripts/dev-clean

##@ Test
test: ## Everything: gates, unit, integration and Molecule scenarios on the real engine
	@scripts/bootstrap test
	@$(GATES)
	@$(MAKE) --no-print-directory images
	@$(LANES)

lane-modules:
	@set -a; . ./.work/images.env; set +a; exec pytest --durations=15 tests/unit tests/integration

lane-scenarios:
	@set -a; . ./.work/images.env; set +a; exec pytest --durations=15 -o cache_dir=.work/pytest-scenarios tests/molecule

check: ## All that needs neither root nor an engine, under a minute when warm
	@scripts/bootstrap check
	@$(GATES) unit

lint: venv ## yamllint, ruff, shellcheck, ansible-lint
	yamllint --strict .
	ruff check .
	ruff format --check .
	shellcheck $(SHELL_SCRIPTS)
	ansible-lint --nocolor

format: venv ## Let ruff lay out the Python files
	ruff check --fix-only .
	ruff format .

types: venv ## mypy --strict on the library
	mypy --strict -p ansible_collections.$(COLLECTION).plugins.module_utils

docs: venv ## Documentation of modules and roles
	antsibull-docs lint-collection-docs --plugin-docs --skip-rstcheck --validate-collection-refs self .

changelog: venv ## Fragments and changelog
	antsibull-changelog lint
	antsibull-changelog lint-changelog-yaml --strict changelogs/changelog.yaml

sanity: venv ## ansible-test sanity, without any ignore file
	scripts/sanity

unit: venv ## The pure library and the rules of the repository
	pytest

build: venv ## The tarball in .work/dist, installed and syntax-checked as a user would have it
	scripts/build

images: venv ## Engine and images for the tests, named in .work/images.env
	@$(PLAY) tests/images.yml

integration: images ## Every module against the real engine
	@set -a; . ./.work/images.env; set +a; exec pytest tests/integration

molecule: images ## The scenarios: one per user story
	@set -a; . ./.work/images.env; set +a; exec pytest tests/molecule

bench: images ## The numbers, measured beside plain Docker and pgBackRest in the same run
	@set -a; . ./.work/images.env; set +a; exec scripts/bench

##@ Maintain
release: venv ## Move the fragments into the changelog of the version in galaxy.yml
	antsibull-changelog release --update-existing --reload-plugins --refresh-plugins

clean: ## Remove what make made: .venv, .work, caches (no container, no volume)
	rm -rf .venv .work .ansible
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

venv:
	@scripts/bootstrap check
