# Every target works from a fresh clone: each makes .venv first when it is missing or older than its description.
# The environment is made with $(PYTHON) -m venv; choose another interpreter with `make venv PYTHON=python3.12`.

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
ROOMS := policies sim robo_rl deploy real

# A bare `make` explains itself.
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help venv demo test mutants lint format bench tables pictures robot-install-check browser mcu-tools clean

help: ## show what there is
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  make %-20s %s\n", $$1, $$2 }'

venv: $(STAMP) ## make .venv with the tested versions (constraints.txt)

# The stamp is written last: an interrupted installation is taken up again by the next make.
$(STAMP): pyproject.toml constraints.txt
	@echo "== installing robo-rl[all] into $(VENV) with the versions of constraints.txt (a few minutes at most)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11) and "robo-rl needs Python 3.11 or newer: make venv PYTHON=python3.11")'
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[all]'
	@touch $@

demo: $(STAMP) ## train a quadrotor, export it and fly it through the ROS bridge (about two minutes)
	@echo "== training crazyflie-hover, then flying the policy through the bridge; files go to runs/demo"
	@$(BIN)/robo-rl demo

# The tests in real time take a processor whenever they want one; the others run beside them on what is left, since the
# kernel lets a process of the class `idle` run only while no other wants to. Where there is no such class the two parts
# run one after the other. Compiled modules are kept, whatever the environment says: hundreds of processes load them.
IDLE := $(shell chrt --idle 0 true 2>/dev/null && echo chrt --idle 0)
test: $(STAMP) ## run the test suite (within ten minutes on two cores)
	@$(MAKE) --no-print-directory --keep-going --jobs=$(if $(IDLE),2,1) in-real-time at-leisure

.PHONY: in-real-time at-leisure
PYTEST := env PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest
# With PYTEST_ARGS='-k NAME' one of the two parts may have no such test, which pytest calls 5.
END = code=$$?; [ $$code != 5 ] || code=$(if $(PYTEST_ARGS),0,5)
in-real-time:
	@echo "== running the tests in real time, one after the other"
	@$(PYTEST) -m realtime $(PYTEST_ARGS); $(END); exit $$code

at-leisure:
	@echo "== running the tests that do not look at the clock$(if $(IDLE), beside them; their output follows)"
	@log=$$(mktemp); OMP_NUM_THREADS=1 $(IDLE) $(PYTEST) -n auto --dist worksteal -m "not realtime" $(PYTEST_ARGS) \
	$(if $(IDLE),>$$log 2>&1); $(END); cat $$log; rm $$log; exit $$code

# From a fresh copy each time, since mutmut keeps results even when tests have changed. One process after the other, since
# a change that hangs is recognised by its time.
MUTANTS := docs/results/mutants.txt
mutants: $(STAMP) ## change what safety depends on, one change at a time, and list those that no test notices (about ten minutes)
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[mutants]'
	@echo "== changing real/safety, real/contract, the link's frames and golden episodes; the report goes to $(MUTANTS)"
	@rm -rf mutants
	@OMP_NUM_THREADS=1 nice $(BIN)/mutmut run --max-children 1
	@MUTMUT=$(BIN)/mutmut bash .ci/mutants-report > mutants/report
	@cp mutants/report $(MUTANTS)

lint: $(STAMP) ## ruff check, ruff format --check and mypy --strict
	@echo "== checking style (ruff) and types (mypy --strict) of $(ROOMS) tests"
	@$(BIN)/ruff check $(ROOMS) tests docs/examples
	@$(BIN)/ruff format --check $(ROOMS) tests docs/examples
	@$(BIN)/mypy

format: $(STAMP) ## let ruff format the code
	@$(BIN)/ruff check --select I --fix --quiet $(ROOMS) tests docs/examples
	@$(BIN)/ruff format $(ROOMS) tests docs/examples

# BENCH_ARGS=--long adds the benchmarks that take over half an hour, BENCH_ARGS=--resume continues an interrupted one.
bench: $(STAMP) ## measure into docs/results/*.json, all but the long benchmarks, then write the tables
	@echo "== measuring into docs/results/*.json; leave the machine alone meanwhile"
	@$(BIN)/robo-rl bench all --out docs/results $(BENCH_ARGS)
	@$(BIN)/python -m robo_rl.bench.tables

tables: $(STAMP) ## write the tables of README.md and docs/benchmarks.md from docs/results/*.json
	@echo "== writing the tables of README.md and docs/benchmarks.md from docs/results/*.json"
	@$(BIN)/python -m robo_rl.bench.tables

# Half the size of what `play` films by default keeps all pictures below 2 MB.
PICTURE := --width 480 --height 270 --fps 16.7
RUN ?= runs/walk
pictures: $(STAMP) ## film a walking run (RUN=runs/walk) and the demo's quadrotor, and plot its flight, into docs/pictures
	@echo "== filming $(RUN) and a fresh demo, and plotting its flight, into docs/pictures"
	@mkdir -p docs/pictures
	@$(BIN)/robo-rl play $(RUN) --video docs/pictures/walk.webp --seconds 8 --seed 2 $(PICTURE)
	@$(BIN)/robo-rl demo
	@$(BIN)/robo-rl play runs/demo/run --video docs/pictures/hover.webp --seconds 3 --robots 9 $(PICTURE)
	@cp runs/demo/flight.png docs/pictures/flight.png

robot-install-check: $(STAMP) ## prove that robo-rl[robot] runs without torch, and a bundle on the oldest onnxruntime, in fresh environments
	@echo "== installing robo-rl[robot] alone into a temporary environment"
	@PYTHON='$(PYTHON)' BIN='$(BIN)' bash .ci/robot-install-check

BROWSER_PACKAGES := chromium chromium-driver libegl1 libgl1-mesa-dri libosmesa6
browser: ## install what films and the browser's tests need beside Python (Debian's packages; as root)
	@if command -v chromium >/dev/null && command -v chromedriver >/dev/null && ldconfig -p | grep -q libEGL.so; then \
		echo "== chromium, chromedriver and libEGL are here"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "== installing $(BROWSER_PACKAGES)"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(BROWSER_PACKAGES) >/dev/null; \
	else \
		echo "== not root: run  sudo apt-get install $(BROWSER_PACKAGES)  or the tests of films and browser are skipped"; \
	fi

MCU_PACKAGES := gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm cppcheck gcc libc6-dev clang cmake
MCU_TOOLS := arm-none-eabi-gcc qemu-system-arm cppcheck gcc clang cmake
mcu-tools: ## install what generated C is compiled, emulated and checked with (Debian's packages; as root)
	@if (for tool in $(MCU_TOOLS); do command -v $$tool >/dev/null || exit 1; done); then \
		echo "== $(MCU_TOOLS) are here"; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "== installing $(MCU_PACKAGES)"; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $(MCU_PACKAGES) >/dev/null; \
	else \
		echo "== not root: run  sudo apt-get install $(MCU_PACKAGES)  or the tests of generated C are skipped"; \
	fi

clean: ## remove caches and builds; .venv, runs and results stay
	@rm -rf build dist mutants .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
	@find $(ROOMS) tests -name __pycache__ -type d -prune -exec rm -rf {} +
