# halo's make targets. Longer logic lives in .ci/ and contrib/, one line here.
# `make` alone lists the targets.

GO        ?= go
FUZZTIME  ?= 10s
PACKAGES  ?= ./...
TOOLS     := .tools

# Pinned tools, installed outside go.mod: their dependencies are no business of
# those who import halo's SDK.
BUF                := github.com/bufbuild/buf/cmd/buf@v1.75.0
PROTOC_GEN_GO      := google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12
PROTOC_GEN_GO_GRPC := google.golang.org/grpc/cmd/protoc-gen-go-grpc@v1.6.2
GOLANGCI_LINT      := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOTESTSUM          := gotest.tools/gotestsum@v1.13.0

# The packages whose tests want the test kernel's IPVS: `make test` runs them
# once more in there.
GUEST_PACKAGES ?= ./core/balance ./core/kernel/ipvsnl ./core/kernel/vmac ./cmd/halo/e2e/balancing

# The plugins that bin/halo-plugins serves, each under a name of its own.
PLUGINS := halo-check-tcp halo-check-misc halo-track-script

VERSION := $(shell git -C $(CURDIR) describe --always --dirty --tags 2>/dev/null || echo devel)
# Static programs: one file runs on every distribution, and in the test kernel.
# grpcnotrace leaves out gRPC's web page of traces, which nobody serves here, and
# with it html/template: 3 MB less of the core in memory.
GO_BUILD := CGO_ENABLED=0 $(GO) build -tags grpcnotrace -trimpath -buildvcs=false -ldflags '-X main.version=$(VERSION)'

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## build bin/halo, bin/halo-plugins and the links in bin/plugins
	$(GO_BUILD) -o bin/ ./cmd/halo ./cmd/halo-plugins
	@mkdir -p bin/plugins
	@for plugin in $(PLUGINS); do ln -sfn ../halo-plugins bin/plugins/$$plugin; done

PREFIX ?= /usr

.PHONY: install
install: build ## install programs, plugins, man pages and the systemd unit under PREFIX (/usr), DESTDIR for packagers
	install -D -m 755 bin/halo $(DESTDIR)$(PREFIX)/sbin/halo
	install -D -m 755 bin/halo-plugins $(DESTDIR)$(PREFIX)/lib/halo/halo-plugins
	install -d -m 755 $(DESTDIR)$(PREFIX)/lib/halo/plugins
	@for plugin in $(PLUGINS); do ln -sfn ../halo-plugins $(DESTDIR)$(PREFIX)/lib/halo/plugins/$$plugin; done
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man8 contrib/man/*.8
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/man/man5 contrib/man/*.5
	install -D -m 644 contrib/halo.reference.toml $(DESTDIR)$(PREFIX)/share/doc/halo/halo.reference.toml
	install -D -m 644 contrib/systemd/halo.service $(DESTDIR)$(PREFIX)/lib/systemd/system/halo.service
	install -D -m 644 contrib/systemd/halo.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/halo.conf

.PHONY: test
test: build $(TOOLS)/halo-guest $(TOOLS)/halo-demo $(TOOLS)/gotestsum ## run every test there is; as root on Debian installs what they need
	@PACKAGES='$(PACKAGES)' GUEST_PACKAGES='$(GUEST_PACKAGES)' .ci/test

.PHONY: demo
demo: build $(TOOLS)/halo-guest $(TOOLS)/halo-demo ## show a failover and a failing web server, in under a minute
	@.ci/packages demo
	@$(TOOLS)/halo-demo -bin bin -guest $(TOOLS)/halo-guest

.PHONY: lint
lint: $(TOOLS)/golangci-lint $(TOOLS)/buf ## run the linters; says nothing when all is well
	@$(TOOLS)/golangci-lint run ./...
	@cd contrib/example-plugin && $(CURDIR)/$(TOOLS)/golangci-lint run --config $(CURDIR)/.golangci.yml ./...
	@cd sdk/internal/proto && $(CURDIR)/$(TOOLS)/buf lint
	@$(GO) mod tidy -diff

.PHONY: fmt
fmt: $(TOOLS)/golangci-lint ## format all Go files
	@$(TOOLS)/golangci-lint fmt ./...

.PHONY: bench
bench: build ## measure against Keepalived, as ratios of one run
	@.ci/packages bench
	@$(GO) test -c -o $(TOOLS)/halo-bench ./contrib/bench
	@cd contrib/bench && HALO_BIN=$(CURDIR)/bin $(CURDIR)/$(TOOLS)/halo-bench -measure $(BENCHFLAGS)

.PHONY: fuzz
fuzz: ## run every fuzz target for FUZZTIME (default 10s) each
	@GO='$(GO)' FUZZTIME='$(FUZZTIME)' .ci/fuzz

.PHONY: generate
generate: $(TOOLS)/buf $(TOOLS)/protoc-gen-go $(TOOLS)/protoc-gen-go-grpc ## regenerate the wire's Go code and the man pages
	@cd sdk/internal/proto && $(CURDIR)/$(TOOLS)/buf generate
	@$(GO) test ./cmd/halo -run TestManPages -rewrite >/dev/null

.PHONY: generate-check
generate-check: generate ## fail if what is committed is not what generate makes
	@git diff --exit-code -- sdk/internal/proto contrib/man
	@test -z "$$(git ls-files --others --exclude-standard -- sdk/internal/proto contrib/man)"

.PHONY: rewrite
rewrite: ## write the golden files of the tests anew, and show what changed
	@$(GO) test -count=1 ./core/bfd ./core/config ./core/pool ./core/track ./core/vrrp ./core/vrrp/ledger -rewrite
	@git diff --stat

.PHONY: tools
tools: $(addprefix $(TOOLS)/,buf protoc-gen-go protoc-gen-go-grpc golangci-lint gotestsum) ## install the pinned tools into .tools

.PHONY: clean
clean: ## remove everything that was built, fetched or installed here
	rm -rf bin .cache .tools

# A tool is installed again when its pinned version changes: the version is in
# the name of a stamp. -mod=mod, because a -mod=vendor in GOFLAGS would refuse.
define install_tool
$(TOOLS)/$(1): $(TOOLS)/.$(subst /,_,$(2))
	GOFLAGS=-mod=mod GOBIN=$(CURDIR)/$(TOOLS) $(GO) install $(2)
	@touch $$@
$(TOOLS)/.$(subst /,_,$(2)):
	@mkdir -p $(TOOLS)
	@rm -f $(TOOLS)/.$(subst /,_,$(firstword $(subst @, ,$(2))))@*
	@touch $$@
endef
$(eval $(call install_tool,buf,$(BUF)))
$(eval $(call install_tool,protoc-gen-go,$(PROTOC_GEN_GO)))
$(eval $(call install_tool,protoc-gen-go-grpc,$(PROTOC_GEN_GO_GRPC)))
$(eval $(call install_tool,golangci-lint,$(GOLANGCI_LINT)))
$(eval $(call install_tool,gotestsum,$(GOTESTSUM)))

# Always asked: go build knows best whether it is up to date.
.PHONY: $(TOOLS)/halo-guest $(TOOLS)/halo-demo
$(TOOLS)/halo-guest:
	@CGO_ENABLED=0 $(GO) build -buildvcs=false -o $@ ./core/kernel/kerneltest/guest/halo-guest
$(TOOLS)/halo-demo:
	@CGO_ENABLED=0 $(GO) build -buildvcs=false -o $@ ./contrib/demo
