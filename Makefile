# `make` alone builds. Everything here works from a clean clone, as root or not.
.PHONY: build test test-providers test-integration demo bench lint clean install uninstall setup needed ci

PREFIX ?= /usr/local

build:
	@command -v erl >/dev/null || { echo 'erl is missing: install Erlang/OTP 25 or newer, or run `make setup`' >&2; exit 1; }
	@command -v rebar3 >/dev/null || { echo 'rebar3 is missing: install it, or run `make setup`' >&2; exit 1; }
	rebar3 compile

# Rust, Erlang, Elixir and shell-driven tests, with one summary at the end.
test: build
	@test/support/run.sh

# Three nodes at work, then the uninvited.
demo: needed build
	@test/demo/run.sh merlon_demo

# Plain TCP, inet_tls and merlon in turn. Knobs, `make bench QUICK=1` for one: bench/run.sh --help
bench: build
	@bench/run.sh

# The keyring from files, programs, Vault, AWS and Google's servers, as in docs/guides/providers.md.
test-providers: build
	@test/support/providers.sh

# Three RabbitMQ brokers (with epmd, and without in each way that there is) and two ejabberd nodes (OTP 25, Debian's packages), as in their guides.
test-integration: build
	@test/support/rabbitmq.sh
	@for strategy in names base port static dns_srv; do MERLON_EPMD=$$strategy test/support/rabbitmq.sh || exit 1; done
	@test/support/ejabberd.sh

lint:
	@test/support/lint.sh

# Installs what is missing for all of the above (Debian).
setup:
	@test/support/install.sh

# And for the demo: no browser.
needed:
	@test/support/install.sh needed

ci:
	.ci/run

# As an OTP library: add $(PREFIX)/lib/erlang/lib to ERL_LIBS.
# Builds nothing: root, who installs, need not have Rust.
install:
	@[ -s _build/default/lib/merlon/ebin/merlon.app ] && [ -s priv/merlon_nif.so ] || { echo 'not built yet: run make first' >&2; exit 1; }
	@set -e; vsn=$$(sed -n 's/.*{vsn, *"\([^"]*\)"}.*/\1/p' _build/default/lib/merlon/ebin/merlon.app); \
	[ -n "$$vsn" ] || { echo 'merlon.app names no version: run make first' >&2; exit 1; }; \
	lib="$(DESTDIR)$(PREFIX)/lib/erlang/lib/merlon-$$vsn"; \
	install -d "$$lib/ebin" "$$lib/priv" "$$lib/bin" "$(DESTDIR)$(PREFIX)/bin"; \
	install -m 644 _build/default/lib/merlon/ebin/* "$$lib/ebin/"; \
	install -m 755 priv/merlon_nif.so "$$lib/priv/"; \
	install -m 755 bin/merlon "$$lib/bin/"; \
	ln -sf "../lib/erlang/lib/merlon-$$vsn/bin/merlon" "$(DESTDIR)$(PREFIX)/bin/merlon"; \
	echo "installed merlon-$$vsn in $(PREFIX)"

# Every version that `make install` put there; merlon dirs stay.
uninstall:
	rm -rf "$(DESTDIR)$(PREFIX)/lib/erlang/lib/"merlon-[0-9]*
	rm -f "$(DESTDIR)$(PREFIX)/bin/merlon"

clean:
	rm -rf _build target priv native/dev/target doc
