# Targets of Kubernetes and the pipeline; included by the Makefile. .gitlab-ci.yml runs these and nothing else.
PROFILE ?=
VERSION ?=
MANIFESTS ?= build/manifests
KUBECTL ?= $(CURDIR)/$(BIN)/kubectl
SCANNER_IMAGE ?= aquasec/trivy:0.67.2
SCAN_SEVERITY ?= HIGH,CRITICAL
TRADEWIND := $(BIN)/tradewind
NAMESPACE = tradewind-$(subst _,-,$(PROFILE))
NEEDS_PROFILE = [ -n "$(PROFILE)" ] || { echo "say PROFILE=...: $$($(TRADEWIND) k8s profiles --names | xargs)"; exit 2; }

.PHONY: k8s-render
k8s-render: .venv/.dev ## Write what is generated from the service folders: k8s/rendered, and compose's list
	@$(TRADEWIND) new generate

.PHONY: k8s-check
k8s-check: .venv/.dev ## Manifests of every profile: drift, schemas, rules, mistakes
	@$(TRADEWIND) k8s render $$($(TRADEWIND) k8s profiles --names) --out k8s/rendered --check
	@$(BIN)/pytest -q tests/test_k8s_rendering.py tests/test_k8s_rules.py tests/test_k8s_schemas.py tests/test_pipeline.py $(ARGS)

.PHONY: k8s-manifests
k8s-manifests: .venv/.dev ## Write the manifests of PROFILE, of images of VERSION (the repository's), to build/manifests
	@$(NEEDS_PROFILE)
	@$(TRADEWIND) k8s render $(PROFILE) --out $(MANIFESTS) $(if $(VERSION),--version $(VERSION),)

.PHONY: k8s-secrets
k8s-secrets: .venv/.dev ## Make the Secrets of PROFILE from FOLDER/<secret>/<key>; for a dev profile the folder may be missing
	@$(NEEDS_PROFILE)
	@KUBECTL="$(KUBECTL)" k8s/secrets.sh $(NAMESPACE) "$(FOLDER)"

.PHONY: deploy
deploy: k8s-manifests ## Bring PROFILE to its cluster, images of VERSION; what does not come up goes back by itself
	@KUBECTL="$(KUBECTL)" k8s/deploy.sh $(MANIFESTS)/$(PROFILE)

.PHONY: rollback
rollback: .venv/.dev ## Take PROFILE, or its SERVICE alone, back to the revision before, or to REVISION
	@$(NEEDS_PROFILE)
	@KUBECTL="$(KUBECTL)" k8s/rollback.sh $(NAMESPACE) $(SERVICE) $(REVISION)

.PHONY: image-builder
image-builder: ## A builder that can keep its cache in a registry (TRADEWIND_CACHE)
	@$(ENGINE)
	@docker buildx inspect tradewind >/dev/null 2>&1 || docker buildx create --name tradewind --driver docker-container >/dev/null
	@docker buildx use tradewind

.PHONY: image-scan
image-scan: ## Look for known weaknesses in our images, which `make images` has built
	@$(ENGINE)
	@for image in $$($(PYTHON) docker/images.py --names | grep -v /builder:); do \
		docker run --rm --volume /var/run/docker.sock:/var/run/docker.sock $(SCANNER_IMAGE) image --quiet --scanners vuln,secret \
			--ignore-unfixed --severity $(SCAN_SEVERITY) --exit-code 1 "$$image" || exit 1; done

.PHONY: image-push
image-push: ## Push our images to TRADEWIND_REGISTRY, as TRADEWIND_VERSION and TRADEWIND_TAGS
	@[ -n "$${TRADEWIND_REGISTRY:-}" ] || { echo "say TRADEWIND_REGISTRY=host/path/"; exit 2; }
	@$(MAKE) --no-print-directory images ARGS=--push

.PHONY: image-cleanup
image-cleanup: ## Remove old images from TRADEWIND_REGISTRY by k8s/image-policy.toml (ARGS=--dry-run only says which)
	@$(PYTHON) k8s/image_cleanup.py $(ARGS)

.PHONY: release-check
release-check: ## Whether TAG, as v0.3.1, is the version of this repository
	@[ "$(TAG)" = "v$$($(PYTHON) docker/images.py --names | head -n 1 | sed 's/.*://')" ] || \
		{ echo "the tag $(TAG) is not v and the version in pyproject.toml"; exit 1; }
