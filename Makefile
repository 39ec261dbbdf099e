# Targets print the Python command they run; it works when pasted.
SHELL := /bin/sh
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
CONFIG ?= experiments/configs/gaussian.yaml
CKPT ?=
SEED ?=
ARGS ?=
# One process a core; each with one thread (tests/conftest.py).
PYTEST = $(PY) -m pytest -n auto --dist worksteal
# After a configuration, which may hold a seed of its own: what is given to make counts, ARGS= last.
SEEDED = $(if $(SEED),--seed_everything $(call quoted,SEED)) $(ARGS)
# One word for the shell, whatever signs are in it.
quoted = '$(subst ','\'',$(value $1))'
OF = $(if $(value CKPT),$(call quoted,CKPT)) $(if $(SEED),--seed $(call quoted,SEED)) $(ARGS)
FIT = $(PY) experiments/train.py fit --config

.DEFAULT_GOAL := help
SEEDS ?= 5
KEEP ?=
RUN ?=
RUNS ?=
SWEEP ?=
.PHONY: help install data estimators parts gradients train train-gaussian train-discrete train-reinforce fit evaluate \
	encode reconstruct sample test test-fast test-slow test-chaos lint format typecheck wandb-sync clean resume replay seeds \
	compare train-many policy bench sweep agent clean-runs interpolate traverse latent-map code-usage kl curves rate-distortion \
	docs explore ship report playground

# A variable that a target would ignore is refused.
only = $(if $(filter command,$(firstword $(origin $1))),$(foreach goal,$(filter-out $2,$(MAKECMDGOALS)),\
	$(error $1= is not for $(goal), but for $2)))
READERS := evaluate encode reconstruct sample explore interpolate traverse latent-map code-usage kl rate-distortion gradients
TRAINERS := train train-gaussian train-discrete train-reinforce fit seeds train-many
# So is one that no target has, and one that is empty: a slip would be taken for the default. What has an
# underscore, as VAE_DATA_DIR and WANDB_MODE, is for the environment of the command.
VARIABLES := CKPT RUN RUNS CONFIG SEED SEEDS KEEP SWEEP ARGS
given = $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
$(foreach name,$(filter-out $(VARIABLES) PYTHON% VENV PY PYTEST SHELL MAKE% COLUMNS TERM HOME TMPDIR -%,$(given)),\
	$(if $(findstring _,$(name)),,$(error there is no variable $(name)=, but $(VARIABLES:%=%=))))
$(foreach name,$(filter-out ARGS,$(filter $(VARIABLES),$(given))),\
	$(if $(strip $(value $(name))),,$(error $(name)= is empty: give it a value, or leave it out)))
$(call only,SEED,$(TRAINERS) $(filter-out code-usage,$(READERS)))
$(call only,CONFIG,fit seeds train-many)
$(call only,CKPT,$(READERS) replay)
$(call only,RUN,resume report)
$(call only,RUNS,curves report)
$(call only,SEEDS,seeds train-many)
$(call only,KEEP,clean-runs)
$(call only,SWEEP,agent)
$(call only,ARGS,$(TRAINERS) $(READERS) data curves report estimators parts resume replay compare policy bench sweep agent wandb-sync \
	docs ship playground test test-fast test-slow test-chaos)

# Lines of a name, a tab and words, in two columns that fit 80.
FOLDED = awk -F '\t' '{ line = sprintf("%-22s", $$1); n = split($$2, word, " "); \
	for (i = 1; i <= n; i++) { \
		if (length(line) + 1 + length(word[i]) > 80) { print line; line = sprintf("%22s", "") } \
		line = line " " word[i] } \
	print line }'

# CKPT= ## checkpoint, run's folder, or gaussian, discrete, manifold, which come trained: of evaluate, encode, gradients, replay, explore and all pictures; by default the newest run
# RUN= ## folder of a run: of resume, report
# RUNS= ## folders of runs or studies, in one word: of curves, report
# CONFIG= ## YAML file, or the name of one in experiments/configs: of fit, seeds, train-many
# SEED= ## whole number: of what trains, draws or evaluates
# SEEDS= ## how many seeds: of seeds, train-many
# KEEP= ## how many runs to keep: of clean-runs
# SWEEP= ## W&B's name of it: of agent
# ARGS= ## further options, as ARGS="--model.lr 3e-4": of all that run a script; ARGS=--help lists them
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{print "  make " $$1 "\t" $$2}' $(MAKEFILE_LIST) | $(FOLDED)
	@echo "variables:"
	@awk -F ' ## ' '/^# [A-Z]+= ## /{print "  " substr($$1, 3) "\t" $$2}' $(MAKEFILE_LIST) | $(FOLDED)

install: $(VENV)/.installed ## create .venv and install (the others do it by themselves)

# A second run finds the stamp and does nothing; a change of dependencies installs again.
$(VENV)/.installed: pyproject.toml constraints.txt
	@echo "first time: installing into $(VENV) (some minutes; torch alone is gigabytes)"
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

data: $(VENV)/.installed ## find or download MNIST and verify it; ARGS="--data EMNIST" for another set
	$(PY) experiments/prepare_data.py $(ARGS)

train: $(VENV)/.installed ## train the Gaussian VAE on MNIST, then write reconstructions and samples
	$(PY) experiments/quickstart.py $(SEEDED)

estimators: $(VENV)/.installed ## the matrix of estimators, families and claims
	$(PY) experiments/estimators.py $(ARGS)

playground: $(VENV)/.installed ## gradient estimators at work beside the exact gradient: one web page
	$(PY) experiments/playground.py $(ARGS)

parts: $(VENV)/.installed ## what a model can be composed of, and what goes with what
	$(PY) experiments/parts.py $(ARGS)

gradients: $(VENV)/.installed ## bias, variance, SNR and cost of every estimator at CKPT=
	$(PY) experiments/gradients.py $(OF)

train-gaussian: $(VENV)/.installed ## Gaussian VAE, reparameterization trick
	$(FIT) experiments/configs/gaussian.yaml $(SEEDED)

train-discrete: $(VENV)/.installed ## discrete VAE, Gumbel-softmax with annealed temperature
	$(FIT) experiments/configs/discrete.yaml $(SEEDED)

train-reinforce: $(VENV)/.installed ## discrete VAE, score function with leave-one-out baseline
	$(FIT) experiments/configs/reinforce.yaml $(SEEDED)

fit: $(VENV)/.installed ## train what CONFIG= says
	$(FIT) $(call quoted,CONFIG) $(SEEDED)

resume: $(VENV)/.installed ## continue RUN= (by default the newest that was cut short) from its last checkpoint
	$(PY) experiments/resume.py $(if $(value RUN),$(call quoted,RUN)) $(ARGS)

replay: $(VENV)/.installed ## repeat the step that ended a run in NaN, from CKPT=, and name the tensor
	$(PY) experiments/replay.py $(if $(value CKPT),$(call quoted,CKPT)) $(ARGS)

seeds: $(VENV)/.installed ## train CONFIG= with SEEDS= seeds; mean, standard error; goes on where it stopped
	$(PY) experiments/seeds.py --config $(call quoted,CONFIG) --seeds $(call quoted,SEEDS) $(if $(SEED),--first_seed $(call quoted,SEED)) $(ARGS)

compare: $(VENV)/.installed ## train ten estimators side by side (Paulus et al., 2021, table 2)
	$(PY) experiments/seeds.py --study experiments/studies/estimators.yaml $(ARGS)

train-many: $(VENV)/.installed ## train CONFIG= with SEEDS= seeds at once, as one batched computation
	$(PY) experiments/train_many.py --config $(call quoted,CONFIG) --seeds $(call quoted,SEEDS) $(SEEDED)

policy: $(VENV)/.installed ## CartPole by the score function; ARGS="--task pointmass" for the pathwise one
	$(PY) experiments/policy_gradient.py $(ARGS)

bench: $(VENV)/.installed ## speed beside a loop without a library, tutorials' loops and, given checkouts, other scripts
	$(PY) experiments/bench.py $(ARGS)

ship: $(VENV)/.installed ## make the trained checkpoints of experiments/checkpoints again
	$(PY) experiments/ship.py $(ARGS)

sweep: $(VENV)/.installed ## make a W&B sweep of experiments/sweeps/discrete.yaml (needs an account)
	$(VENV)/bin/wandb sweep experiments/sweeps/discrete.yaml $(ARGS)

agent: $(VENV)/.installed ## work on SWEEP=
	$(VENV)/bin/wandb agent $(if $(SWEEP),$(call quoted,SWEEP),$(error SWEEP= names the sweep, as make sweep prints it)) $(ARGS)

clean-runs: $(VENV)/.installed ## delete all but the KEEP= newest runs
	$(PY) experiments/clean_runs.py --keep $(if $(KEEP),$(call quoted,KEEP),$(error KEEP= says how many runs to keep))

evaluate: $(VENV)/.installed ## what CKPT= achieves: ELBO, rate, distortion; ARGS="--all" for log p(x), AIS, gaps, codes, probe
	$(PY) experiments/evaluate.py $(OF)

encode: $(VENV)/.installed ## codes of the test images of CKPT=, with labels, to an .npz; ARGS="--split train"
	$(PY) experiments/encode.py $(OF)

reconstruct: $(VENV)/.installed ## test images above their reconstructions, from CKPT=
	$(PY) experiments/reconstruct.py $(OF)

sample: $(VENV)/.installed ## images drawn from the prior of CKPT=; needs no data
	$(PY) experiments/sample.py $(OF)

explore: $(VENV)/.installed ## an offline page on which the codes of CKPT= are moved by hand; ARGS="--onnx true"
	$(PY) experiments/explore.py $(OF)

interpolate: $(VENV)/.installed ## the way from image to image through latent space, of CKPT=
	$(PY) experiments/interpolate.py $(OF)

traverse: $(VENV)/.installed ## what each latent variable of CKPT= does, sorted by KL
	$(PY) experiments/traverse.py $(OF)

latent-map: $(VENV)/.installed ## what two variables of CKPT= decode to, or codes by class (t-SNE, PCA)
	$(PY) experiments/latent_map.py $(OF)

code-usage: $(VENV)/.installed ## how often each category is used, of CKPT= with discrete latents
	$(PY) experiments/code_usage.py $(OF)

kl: $(VENV)/.installed ## how the rate of CKPT= is spread over the latent variables
	$(PY) experiments/kl.py $(OF)

rate-distortion: $(VENV)/.installed ## the curve of CKPT= that ARGS="--rate_distortion" of evaluate has computed
	$(PY) experiments/rate_distortion.py $(OF)

curves: $(VENV)/.installed ## learning curves of RUNS= (folders of runs or studies), seeds as one band
	$(PY) experiments/curves.py $(value RUNS) $(ARGS)

docs: $(VENV)/.installed ## the guide, as a site in build/docs: its pages are executed, their warnings are errors
	@echo "building the guide: a minute or two at first, seconds where its pages have been executed before"
	$(PY) -m sphinx --quiet --jobs auto --fail-on-warning --keep-going -d build/docs-read experiments/guide build/docs $(ARGS)
	@echo "open build/docs/index.html"

report: $(VENV)/.installed ## all that is known of RUN= (by default the newest) on one page; of RUNS= side by side
	$(PY) experiments/report.py $(if $(value RUN),$(call quoted,RUN)) $(value RUNS) $(ARGS)

test: $(VENV)/.installed ## all tests but the slow ones, with lint, types and import layers
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports --no-cache
	$(PYTEST) -m "not slow" $(ARGS)

test-fast: $(VENV)/.installed ## those without whole runs, in a minute
	$(PYTEST) -m "not slow and not e2e" $(ARGS)

test-slow: $(VENV)/.installed ## the thorough ones
	$(PYTEST) -m "slow and not chaos" $(ARGS)

test-chaos: $(VENV)/.installed ## two hundred kills: in training, in mid-write, in the test, of process groups; nothing may be lost
	$(PY) -m pytest -m chaos -s $(ARGS)

lint: $(VENV)/.installed ## ruff and the import layers
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports --no-cache

format: $(VENV)/.installed ## ruff, in place
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

typecheck: $(VENV)/.installed ## mypy
	$(PY) -m mypy

wandb-sync: $(VENV)/.installed ## upload the offline W&B runs, those of studies too
	$(PY) experiments/wandb_sync.py $(ARGS)

clean: ## remove .venv and caches; runs and data stay
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
