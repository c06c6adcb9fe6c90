# Entry points. The logic is in tools/, demo/ and proofs/.
export PYTHON ?= python3
ENVIRONMENT := $(PYTHON) tools/environments.py
.NOTPARALLEL:
.PHONY: help build test lint format c-test c-test-sanitized proofs demo ui wheel docs \
	bench-calibration bench-continual bench-day bench-evaluation bench-linear bench-noise bench-online bench-quality bench-registry bench-serving bench-training

help:
	@echo "make build             install what a build needs; build the extension in place"
	@echo "make test              everything that must hold, in at most 25 minutes on 2 idle cores"
	@echo "make lint              ruff, mypy --strict, clang-format"
	@echo "make format            let ruff and clang-format rewrite the sources"
	@echo "make c-test            tests of the C core; c-test-sanitized: under ASan and UBSan"
	@echo "make demo              a week of real flights through Airflow and MLflow"
	@echo "make proofs            the full counts behind the figures of the README"
	@echo "make bench-calibration  how often verdicts are wrong, and what they see"
	@echo "make ui                the demo's Airflow and MLflow, left running"
	@echo "make bench-day         a whole day beside a script of the usual libraries; ARGS=\"--rows 1000000 10000000\""
	@echo "make bench-evaluation  evaluation kernels beside scikit-learn, Evidently, Fairlearn"
	@echo "make docs              build/site: the pages of docs/ and of the public names"
	@echo "make wheel             build/dist: sdist and wheel, tried on three Pythons"
	@echo "make bench-training    training and prediction beside their peers; ARGS=\"--rows D1 D5\""
	@echo "make bench-linear      logistic regression beside scikit-learn's solvers and liblinear"
	@echo "make bench-continual   frozen, nightly or daily models on flights, and what they forget"
	@echo "make bench-noise       labels of the newest week flipped: what is found, beside cleanlab"
	@echo "make bench-online      learning row by row beside SGDClassifier and river"
	@echo "make bench-quality     trees beside LightGBM on flights; scikit-learn's checks; the export"
	@echo "make bench-serving     the scoring server beside mlflow models serve: build/bench/serving.json"
	@echo "make bench-registry    our MLflow client beside mlflow's own: build/bench/registry.json"

build:
	@$(PYTHON) tools/system_packages.py build
	@RETRAIN_OPS_WERROR=1 tools/in_environment.sh dev python setup.py -q build_ext --inplace

test:
	@$(PYTHON) tools/system_packages.py test
	@$(MAKE) --no-print-directory build lint
	@tools/test.sh

lint:
	@tools/in_environment.sh dev tools/lint.sh

format:
	@tools/in_environment.sh dev tools/lint.sh --fix

c-test:
	@$(MAKE) --no-print-directory -j 2 -C csrc check

c-test-sanitized:
	@$(MAKE) --no-print-directory -j 2 -C csrc check SAN=address,undefined

demo: build
	@tools/in_environment.sh dev python -m demo

ui: build
	@tools/in_environment.sh dev python -m demo --ui

proofs: build
	@tools/in_environment.sh dev python -m proofs

bench-evaluation: build
	@tools/in_environment.sh bench python benchmarks/bench_evaluation.py

bench-calibration: build
	@tools/in_environment.sh dev python -m benchmarks.bench_calibration

wheel:
	@$(PYTHON) tools/system_packages.py build
	@$(PYTHON) tools/release/wheel.py

docs:
	@tools/in_environment.sh docs python -m tools.docs.site

bench-serving: build
	@tools/in_environment.sh dev python -m benchmarks.bench_serving $(ARGS)

bench-registry: build
	@tools/in_environment.sh dev python benchmarks/bench_registry.py

bench-day: build
	@tools/in_environment.sh bench-day python -m benchmarks.bench_day $(ARGS)

bench-linear: build
	@tools/in_environment.sh bench-training python -m benchmarks.bench_linear $(ARGS)

bench-continual: build
	@tools/in_environment.sh dev python -m retrain_ops.examples.flights build/data/flights
	@tools/in_environment.sh dev python -m benchmarks.bench_continual build/data/flights

bench-noise: build
	@tools/in_environment.sh dev python -m retrain_ops.examples.flights build/data/flights
	@tools/in_environment.sh bench-training python -m benchmarks.bench_noise build/data/flights

bench-online: build
	@tools/in_environment.sh bench-training python -m benchmarks.bench_online $(ARGS)

bench-quality: build
	@tools/in_environment.sh bench-training python -m benchmarks.sklearn_checks
	@tools/in_environment.sh dev python -m retrain_ops.examples.flights build/data/flights
	@tools/in_environment.sh bench-training python -m benchmarks.quality_flights build/data/flights

bench-training: build
	@tools/in_environment.sh dev python -m retrain_ops.examples.flights build/data/flights
	@tools/in_environment.sh bench-training python -m benchmarks.bench_training $(ARGS)
