# Targets of images and compose; included by the Makefile. They need an engine with BuildKit and compose 2.24 or newer.
PYTHON ?= python3
BIN ?= .venv/bin
COMPOSE := docker compose
BAKE := docker buildx bake --file -
ENGINE := docker info >/dev/null 2>&1 || { echo "There is no container engine: install Docker, start it, and see that 'docker info' works"; exit 1; }

.PHONY: images
images: ## Build the images of all services (TRADEWIND_REGISTRY, TRADEWIND_VERSION; ARGS=--push pushes)
	@$(ENGINE)
	@$(PYTHON) docker/images.py | $(BAKE) $(ARGS)

.PHONY: images-local
images-local: ## Build stand-ins for the images of others, where no image registry is reached
	@$(ENGINE)
	@$(PYTHON) docker/images.py --local | $(BAKE) $(ARGS)

.PHONY: compose-up
compose-up: ## The platform in containers on Kafka (BROKER=rabbitmq: on RabbitMQ), in the background; prints the page
	@$(ENGINE)
	@$(COMPOSE) $(COMPOSE_FILE_OF) up --detach --wait --wait-timeout 180 $(ARGS)
	@echo "The page: http://127.0.0.1:$${TRADEWIND_PAGE_PORT:-8080}/"

.PHONY: compose-down
compose-down: ## Stop the platform in containers; its data stays (ARGS=--volumes removes it)
	@$(COMPOSE) $(COMPOSE_FILE_OF) down $(ARGS)

.PHONY: compose-services
compose-services: ## Write the list of services that compose includes
	@$(PYTHON) docker/services.py

.PHONY: secrets
secrets: ## Make a folder of random secrets for compose: make secrets FOLDER=...
	@docker/make-secrets.sh "$(FOLDER)"

.PHONY: test-containers
test-containers: .venv/.dev ## Tests of images and compose on a real engine (ten minutes)
	@TRADEWIND_TEST_CONTAINERS=yes $(BIN)/pytest tests/containers $(ARGS)

.PHONY: bench-containers
bench-containers: .venv/.dev ## Measure images: sizes, a cold build, one changed line, start of the platform
	@$(BIN)/python tests/containers/bench.py $(ARGS)

COMPOSE_FILE_OF = $(if $(filter rabbitmq,$(BROKER)),--file docker/rabbitmq.yaml,)
