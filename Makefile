# Two commands do all the set-up, each alone: `make demo` and `make test`.
# They need Python 3.11, make and a C library, and download the packages of pyproject.toml from the package index.

PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
PEERS := .venv-peers
TOOLS := .venv-tools
INSTALLED := $(VENV)/.installed

.PHONY: lock audit demo test test-slow test-fuzz test-damage test-cluster lint format type docs check bench bench-engines bench-runtimes bench-scaling bench-searcher \
	bench-service bench-exports results soak bench-speed bench-peers clean

demo: $(INSTALLED)  ## find the smallest network that keeps the dense return of InvertedPendulum-v5; minutes
	$(BIN)/rlx2 compress tune_configs/compress_inverted_pendulum.yaml
	@echo "Look at it with: $(BIN)/rlx2 dashboard"

test: $(INSTALLED)
	$(BIN)/pytest -m "not slow" --numprocesses auto --maxprocesses 4 --dist loadfile

test-slow: $(INSTALLED)
	$(BIN)/pytest -m slow

test-fuzz: $(INSTALLED)  ## 10 000 alterations of each kind of file that somebody else may have made; hours
	RLX2_LONG_FUZZ=1 $(BIN)/pytest -m fuzz

test-cluster: $(INSTALLED)  ## `ray up`, a sweep and `ray down` on two machines out of namespaces, about two minutes
	$(BIN)/pytest -m slow -rs tests/cluster

test-damage: $(INSTALLED)  ## kill sweeps and compressions, damage one file of each, and see what becomes of them; hours
	$(BIN)/python -m tests.damage --cases 300

lint: $(INSTALLED)
	$(BIN)/ruff check .

format: $(INSTALLED)  ## rewrite the code; `make check` only looks
	$(BIN)/ruff format .

type: $(INSTALLED)
	$(BIN)/mypy

docs: $(INSTALLED)  ## the pages of all keys and all commands, and build/site, whose links are checked
	$(BIN)/python docs/keys.py --write
	$(BIN)/typer rlx2_ray.cli.main utils docs --name rlx2 --title "All commands" --output docs/commands.md
	$(BIN)/sphinx-build --quiet --fail-on-warning --keep-going -c docs . build/site

check: $(INSTALLED)  ## what CI runs, with test-cluster after it
	$(MAKE) --jobs=2 lint type docs
	$(MAKE) test
	$(BIN)/ruff format --check .

# A study: the sweep of its file, or what is left of it, in runs/studies/; then the report of its trials.
STUDIES := runs/studies
define study
	@mkdir -p $(STUDIES)
	if [ -e $(STUDIES)/$(1)/sweep.yaml ]; then $(BIN)/rlx2 resume $(STUDIES)/$(1); \
	else $(BIN)/rlx2 sweep tune_configs/studies/$(1).yaml --out $(STUDIES)/$(1) \
		--tracking-uri sqlite:///$(STUDIES)/$(1).db --experiment $(1); fi
	$(BIN)/python -m benchmarks.$(1) $(STUDIES)/$(1)
endef

bench: $(INSTALLED)  ## the README's learning table and picture: a sweep, hours on two cores; resumes
	$(call study,inverted_pendulum)

bench-engines: $(INSTALLED)  ## do both engines learn the same? a sweep, hours on two cores; resumes
	$(call study,engines)

bench-runtimes: $(INSTALLED)  ## do both runtimes learn the same? a sweep, an hour on two cores; resumes
	$(call study,runtimes)

bench-scaling: $(INSTALLED)  ## docs/scaling.md: service rates, two runs, the simulation; some minutes on a quiet machine
	$(BIN)/python -m benchmarks.scaling

bench-exports: $(INSTALLED)  ## docs/exports.md: bytes and microseconds of exported policies; minutes on one core, needs cc
	$(BIN)/python -m benchmarks.exports --write --policies results/inverted_pendulum_policy.safetensors results/policies/*

results: $(INSTALLED)  ## results/README.md, its pictures and the notebook, from the runs in results/runs; needs chromium
	$(BIN)/python -m benchmarks.results
	$(BIN)/python -m benchmarks.notebook

bench-searcher: $(INSTALLED)  ## docs/searcher.md: the compression search against simulated truths; over an hour on one core; goes on
	$(BIN)/python -m benchmarks.searcher

bench-service: $(INSTALLED)  ## what a sweep costs beside its training; ten minutes on two quiet cores
	$(BIN)/python -m benchmarks.service --write

soak: $(INSTALLED)  ## ten minutes of a run in which something is killed every 20 s; results/soak.json
	$(BIN)/python -m benchmarks.soak --write

bench-speed: $(INSTALLED)  ## benchmarks/RESULTS.md without the peers, a few minutes on one core
	$(BIN)/python -m benchmarks.speed

bench-peers: $(INSTALLED) $(PEERS)/.installed  ## the same for whole training beside SB3 and SBX, a quarter of an hour on one core
	$(BIN)/python -m benchmarks.speed training replay_peers report

clean:
	rm -rf $(VENV) $(PEERS) $(TOOLS) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

# Torch first and by itself: its exact version satisfies every later requirement, so that none of them fetches another
# build. `make LOCKED=1 ...` takes exactly the files that requirements.lock names. On a machine without a GPU, PIP_EXTRA_INDEX_URL can name an index of CPU builds, which are far smaller.
$(INSTALLED): pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet torch==2.13.0
ifdef LOCKED
	$(BIN)/pip install --quiet --no-deps --require-hashes --requirement requirements.lock
	$(BIN)/pip install --quiet --no-deps --no-build-isolation --editable .
else
	$(BIN)/pip install --quiet --editable ".[dev]"
endif
	touch $@

# Tools that change nothing of the environment above have one of their own.
$(TOOLS)/.installed:
	$(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet uv==0.13.9 pip-audit==2.10.1
	touch $@

# What a build of torch for CUDA needs comes with that build, which everyone chooses.
OF_TORCH := cuda-bindings cuda-toolkit nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvshmem-cu13 triton

lock: $(TOOLS)/.installed  ## write requirements.lock anew: one version of every package but torch, by its files' digests
	printf '%s\n' $(OF_TORCH) | $(TOOLS)/bin/uv pip compile pyproject.toml --all-extras --generate-hashes --no-annotate \
		--no-header --python-version 3.11 --python-platform x86_64-manylinux_2_28 --no-emit-package torch \
		--excludes /dev/stdin --output-file requirements.lock --quiet

audit: $(TOOLS)/.installed  ## known vulnerabilities of what requirements.lock names, where the index tells them
	$(TOOLS)/bin/pip-audit --disable-pip --require-hashes --requirement requirements.lock

# The peers have an environment of their own, since they pin other versions.
$(PEERS)/.installed: benchmarks/peers/requirements.txt
	$(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/pip install --quiet torch==2.13.0
	$(PEERS)/bin/pip install --quiet --requirement benchmarks/peers/requirements.txt
	touch $@
