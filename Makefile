# Every target does its own set-up: a virtual environment in .venv and missing Debian programs in .tools.
# Nothing is installed outside this folder, and no root is needed.

SHELL := /bin/sh
export PATH := $(CURDIR)/.venv/bin:$(CURDIR)/.tools/bin:$(PATH):/usr/sbin:/sbin
export PYTHONDONTWRITEBYTECODE :=
WORKERS ?= 2

.PHONY: help setup demo demo-real demo-down test test-real test-all test-clients test-compose conformance lint unit cluster compatibility bench-boot bench-net bench-pods bench-api bench-control bench-relay bench-miempresa clean
.DEFAULT_GOAL := help

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

setup: ## Make .venv and bring nft, nginx and busybox into .tools where the machine lacks them
	@./scripts/venv.sh
	@./scripts/tools.sh nft nginx busybox

demo: setup ## Bring up the miempresa cluster, send requests across it, and leave it running
	@.venv/bin/python examples/miempresa/demo.py

demo-real: setup ## The same with the real WordPress, MariaDB and NGINX, installed if missing, and the course's stories
	@.venv/bin/python examples/miempresa/real/demo.py

test-real: setup ## Tests with the real servers: demo-real with all its stories, and each host image whose programs are here
	@./scripts/tools.sh nginx mariadb wordpress redis-server memcached haproxy php-fpm postgres node curl
	@PANAL_TEST_REAL=1 .venv/bin/python -m pytest tests/cluster/test_real.py tests/agents/runtime/test_images.py

demo-down: setup ## End the demo's cluster
	@.venv/bin/panal down --name miempresa

test: setup lint ## Everything CI checks: style, types, import contracts, all tests
	@./scripts/clients.sh kubectl helm
	@./scripts/tools.sh knotd
	@WORKERS=$(WORKERS) ./scripts/test.sh

test-all: setup lint ## The same with every combination of user, network, proxy mode and kubectl (takes much longer)
	@./scripts/clients.sh kubectl helm definitions client-go prometheus
	@./scripts/tools.sh knotd apache2
	@PANAL_TEST_ALL=1 WORKERS=$(WORKERS) ./scripts/test.sh

test-clients: setup ## Users' own programs: kubectl 1.36, Helm, Go on client-go 0.36, Prometheus, kopf, JavaScript (the first time half an hour)
	@./scripts/clients.sh kubectl helm definitions client-go prometheus
	@CI=true PANAL_TEST_ALL=1 .venv/bin/python -m pytest tests/clients

test-compose: setup ## docker compose up on a real Docker engine of the test's own (as root; minutes; COMPOSE=v2: the plugin, not 1.29)
	@PANAL_TEST_COMPOSE=$(or $(COMPOSE),1) .venv/bin/python -m pytest tests/compose

conformance: setup ## Kubernetes' own conformance tests, of 1.20, built from source (ten minutes) and run on a cluster (half an hour)
	@./scripts/tools.sh apache2 nginx busybox nft
	@./scripts/conformance.sh
	@.venv/bin/python scripts/conformance.py

lint: setup ## ruff, mypy --strict, import-linter
	@.venv/bin/ruff check .
	@.venv/bin/ruff format --check -q . || { echo "ruff format . would change the files above"; .venv/bin/ruff format --check .; exit 1; }
	@./scripts/check.sh

unit: setup ## The tests that start no cluster
	@.venv/bin/python -m pytest -n $(WORKERS) -m "not cluster"

cluster: setup ## The tests that start whole clusters
	@.venv/bin/python -m pytest -m cluster

compatibility: setup ## Write docs/compatibility.md from the code and docs/differences
	@.venv/bin/python scripts/compatibility.py

bench-boot: setup ## Time the stages of a cluster's start, 5 runs, and its memory
	@.venv/bin/python benchmarks/boot.py

bench-net: setup ## Measure the network against HAProxy, nginx, Traefik, Caddy, unbound and a plain route, and how fast changes arrive
	@.venv/bin/python benchmarks/net.py

bench-pods: setup ## Time pods from create to Scheduled, started and Ready, at 10 a second and 100 at once
	@.venv/bin/python benchmarks/pods.py

bench-api: setup ## Measure the API server: reads, durable writes, watches, memory with 30,000 pods
	@./scripts/clients.sh etcd
	@.venv/bin/python benchmarks/api.py

bench-relay: setup ## Measure pods' traffic between two machines beside HAProxy with TLS
	@.venv/bin/python benchmarks/relay.py

bench-miempresa: setup ## Measure WordPress' pages through the whole path beside the same pods asked directly
	@./scripts/tools.sh nginx mariadb wordpress
	@.venv/bin/python benchmarks/miempresa.py

bench-control: setup ## Measure scheduler and controllers stage by stage: decisions, bindings, replicas, endpoints, idle
	@.venv/bin/python benchmarks/control.py

clean: ## Remove what setup made
	rm -rf .venv .tools wheels .check .mypy_cache .ruff_cache .pytest_cache .hypothesis build *.egg-info
