# Certibit: everything that is done from a shell. `make help` lists the targets.
#
# .venv is made by what is found here, and nothing is installed twice: a stamp in .venv holds a copy
# of the pyproject.toml that it was installed from. Paths are relative, so that a checkout may have
# spaces in its path.

.DEFAULT_GOAL := run
.DELETE_ON_ERROR:
.NOTPARALLEL:
MAKEFLAGS += --no-builtin-rules

BIN := .venv/bin
# An interpreter of the user's choice: make PYTHON=/usr/bin/python3.12
PYTHON ?=
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
# More for pytest: make test PYTEST="-k runner"
PYTEST ?=

# --- the shipped network --------------------------------------------------------------------------

RUN_ARGUMENTS = $(if $(SIM),--sim '$(SIM)') $(if $(VECTORS),--vectors '$(VECTORS)') \
  $(if $(NET),--net '$(NET)') $(if $(LENGTH),--length '$(LENGTH)') $(ARGS)

.PHONY: run
run: setup ## (default) plan, generate, simulate and sign off a network; see the variables below
	@$(BIN)/python -m tb run $(RUN_ARGUMENTS)

.PHONY: signoff
signoff: setup ## simulate and sign off the RTL that stands in build/, as planned and generated
	@$(BIN)/python -m tb signoff $(if $(SIM),--sim '$(SIM)') \
	  $(if $(VECTORS),--vectors '$(VECTORS)') $(if $(NET),--net '$(NET)') $(ARGS)

.PHONY: report
report: setup ## write the network's report anew, with what campaigns have found since its sign-off
	@$(BIN)/python -m tb report $(if $(NET),--net '$(NET)')

# --- tests ----------------------------------------------------------------------------------------

.PHONY: test
test: static chromium abc ## every test in both simulators, and the linters
	@$(BIN)/python -m pytest -n $(JOBS) $(PYTEST)

.PHONY: quick
quick: setup .venv/.test-stamp ## the tests that need no Verilator build and no synthesis, in two minutes
	@$(BIN)/python -m pytest -n $(JOBS) -m "not slow and not verilator and not lint" $(PYTEST)

.PHONY: lint
lint: static abc ## ruff, mypy, and the linters of the Verilog sources
	@$(BIN)/python -m pytest -m lint $(PYTEST)

SOURCES := $(wildcard model rtl_gen tb tests networks benchmarks)

.PHONY: static
static: setup .venv/.test-stamp
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m ruff format --check --quiet .
	@$(BIN)/python -m mypy --no-error-summary $(SOURCES)

.PHONY: format
format: .venv/.test-stamp ## let ruff lay out the Python sources
	@$(BIN)/python -m ruff check --fix --quiet . ; $(BIN)/python -m ruff format .

.PHONY: bench
bench: setup ## simulation speed under cocotb beside the bare simulator, as a ratio
	@$(BIN)/python -m benchmarks.simulation_speed

.PHONY: area
area: setup .venv/.test-stamp ## what pruning and quantisation save in gates: LUT4 and flip-flops
	@$(BIN)/python -m benchmarks.area $(if $(NET),--net '$(NET)') $(ARGS)

.PHONY: neurons
neurons: setup ## the spiking neuron's transfer curve in RTL: table and picture of docs/neurons.md
	@$(BIN)/python -m benchmarks.neurons $(ARGS)

.PHONY: registers
registers: setup ## how often shift registers break Hoeffding's radius: docs/shift-registers.md
	@$(BIN)/python -m benchmarks.shift_registers

.PHONY: plans
plans: setup .venv/.test-stamp ## plans of bitstream lengths side by side, each signed off (takes an hour)
	@$(BIN)/python -m benchmarks.plans $(if $(NET),--net '$(NET)') $(ARGS)

.PHONY: combinations
combinations: setup .venv/.test-stamp ## every encoding, adder, neuron and source on digits: docs/combinations.md (takes hours)
	@$(BIN)/python -m benchmarks.combinations $(ARGS)

.PHONY: mutate
mutate: setup .venv/.test-stamp abc ## defects planted in sources, and mutants of netlists: each must be killed (takes long)
	@$(BIN)/python -m tb mutate $(if $(SIM),--sim '$(SIM)') $(ARGS)

.PHONY: coverage
coverage: setup .venv/.test-stamp ## code and functional coverage of the benches, held to the testplan (takes long)
	@$(BIN)/python -m tb coverage $(ARGS)

.PHONY: faults
faults: setup .venv/.test-stamp ## inject faults into the simulated netlist, beside a binary design: docs/faults.md (takes long)
	@$(BIN)/python -m tb faults $(if $(NET),--net '$(NET)') $(ARGS)

# --- set-up ---------------------------------------------------------------------------------------

.PHONY: setup
setup: .venv/.base-stamp icarus ## only .venv and the simulators

# The stamps hold what was installed, so a pyproject.toml that is only newer installs nothing.
.venv/.base-stamp: pyproject.toml | tools
	@if cmp -s pyproject.toml $@; then touch $@; else $(INSTALL_BASE); fi

.venv/.test-stamp: .venv/.base-stamp
	@if cmp -s pyproject.toml $@; then touch $@; else $(INSTALL_TEST); fi

define INSTALL_BASE
	set -e; \
	python=$$($(FIND_PYTHON)); \
	$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  echo "setup: .venv from $$python"; \
	  rm -rf .venv; \
	  "$$python" -m venv .venv || { rm -rf .venv; exit 2; }; \
	}; \
	echo "setup: installing packages into .venv (once)"; \
	$(PIP) --editable .; \
	$(LIBPYTHON); \
	cp pyproject.toml $@
endef

define INSTALL_TEST
	set -e; \
	echo "setup: installing what the tests need into .venv (once)"; \
	$(PIP) --editable '.[test]'; \
	cp pyproject.toml $@
endef

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check --no-warn-script-location

# The first interpreter that is new enough and can make a virtual environment.
define FIND_PYTHON
	old=; bare=; \
	for p in $(if $(PYTHON),'$(PYTHON)',python3.11 python3.12 python3.13 python3.14 python3); do \
	  "$$p" -c '' 2>/dev/null || continue; \
	  "$$p" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { old=$$p; continue; }; \
	  "$$p" -c 'import ensurepip, venv' 2>/dev/null || { bare=$$p; continue; }; \
	  echo "$$p"; exit 0; \
	done; \
	if [ -n "$$bare" ]; then \
	  v=$$("$$bare" -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  echo "setup: $$bare has no venv module: apt-get install python$$v-venv (as root)" >&2; \
	elif [ -n "$$old" ]; then \
	  echo "setup: Python 3.11 or later is needed, $$old is older: apt-get install python3.11" \
	    "python3.11-venv (as root), or say where it is: make PYTHON=/path/to/python3" >&2; \
	else \
	  echo "setup: Python 3.11 or later was not found: apt-get install python3.11 python3.11-venv" \
	    "(as root), or say where it is: make PYTHON=/path/to/python3" >&2; \
	fi; \
	exit 2
endef

# cocotb loads Python's shared library into the simulator; Debian packs it apart from the
# interpreter, so that it may be missing.
define LIBPYTHON
	$(BIN)/python -c 'import sys, tb.simulators as s; sys.exit(s.libpython() is None)' || { \
	  package=libpython$$($(BIN)/python -c 'import sys; print("%d.%d" % sys.version_info[:2])'); \
	  $(AS_ROOT); \
	  if [ "$$root" != no ]; then \
	    echo "setup: installing $$package by apt (once)"; \
	    $$root apt-get update -qq && $$root apt-get install -y -qq $$package >/dev/null; \
	  fi; \
	  $(BIN)/python -c 'import sys, tb.simulators as s; sys.exit(s.libpython() is None)' || { \
	    echo "setup: Python's shared library is missing: apt-get install $$package (as root)" >&2; \
	    exit 2; \
	  }; \
	}
endef

# How to become root without being asked for a password: root is '' or 'sudo -n', or 'no'.
define AS_ROOT
	root=no; \
	if ! command -v apt-get >/dev/null; then :; \
	elif [ "$$(id -u)" = 0 ]; then root=; \
	elif sudo -n true 2>/dev/null; then root='sudo -n'; \
	fi
endef

.PHONY: tools
tools:
	@missing=; \
	for tool in g++ perl; do command -v $$tool >/dev/null || missing="$$missing $$tool"; done; \
	if [ -n "$$missing" ]; then \
	  echo "setup: not found:$$missing (Verilator builds with them): apt-get install$$missing" \
	    "(as root)" >&2; \
	  exit 2; \
	fi

# A command that apt may install: $(1) the command, $(2) the package, $(3) its name, $(4) what is said
# where it cannot be had. The command is asked, not a stamp: what was removed or installed by hand is
# seen.
define BY_APT
	@command -v $(1) >/dev/null && exit 0; \
	$(AS_ROOT); \
	if [ "$$root" != no ]; then \
	  echo "setup: installing $(3) by apt (once)"; \
	  $$root apt-get update -qq && DEBIAN_FRONTEND=noninteractive \
	    $$root apt-get install -y -qq --no-install-recommends $(2) >/dev/null && exit 0; \
	fi; \
	echo "setup: $(3) $(4): it is not installed, and apt-get could not install it (no root, or no" \
	  "network). To have it: sudo apt-get install $(2)"
endef

# A machine without root goes without Icarus.
.PHONY: icarus
icarus:
	$(call BY_APT,iverilog,iverilog,Icarus Verilog,is skipped)

# What the report is looked at with in tests. Without it those tests fail, and say so.
.PHONY: chromium
chromium:
	$(call BY_APT,chromium,chromium,Chromium,is missing)

# The model checker that proves mutants equivalent; Yosys' own copy does as well.
.PHONY: abc
abc:
	@command -v yosys-abc >/dev/null || $(MAKE) --no-print-directory berkeley-abc
.PHONY: berkeley-abc
berkeley-abc:
	$(call BY_APT,berkeley-abc,berkeley-abc,ABC,is missing)

# --- the rest -------------------------------------------------------------------------------------

.PHONY: clean
clean: ## remove everything that was built and the tools' caches; .venv stays
	@rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis
	@find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +

.PHONY: distclean
distclean: clean ## clean, and remove .venv
	@rm -rf .venv *.egg-info

.PHONY: help
help: ## this list
	@echo "usage: make [target] [variable=value ...]"; echo
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  \1|\2/p' $(firstword $(MAKEFILE_LIST)) \
	  | while IFS='|' read -r t h; do printf '  %-10s %s\n' "$$t" "$$h"; done
	@echo; echo "variables of 'make run' (unset: the shipped MNIST network, both simulators):"
	@echo "  SIM=icarus|verilator   only this simulator"
	@echo "  VECTORS=n              only the first n vectors (unset: all in Verilator, 100 in Icarus)"
	@echo "  NET=networks/NAME      another network"
	@echo "  LENGTH=n               bitstream length of every layer"
	@echo "  ARGS='--prune .05'     more options, to plan lengths or to compress: see run --help"
	@echo "  'make signoff' takes SIM, VECTORS, NET and ARGS, 'make mutate' SIM and ARGS"
	@echo "variables of 'make area', 'make plans' and 'make faults':"
	@echo "  NET=networks/NAME      another network"
	@echo "  ARGS='--only mixed'    more options: see python -m benchmarks.area or .plans --help"
	@echo "variables of 'make test', 'quick' and 'lint':"
	@echo "  PYTEST='-k NAME'       more arguments for pytest"
	@echo "  JOBS=n                 tests at a time (unset: one for each core)"
	@echo "variable of the set-up:"
	@echo "  PYTHON=/path/python3   the interpreter that .venv is made from (3.11 or later)"
