# The verbs of this project. `make help` lists them.
CARGO ?= cargo
PYTHON ?= python3

.DEFAULT_GOAL := help
.PHONY: help install demo run test ftest ftest-compare e2e scale lint fmt bench bench-pages bench-incremental bench-steady memory coverage licenses kill-test clean

help: ## This list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):[^#]*## /\1|/' | column -t -s '|'

install: ## Build bin/elastic-ingest and bin/connectors
	@mkdir -p bin
	$(CARGO) build --release --locked -p connectors-cli
	@install -m 755 target/release/elastic-ingest target/release/connectors bin/

demo: install ## Sync this project's own sources into the embedded node and search them
	bin/connectors sync dir --index search-demo --set directory=crates --set pattern='**/*.rs'
	bin/connectors search search-demo "checkpoint"

run: install ## Run the service with debug log (CONFIG=file for another than config.yml)
	bin/elastic-ingest --debug $(if $(CONFIG),-c $(CONFIG))

test: ## Unit and integration tests; needs nothing but the toolchains
	$(CARGO) test --workspace --locked

ftest: install ## NAME=dir, mysql, postgresql or mongodb [SIZE=small, medium or large]: one source end to end, every document compared; leaves a report
	@test -n "$(NAME)" || { echo "usage: make ftest NAME=<service type>, for example make ftest NAME=dir"; exit 2; }
	SIZE=$(or $(SIZE),medium) tests/ftest/run $(NAME)

ftest-compare: ## A=index.html B=index.html: two reports of make ftest in one page, reports/compare.html
	@test -n "$(A)" -a -n "$(B)" || { echo "usage: make ftest-compare A=<index.html> B=<index.html>"; exit 2; }
	@mkdir -p reports
	tests/ftest/compare $(A) $(B) > reports/compare.html

scale: install ## 500 connectors on one service: nothing missed, nothing doubled, nothing to do when nothing is due
	tests/scale/run

e2e: ## end-to-end tests of the connector protocol on the embedded node, a real Elasticsearch and a real OpenSearch
	tests/e2e/run

lint: ## Formatting, clippy, layers, file sizes
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	tools/check-layers
	tools/check-sizes

fmt: ## Format the code
	$(CARGO) fmt --all

bench: install ## docs/s, CPU, memory and files beside a raw bulk loader: dir, mysql, postgresql, mongodb (PEER=path for the peer too)
	tests/bench/run

bench-pages: install ## page N of a table with a million rows costs as much as page 1 (NAME=mysql or postgresql)
	tests/bench/pages $(NAME)

bench-incremental: install ## 100 changes in a million rows: bytes read and seconds (NAME=mysql, postgresql or mongodb)
	tests/bench/incremental $(NAME)

bench-steady: install ## ten syncs in one process: memory does not grow (NAME=mysql, postgresql or mongodb)
	tests/bench/steady $(NAME)

memory: ## Peak memory of syncs of 100,000, 1,000,000 and 20,000,000 documents (IDS="…" for others)
	IDS="$(or $(IDS),100000 1000000 20000000)" CARGO_PROFILE_RELEASE_LTO=off \
		$(CARGO) test --release --locked -p connectors-sync --test it -- --ignored --nocapture memory

coverage: ## Line coverage, overall and for each source, with its gates
	tools/coverage

licenses: ## Every dependency's licence; refuses strong copyleft
	tools/licenses

kill-test: install ## 200 kill -9s of a node under a bulk load
	tests/kill/run

clean: ## Remove what was built
	$(CARGO) clean
	rm -rf bin
