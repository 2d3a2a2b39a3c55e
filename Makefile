# closerace.  GNU make.
#
#   make run         install what is missing, build, play the matrix
#   make examples    the same, but run the example scripts
#   make test        install what is missing, run every check
#   make             build only: build/closerace, -proxy, -backend, core.so
#   make lint        clang-format, luacheck          make layers   who may include what
#   make manual      write into proxy/README.md and docs/systems.md what the code says
#   make bench       the proxy beside HAProxy, nginx and a bare relay
#   make bench-idle  its memory for an idle connection
#   make bench-fair  a bystander's worst wait while another client floods it
#   make clients     wrk, h2load and Chromium through the proxy
#   make bench-matrix, bench-trials   the matrix beside a bare loop; one race
#   make bench-sut   a cell through HAProxy beside one through our proxy
#   make findings    play every program that can be tested, write docs/findings.md;
#                    SYSTEMS=haproxy,… plays those again, ROUNDS=10 compares
#   make fuzz SECONDS=60   so long for each fuzz target; fuzz-keep keeps what it found
#   make test-bare   run and test in a bare Debian
#   make valgrind    every test again, under valgrind
#   make soak        a million cells of the matrix in a row
#   make soak-faults a million requests that meet random faults
#   make install     DESTDIR= PREFIX=/usr/local      make clean
#
#   SAN=address,undefined   a build of its own beside the plain one
#   V=1                     show the commands
#   CC CFLAGS LDFLAGS       as usual

.DEFAULT_GOAL := all

PREFIX      ?= /usr/local
DESTDIR     ?=
CFLAGS      ?= -O2 -g
PKG_CONFIG  ?= pkg-config
INSTALL     ?= install
LUA         := lua5.4
LUA_DIR     := $(PREFIX)/share/lua/5.4
LUA_CDIR    := $(PREFIX)/lib/lua/5.4
VERSION     := 0.1.0

comma := ,
B     := build$(if $(SAN),/$(subst $(comma),-,$(SAN)))
O     := $(B)/obj
Q     := $(if $(V),,@)

# ---------------------------------------------------------------- set-up ----
# Debian's packages; asked for once, and only those that are absent.

RUN_PACKAGES  := gcc libc6-dev pkg-config libevent-dev libmicrohttpd-dev \
                 liblua5.4-dev lua5.4 lua-cjson node-llhttp
TEST_PACKAGES := $(RUN_PACKAGES) lua-busted lua-check clang-format libasan8 \
                 libubsan1 valgrind curl nodejs haproxy perlbal nginx-light jq \
                 libxml2-utils perl parallel
BENCH_PACKAGES := $(RUN_PACKAGES) haproxy nginx-light wrk curl
CLIENT_PACKAGES := $(RUN_PACKAGES) nodejs curl wrk nghttp2-client chromium
SUT_PACKAGES := $(RUN_PACKAGES) haproxy perlbal nginx-light varnish squid trafficserver \
                apache2-bin lighttpd caddy gcc curl nodejs python3 python3-requests \
                python3-urllib3 golang-go default-jdk-headless
BARE_PACKAGES := debootstrap debian-archive-keyring

absent  = $(strip $(foreach p,$(1),$(if $(filter install,\
            $(shell dpkg-query -W -f '$${db:Status-Want}' $(p) 2>/dev/null)),,$(p))))
define install_packages
	$(if $(call absent,$(1)),@tests/install.sh $(call absent,$(1)))
endef

setup-run:
	$(call install_packages,$(RUN_PACKAGES))

setup-test:
	$(call install_packages,$(TEST_PACKAGES))

setup-bench:
	$(call install_packages,$(BENCH_PACKAGES))

setup-findings:
	$(call install_packages,$(SUT_PACKAGES))

setup-clients:
	$(call install_packages,$(CLIENT_PACKAGES))

setup-bare:
	$(call install_packages,$(BARE_PACKAGES))

# --------------------------------------------------------------- compiler ---
# One line a component: what it is built against, and nothing more.

proxy_PKGS   := libevent_core
program_PKGS := libevent_core libevent_extra
backend_PKGS := libevent_core libmicrohttpd
harness_PKGS := libevent_core
lua_PKGS     := $(LUA)

LLHTTP      := /usr/share/llhttp
LLHTTP_INC  := -isystem /usr/share/include/llhttp -DLLHTTP_STRICT_MODE=1
backend_INC := $(LLHTTP_INC)

WARN     := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
            -Wmissing-prototypes -Wwrite-strings -Wvla -Wno-unused-parameter
sanitize := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
pkg       = $(shell $(PKG_CONFIG) $(1) $(2))
# $(call cflags,component)
cflags    = -std=c11 -D_GNU_SOURCE -DCLOSERACE_VERSION='"$(VERSION)"' -I. -fPIC \
            -fvisibility=hidden $(WARN) $(sanitize) \
            $($(1)_INC) $(call pkg,--cflags,$($(1)_PKGS)) $(CFLAGS)

srcs      = $(filter-out %/main.c,$(wildcard $(1)/*.c))
objs      = $(patsubst %.c,$(O)/%.o,$(srcs))

# A build that lacks something says what, instead of leaving it to the compiler.
have    = $(shell command -v $(1) 2>/dev/null)
missing = $(strip $(if $(call have,$(PKG_CONFIG)),$(foreach p,$(sort $(backend_PKGS) $(lua_PKGS)),\
            $(if $(shell $(PKG_CONFIG) --exists $(p) && echo y),,$(p))),$(PKG_CONFIG)) \
            $(if $(call have,$(CC)),,$(CC)) $(if $(call have,$(LUA)),,$(LUA)) \
            $(if $(wildcard $(LLHTTP)/llhttp.c),,$(LLHTTP)/llhttp.c))
$(O)/.ready:
	$(if $(missing),$(error missing: $(missing); `make run` installs what the build needs))
	@mkdir -p $(@D) && touch $@

define component
$(1)_CFLAGS = $$(eval $(1)_CFLAGS := $$$$(call cflags,$(1)))$$($(1)_CFLAGS)
$(O)/$(1)/%.o: $(1)/%.c Makefile | $(O)/.ready
	@echo "  CC    $$@"
	@mkdir -p $$(@D)
	$(Q)$$(CC) $$(CPPFLAGS) $$($(1)_CFLAGS) -MD -MP -c -o $$@ $$<
$(O)/$(1).a: $(call objs,$(1))
	@echo "  AR    $$@"
	$(Q)rm -f $$@ && $$(AR) rcs $$@ $$^
endef
$(foreach c,proxy backend harness lua,$(eval $(call component,$(c))))

$(O)/llhttp/%.o: $(LLHTTP)/%.c Makefile | $(O)/.ready
	@echo "  CC    $@"
	@mkdir -p $(@D)
	$(Q)$(CC) $(LLHTTP_INC) -fPIC -fvisibility=hidden $(sanitize) $(CFLAGS) -c -o $@ $<
$(O)/llhttp.a: $(patsubst %,$(O)/llhttp/%.o,api http llhttp)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# --------------------------------------------------------------- programs ---

all: $(B)/closerace $(B)/closerace-proxy $(B)/closerace-backend $(B)/lib/closerace/core.so

link = @echo "  LINK  $@"; mkdir -p $(@D); \
       $(CC) $(sanitize) $(CFLAGS) $(LDFLAGS) $(1) -o $@ $(filter %.o %.a,$^)
PARTS := $(O)/harness.a $(O)/proxy.a $(O)/backend.a $(O)/llhttp.a

# What only the program needs; the lab has the library alone.
$(O)/program.a: $(call objs,proxy/program)
	@echo "  AR    $@"
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Without Lua and without harness/: the link is the proof.
$(B)/closerace-proxy: $(O)/proxy/main.o $(O)/program.a $(O)/proxy.a
	$(call link) $(call pkg,--libs,$(program_PKGS))
$(B)/closerace-backend: $(O)/backend/main.o $(O)/backend.a $(O)/llhttp.a
	$(call link) $(call pkg,--libs,$(backend_PKGS))

$(B)/closerace: $(O)/lua/main.o $(O)/lua/modules.o $(O)/lua.a $(PARTS)
	$(call link,-Wl$(comma)-E) $(call pkg,--libs,$(backend_PKGS) $(lua_PKGS))
$(B)/lib/closerace/core.so: $(call objs,lua) $(PARTS)
	$(call link,-shared) $(call pkg,--libs,$(backend_PKGS))

# The Lua modules, built into the program.
MODULES := $(wildcard lua/closerace/*.lua lua/closerace/*/*.lua)
$(O)/lua/modules.c: lua/embed.lua $(MODULES)
	@mkdir -p $(@D)
	$(Q)$(LUA) lua/embed.lua $(MODULES) >$@
$(O)/lua/modules.o: $(O)/lua/modules.c
	$(Q)$(CC) $(lua_CFLAGS) -c -o $@ $<

EXAMPLES := $(sort $(wildcard lua/examples/*.lua))

run: setup-run
	$(Q)$(MAKE) -s $(jobs) all
	$(Q)$(B)/closerace matrix

examples: setup-run
	$(Q)$(MAKE) -s $(jobs) all
	$(Q)$(B)/closerace run $(EXAMPLES)

# ----------------------------------------------------------------- checks ---

UNIT := $(patsubst tests/unit/%.c,$(B)/unit/%,$(wildcard tests/unit/*_test.c))
tests_INC  := $(LLHTTP_INC)
tests_PKGS := $(backend_PKGS) libevent_extra
$(B)/unit/%: tests/unit/%.c tests/unit/check.h $(O)/program.a $(PARTS) Makefile
	@echo "  LINK  $@"
	@mkdir -p $(@D)
	$(Q)$(CC) $(call cflags,tests) -MMD -MP $(LDFLAGS) -o $@ $< $(O)/program.a $(PARTS) $(call pkg,--libs,$(tests_PKGS))

# The proxy with mistakes in it, for the matrix to find; never installed.
WRAPPED := retry_decide response_reader_finish io_read io_take_error io_is_silent \
           actor_read actor_poke exchange_attempt
$(B)/defects/closerace: $(O)/lua/main.o $(O)/lua/modules.o $(O)/lua.a $(O)/defects.o $(PARTS)
	$(call link,-Wl$(comma)-E $(WRAPPED:%=-Wl$(comma)--wrap=%)) $(call pkg,--libs,$(backend_PKGS) $(lua_PKGS))
$(O)/defects.o: tests/defects/defects.c Makefile | $(O)/.ready
	$(Q)$(CC) $(call cflags,tests) -MMD -MP -c -o $@ $<

# The fuzz targets.  Here without a fuzzer, to replay what was kept; `make fuzz`
# builds them with clang and libFuzzer, below build/fuzz.
FUZZ_PACKAGES := $(RUN_PACKAGES) clang llvm libclang-rt-14-dev
FUZZ_TARGETS := session upstream
FUZZ_OBJS    := $(O)/fuzz/scene.o $(O)/fuzz/strict.o
FUZZ_BUILD   := build/fuzz
FUZZ_SAN     := fuzzer-no-link,address,undefined
SECONDS      ?= 60

$(O)/fuzz/%.o: tests/fuzz/%.c Makefile | $(O)/.ready
	@echo "  CC    $@"
	@mkdir -p $(@D)
	$(Q)$(CC) $(call cflags,tests) -MMD -MP -c -o $@ $<
$(B)/corpus/%: $(O)/fuzz/%.o $(FUZZ_OBJS) $(O)/fuzz/replay.o $(O)/proxy.a
	$(call link) $(call pkg,--libs,$(proxy_PKGS))
$(B)/fuzzer/%: $(O)/fuzz/%.o $(FUZZ_OBJS) $(O)/proxy.a
	$(call link,-fsanitize=fuzzer) $(call pkg,--libs,$(proxy_PKGS))

setup-fuzz:
	$(call install_packages,$(FUZZ_PACKAGES))

fuzz-programs: setup-fuzz
	$(Q)$(MAKE) -s $(jobs) CC=clang B=$(FUZZ_BUILD) SAN=$(FUZZ_SAN) \
	  $(FUZZ_TARGETS:%=$(FUZZ_BUILD)/fuzzer/%)

fuzz: fuzz-programs
	$(Q)$(LUA) tests/fuzz/run.lua $(SECONDS) $(FUZZ_TARGETS)

# Take what `make fuzz` has found into the kept corpus, and drop from it what
# covers nothing of its own.
fuzz-keep: fuzz-programs
	$(Q)$(LUA) tests/fuzz/run.lua keep $(FUZZ_TARGETS)
.PHONY: setup-fuzz fuzz-programs fuzz fuzz-keep

test: setup-test
	$(Q)$(MAKE) -s $(jobs) all unit-programs
	$(Q)$(MAKE) -s $(jobs) SAN=address,undefined all unit-programs
	$(Q)$(LUA) tests/run.lua

valgrind: setup-test
	$(Q)$(MAKE) -s $(jobs) all unit-programs
	$(Q)$(LUA) tests/run.lua valgrind

# As many as there are processors, unless the command line says otherwise.
jobs = $(if $(findstring -j,$(MAKEFLAGS)),,-j$(shell nproc))

unit-programs: $(UNIT) $(FUZZ_TARGETS:%=$(B)/corpus/%) $(B)/lib/canary.so $(B)/defects/closerace

$(B)/lib/canary.so: tests/canary.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE $(WARN) $(sanitize) -fPIC -shared -g -o $@ $<

# Who may include what, from the dependency files that the compiler wrote.
layers: $(patsubst %.c,$(O)/%.o,$(foreach c,proxy proxy/program backend harness lua,$(wildcard $(c)/*.c)))
	$(Q)$(LUA) tests/layers.lua $(O)

lint:
	$(Q)clang-format --dry-run -Werror $(wildcard */*.[ch] proxy/program/*.[ch] tests/*/*.[ch])
	$(Q)luacheck -q --config tests/luacheckrc lua tests .busted

# proxy/README.md and docs/systems.md say what the code says.
manual: $(B)/closerace-proxy $(B)/manual/tables $(B)/lib/closerace/core.so
	$(Q)$(LUA) tests/manual/write.lua $(B)
manual-check: $(B)/closerace-proxy $(B)/manual/tables $(B)/lib/closerace/core.so
	$(Q)$(LUA) tests/manual/write.lua $(B) check
$(B)/manual/%: tests/manual/%.c $(O)/proxy.a Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) $(call cflags,tests) -o $@ $< $(O)/proxy.a

bench: setup-bench
	$(Q)$(MAKE) -s all $(B)/bench/relay
	$(Q)$(LUA) tests/bench/proxy.lua

bench-fair: setup-bench
	$(Q)$(MAKE) -s all $(B)/bench/fair
	$(Q)$(LUA) tests/bench/fair.lua

bench-idle: setup-run
	$(Q)$(MAKE) -s all $(B)/bench/idle
	$(Q)$(B)/bench/idle $(B)/closerace-proxy
	$(Q)$(B)/bench/idle $(B)/closerace-proxy 10000 5000 65536

clients: setup-clients
	$(Q)$(MAKE) -s $(jobs) all
	$(Q)$(LUA) tests/clients/run.lua

bench-trials: setup-run
	$(Q)$(MAKE) -s all
	$(Q)$(B)/closerace run tests/bench/trials.lua

bench-matrix: setup-run
	$(Q)$(MAKE) -s all $(B)/bench/floor
	$(Q)taskset -c $$(taskset -cp $$$$ | sed 's/.*: //; s/[^0-9].*//') \
	  $(B)/closerace run tests/bench/matrix.lua
	$(Q)WORKERS=2 $(B)/closerace run tests/bench/matrix.lua

bench-sut: setup-bench
	$(Q)$(MAKE) -s all
	$(Q)$(B)/closerace run tests/bench/sut.lua

# What is measured stays in build/findings; the page alone can be written again.
findings: setup-findings
	$(Q)$(MAKE) -s $(jobs) all
	$(Q)$(B)/closerace run tests/findings/run.lua
	$(Q)$(LUA) tests/findings/write.lua

soak: setup-run
	$(Q)$(MAKE) -s all
	$(Q)$(B)/closerace run tests/soak/million.lua

# REQUESTS= SEED= RETRY=; ROUND= plays that one alone and shows how it went.
soak-faults: setup-run
	$(Q)$(MAKE) -s all
	$(Q)SANITIZED=$(if $(SAN),1) $(B)/closerace run tests/soak/faults.lua

$(B)/bench/%: tests/bench/%.c Makefile
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -D_GNU_SOURCE $(WARN) $(CFLAGS) -o $@ $<

test-bare: setup-bare
	$(Q)tests/bare.sh

compile_commands.json: Makefile $(wildcard */*.[ch] proxy/program/*.[ch])
	$(Q){ sep='['; $(foreach c,proxy backend harness lua,for f in $(wildcard $(c)/*.c $(c)/program/*.c); do \
	  printf '%s\n{ "directory": "%s", "file": "%s", "arguments": [' "$$sep" '$(CURDIR)' $$f; \
	  printf '%s\n' $(CC) $(call cflags,$(c)) | sed 's/"/\\"/g; s/.*/"&", /' | tr -d '\n'; \
	  printf '"-c", "%s"] }' $$f; sep=,; done;) \
	  printf '\n]\n'; } >$@

# ---------------------------------------------------------------- install ---

install: all
	$(Q)$(INSTALL) -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(LUA_CDIR)/closerace $(DESTDIR)$(LUA_DIR)/closerace
	$(Q)$(INSTALL) -d $(sort $(dir $(MODULES:lua/%=$(DESTDIR)$(LUA_DIR)/%)))
	$(Q)$(INSTALL) -m 755 $(B)/closerace $(B)/closerace-proxy $(B)/closerace-backend $(DESTDIR)$(PREFIX)/bin/
	$(Q)$(INSTALL) -m 755 $(B)/lib/closerace/core.so $(DESTDIR)$(LUA_CDIR)/closerace/
	$(Q)$(foreach m,$(MODULES),$(INSTALL) -m 644 $(m) $(DESTDIR)$(LUA_DIR)/$(m:lua/%=%) &&) :
	@echo 'installed below $(PREFIX); for require "closerace", unless Lua looks there anyway:'
	@echo "  export LUA_PATH='$(LUA_DIR)/?.lua;$(LUA_DIR)/?/init.lua;;'"
	@echo "  export LUA_CPATH='$(LUA_CDIR)/?.so;;'"

clean:
	rm -rf build compile_commands.json

-include $(wildcard $(O)/*.d $(O)/*/*.d $(O)/*/*/*.d $(B)/unit/*.d)
.PHONY: all setup-run setup-test setup-bench setup-findings setup-clients setup-bare findings bench-sut run examples test unit-programs valgrind layers lint manual manual-check bench bench-fair bench-idle clients bench-matrix bench-trials soak soak-faults test-bare install clean
.DELETE_ON_ERROR:
.SECONDARY:
