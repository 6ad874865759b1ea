CARGO ?= cargo

.PHONY: test
test: ## Unit and integration tests
	$(CARGO) test --workspace
