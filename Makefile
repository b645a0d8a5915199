# Targets of Sampan. `make` alone lists them. Needs Python 3.11+ and make, nothing else.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 8080
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.sampan-ready

SEED ?= $$RANDOM
INPUTS ?= 100000

.PHONY: help setup demo test test-slow test-engines test-tensorflow test-paddle test-autogluon test-bentoml test-mlflow test-mlserver test-triton test-stores test-objects e2e soak laws fuzz check format bench conformance generate lock sbom clean

help: ## List the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(STAMP) ## Set up .venv with what is needed to build, test and run

$(BIN)/uv: 
	@echo "setting up: uv" >&2
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check "uv>=0.7"

$(STAMP): pyproject.toml requirements.lock | $(BIN)/uv
	@echo "setting up: dependencies" >&2
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python requirements.lock
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-deps --editable .
	@touch $(STAMP)

demo: $(STAMP) ## Serve the iris example and predict: the first minute
	@$(BIN)/python examples/01-sklearn-iris/train.py
	@if [ -t 1 ]; then stay=; else stay=--exit-after-input; fi; \
	  exec $(BIN)/sampan run examples/01-sklearn-iris/isvc.yaml \
	    --input examples/01-sklearn-iris/request.json --port $(PORT) $$stay

# RERUNS=1: a test that fails is run once more at its place, and named in the end as "RERUN".
PYTEST := $(BIN)/python -m pytest -q $(if $(RERUNS),--reruns $(RERUNS) -rfER)

test: $(STAMP) ## Run the everyday tests
	$(PYTEST) -m "not slow and not soak"

test-slow: $(STAMP) ## Run the tests that take over ten seconds each
	$(PYTEST) -m "slow and not soak"

laws: $(STAMP) ## Run every law with fresh inputs: 500 each, and what fails is printed to be kept
	$(BIN)/python -m pytest -q -m "hypothesis and not slow and not soak" --hypothesis-profile=fresh

ENGINE := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/sampan/engines
ENGINES := $(ENGINE)/torch

test-engines: $(STAMP) test-tensorflow test-paddle test-autogluon test-bentoml test-mlflow test-mlserver test-triton test-stores test-objects ## Run the tests of engines of gigabytes, in environments of their own
	@test -x $(ENGINES)/bin/python || $(PYTHON) -m venv $(ENGINES)
	@$(BIN)/uv pip install --quiet --python $(ENGINES)/bin/python -r requirements.lock
	@$(ENGINES)/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0 \
	  torchserve==0.12.0 grpcio-tools pyyaml pillow "transformers>=5,<6" sentencepiece protobuf openai captum==0.9.0
	@$(BIN)/uv pip install --quiet --python $(ENGINES)/bin/python --no-deps --editable .
	$(ENGINES)/bin/python -m pytest -q tests/engines
# Beside the rest: a torchvision of another build than torch breaks what transformers imports.
	@$(ENGINES)/bin/python -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
	  --target $(ENGINE)/torchvision torchvision==0.28.0
	PYTHONPATH=$(ENGINE)/torchvision $(ENGINES)/bin/python -m pytest -q tests/engines/test_torchserve_vision.py

test-tensorflow: $(STAMP) ## Of those, TensorFlow's
	@test -x $(ENGINE)/tensorflow/bin/python || $(PYTHON) -m venv $(ENGINE)/tensorflow
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/tensorflow/bin/python \
	  -r requirements.lock tensorflow-cpu==2.21.0 keras==3.15.1
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/tensorflow/bin/python --no-deps \
	  tensorflow-serving-api==2.21.0 --editable .
	$(ENGINE)/tensorflow/bin/python -m pytest -q tests/engines -k tensorflow

test-paddle: $(STAMP) ## Of those, Paddle's
	@test -x $(ENGINE)/paddle/bin/python || $(PYTHON) -m venv $(ENGINE)/paddle
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/paddle/bin/python \
	  -r requirements.lock paddlepaddle==3.3.1
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/paddle/bin/python --no-deps --editable .
	$(ENGINE)/paddle/bin/python -m pytest -q tests/engines -k paddle

test-autogluon: $(STAMP) ## Of those, AutoGluon's
	@test -x $(ENGINE)/autogluon/bin/python || $(PYTHON) -m venv $(ENGINE)/autogluon
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/autogluon/bin/python \
	  numpy orjson httptools uvloop hpack pysimdjson pytest pytest-asyncio pytest-timeout \
	  hypothesis "autogluon.tabular[lightgbm]==1.6.3"
	@$(ENGINE)/autogluon/bin/python -m pip install --quiet --disable-pip-version-check torch==2.13.0
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/autogluon/bin/python autogluon.timeseries==1.6.3
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/autogluon/bin/python --no-deps --editable .
	$(ENGINE)/autogluon/bin/python -m pytest -q tests/engines/test_autogluon.py tests/engines/test_autogluon_series.py
	SAMPAN_TEST_AUTOGLUON=1 $(BIN)/python -m pytest -q \
	  tests/engines/test_autogluon_samples.py tests/engines/test_autogluon_example.py

test-bentoml: $(STAMP) ## Of those, BentoML's, beside its own server
	@test -x $(ENGINE)/bentoml/bin/python || $(PYTHON) -m venv $(ENGINE)/bentoml
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/bentoml/bin/python \
	  numpy orjson httptools uvloop hpack pysimdjson pytest pytest-asyncio pytest-timeout \
	  hypothesis httpx pyyaml pandas pillow bentoml==1.4.39
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/bentoml/bin/python --no-deps --editable .
	$(ENGINE)/bentoml/bin/python -m pytest -q tests/engines/test_bentoml.py

test-mlflow: $(STAMP) ## Of those, MLflow's, beside its own scoring server
	@test -x $(ENGINE)/mlflow/bin/python || $(PYTHON) -m venv $(ENGINE)/mlflow
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/mlflow/bin/python \
	  numpy orjson httptools uvloop hpack pysimdjson pytest pytest-asyncio pytest-timeout \
	  hypothesis httpx pyyaml skops scikit-learn==1.9.1 mlflow==3.17.2
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/mlflow/bin/python --no-deps --editable .
	$(ENGINE)/mlflow/bin/python -m pytest -q tests/engines/test_mlflow.py

test-mlserver: $(STAMP) ## Of those, MLServer's projects, beside its own server
	@test -x $(ENGINE)/mlserver/bin/python || $(PYTHON) -m venv $(ENGINE)/mlserver
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/mlserver/bin/python \
	  numpy orjson httptools uvloop==0.21.0 hpack pysimdjson pytest pytest-asyncio pytest-timeout \
	  hypothesis httpx mlserver==1.7.1 mlserver-sklearn==1.7.1 mlserver-xgboost==1.7.1 \
	  mlserver-lightgbm==1.7.1 xgboost-cpu==3.2.0 lightgbm==4.7.0
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/mlserver/bin/python --no-deps --editable .
	$(ENGINE)/mlserver/bin/python -m pytest -q tests/engines/test_mlserver_examples.py

test-triton: $(STAMP) ## Of those, NVIDIA's own tritonserver beside ours
	@test -x $(ENGINE)/triton/bin/python || $(PYTHON) -m venv $(ENGINE)/triton
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/triton/bin/python \
	  orjson httptools uvloop hpack pysimdjson pytest pytest-asyncio pytest-timeout hypothesis \
	  nvidia-pytriton==0.7.0
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/triton/bin/python --no-deps --editable .
	$(ENGINE)/triton/bin/python -m pytest -q tests/engines/test_tritonserver.py

test-stores: $(STAMP) ## Of those, transformers that ask Feast and LanceDB
	SAMPAN_TEST_STORES=1 $(BIN)/python -m pytest -q tests/engines/test_stores.py

test-objects: $(STAMP) ## Of those, object stores: moto, emulators, and KServe's own initializer beside ours
	@test -x $(ENGINE)/objects/bin/python || $(PYTHON) -m venv $(ENGINE)/objects
	@$(BIN)/uv pip install --quiet --python $(ENGINE)/objects/bin/python \
	  "moto[server]==5.2.5" gcp-storage-emulator==2026.7.19 kserve-storage==0.21.0
	@npm install --silent --no-audit --no-fund --prefix $(ENGINE)/objects azurite || echo "no npm: Azurite's tests are skipped"
	SAMPAN_TEST_OBJECTS=$(ENGINE)/objects $(BIN)/python -m pytest -q tests/engines/test_object_stores.py

e2e: $(STAMP) ## Run the operator against any cluster: make e2e KUBECONFIG=...; without, a played one
	SAMPAN_E2E_KUBECONFIG=$(KUBECONFIG) $(BIN)/python -m pytest -q tests/operator/test_any_cluster.py --timeout 1800

soak: $(STAMP) ## Kill things at random for minutes and check that nothing is lost
	$(BIN)/python -m pytest -q -m soak --timeout 1800

fuzz: $(STAMP) ## Throw 100,000 malformed inputs at a server: make fuzz INPUTS=... SEED=...
	@export SAMPAN_FUZZ_INPUTS=$(INPUTS) SAMPAN_FUZZ_SEED=$(SEED); \
	  echo "inputs $$SAMPAN_FUZZ_INPUTS, seed $$SAMPAN_FUZZ_SEED"; \
	  exec $(BIN)/python -m pytest -q --durations 5 tests/fuzz

check: $(STAMP) ## Format, lint, types, import contract, budgets
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -q tests/architecture

format: $(STAMP) ## Format the code and mend what lint can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: $(STAMP) ## Measure side by side: make bench B=spine; one row: B=server ROW=health
	@$(BIN)/python -m bench.run $(B) $(if $(ROW),--only "$(ROW)")

conformance: $(STAMP) ## Ask a server every case: make conformance URL=... GRPC=... MODEL=...; without, score side by side
	@if [ -n "$(URL)" ]; then exec $(BIN)/python tests/conformance/oip/run.py $(URL) $(if $(GRPC),--grpc $(GRPC)) --model $(or $(MODEL),iris); \
	  else exec $(BIN)/python -m tests.conformance.oip.score; fi

generate: $(STAMP) ## Write what is generated: manifests, images, schemas, reference pages
	@$(BIN)/python -m sampan.app.generate
	@$(BIN)/python -m tools.generate_definitions
	@$(BIN)/python -m tools.generate_reference

lock: $(BIN)/uv ## Resolve the dependencies anew into requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --group dev --no-emit-index-url \
	  --no-header --no-annotate pyproject.toml -o requirements.lock
	@$(MAKE) --no-print-directory deploy/locks

.PHONY: deploy/locks
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url \
  --no-header --no-annotate --generate-hashes pyproject.toml
deploy/locks:
	$(LOCK) --extra tracing -o deploy/locks/router.txt
	$(LOCK) --extra tracing --extra kubernetes -o deploy/locks/operator.txt
	$(LOCK) --extra tracing --extra server --extra sklearn -o deploy/locks/sklearn.txt

sbom: $(STAMP) ## Write what an image holds, as CycloneDX: make sbom ROLE=operator
	@$(BIN)/python -m tools.make_sbom $(or $(ROLE),operator)

clean: ## Remove what setup and tests made
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
