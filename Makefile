# Copyright (c) 2026, quickpull.registry contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# make run        the role at work on a lab of three real Docker hosts (root on Debian)
# make run INVENTORY=hosts.ini [YES=1] [ARGS=...]    the same on your own hosts (no root, no lab)
# make check      what takes seconds            make test      everything (root: it uses the lab)
# make bench      the benchmark                 make clean     undoes everything
# make lab-up     make lab-down                 the lab alone

INVENTORY ?=
YES ?=
ARGS ?=
PYTHON := .cache/venv/bin/python
LAB := $(PYTHON) tests/lab/lab.py
export PATH := $(CURDIR)/.cache/venv/bin:$(PATH)
# The clone as a collection, then the collections that an inventory of one's own may need.
export ANSIBLE_COLLECTIONS_PATH := $(CURDIR)/.cache/collections:$(or $(ANSIBLE_COLLECTIONS_PATH),$(HOME)/.ansible/collections:/usr/share/ansible/collections)

# Where tests/run.py looks for bytecode: pip leaves it there, so that the first run of a check has not to compile all packages anew.
export PYTHONPYCACHEPREFIX := $(CURDIR)/.cache/pyc

.PHONY: run test check bench lab-up lab-down clean venv venv-check venv-run

ifeq ($(INVENTORY),)
run: venv
	$(LAB) up
	$(PYTHON) tests/lab/demo.py $(ARGS)
else
run: venv-run
	@case "$(INVENTORY)" in *,*) ;; *) [ -e "$(INVENTORY)" ] || { echo 'There is no inventory $(INVENTORY).'; exit 2; } ;; esac
	@answer=$(if $(filter 1 y yes true,$(YES)),y); [ -n "$$answer" ] || { \
	ansible-playbook -i "$(INVENTORY)" playbooks/site.yml --list-hosts $(ARGS) || exit; printf 'Change these hosts? [y/N] '; read answer || true; }; \
	[ "$$answer" = y ] || { echo 'Nothing was changed.'; exit 0; }; \
	ansible-playbook -i "$(INVENTORY)" playbooks/site.yml $(ARGS)
endif

test: venv
	@$(PYTHON) tests/run.py $(ARGS)

check: venv-check
	@$(PYTHON) tests/run.py --fast $(ARGS)

bench: venv
	$(LAB) up
	$(PYTHON) tests/benchmark/bench.py $(ARGS)

lab-up: venv
	$(LAB) up

lab-down:
	if [ -x $(PYTHON) ]; then $(LAB) down; fi

# The lab's `clean` also removes the images that are kept outside the clone; packages that apt installed stay.
clean:
	if [ -x $(PYTHON) ]; then $(LAB) clean; fi
	rm -rf .cache .ansible collections tests/output changelogs/.plugin-cache.yaml
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# ansible-core 2.19 runs on Python 3.11 to 3.13.
venv:
	@tests/venv.sh venv dev 3.11 3.13
	@$(PYTHON) tests/conftest.py

# Everything holds what `make check` needs, and is kept up to date where it is there.
venv-check:
	@tests/venv.sh venv $(if $(wildcard .cache/venv/.installed-dev),dev,check) 3.11 3.13
	@$(PYTHON) tests/conftest.py

venv-run:
	@[ -e .cache/venv/.installed-dev ] || tests/venv.sh venv run 3.11 3.13
	@$(PYTHON) tests/conftest.py
