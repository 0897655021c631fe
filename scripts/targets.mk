# The project's chores. The scripts do the work; a target sees to it that what they need is there. Targets that install
# run the rest in a second make, which finds the compilers that the first one did not.

# Programs of other folders that are quick and need no root add themselves to it: they are part of `make check`.
CHECK_PROGRAMS :=

include tests/fuzz/fuzz.mk
include tests/sim/sim.mk
include tests/sim/session/session.mk
include tests/integration/integration.mk
include tests/bench/bench.mk
include tests/nic/nic.mk
include tests/packetdrill/packetdrill.mk
include tests/chaos/chaos.mk

.PHONY: deps demo check check-threads check-valgrind check-scripts integration test lint

##H make deps            installs what building needs (root)
deps:
	@scripts/deps build

##H make demo            a market-data feed into a real RabbitMQ over AF_XDP, in about 40 seconds (root).
##H                      FEED=capture.pcap.gz publishes that instead of a synthetic feed
demo:
	@scripts/deps demo
	@$(MAKE) --no-print-directory B=$(B) all
	@B=$(B) scripts/demo $(if $(FEED),'$(FEED)')

# They are first, beside all others.
SLOWEST_TESTS = $(filter %/test_reconnecting %/test_hanging %/test_session,$(UNIT_TESTS))

##H make check           the unit tests and short simulations: under a minute, no root
check: $(UNIT_TESTS) $(CHECK_PROGRAMS) $(B)/docs/example
	@scripts/run-tests --jobs $$(nproc) $(SLOWEST_TESTS) $(filter-out $(SLOWEST_TESTS),$(UNIT_TESTS)) $(CHECK_PROGRAMS) \
		'tests/scripts/example_test.py $(B)/docs/example'

# Rooms whose code is all arithmetic on memory; the others' tests talk to the kernel or to threads. The longest run first.
VALGRIND_ROOMS ?= feed tcp amqp plane net base
VALGRIND := valgrind -q --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect --fair-sched=yes
# Nor those whose threads wait for each other: valgrind runs one at a time, and a whole time slice of it.
VALGRIND_NOT := %_threads
check-valgrind: $(foreach r,$(VALGRIND_ROOMS),$(filter-out $(VALGRIND_NOT),$(filter $(B)/tests/unit/$(r)/%,$(UNIT_TESTS))))
	@scripts/run-tests --jobs $$(nproc) --wrap '$(VALGRIND)' $^

# What is shared between threads: rings, the publisher, the trace, the engine with its control thread, pool and workers.
THREADED := base/test_spsc tcp/test_trace plane/%_threads session/test_session control/% console/%
THREADED_TESTS = $(filter $(addprefix $(B)-thread/tests/unit/,$(THREADED)),$(patsubst $(B)/%,$(B)-thread/%,$(UNIT_TESTS)))

##H make check-threads   the unit tests of what threads share, under ThreadSanitizer (clang); no root
check-threads:
	@$(MAKE) --no-print-directory B=$(B)-thread CC=$(CLANG) SANITIZE=thread $(THREADED_TESTS)
	@scripts/run-tests --jobs $$(nproc) $(THREADED_TESTS)

# What the unit tests and a short simulation reach of the code that is all arithmetic on memory.
COVERED := net tcp amqp
COVERAGE_SEEDS ?= 300
COVERAGE_PROGRAMS = $(foreach r,base $(COVERED) plane drivers nic,$(filter $(B)-coverage/tests/unit/$(r)/%,$(patsubst $(B)/%,$(B)-coverage/%,$(UNIT_TESTS))))
COVERAGE_MAKE = $(MAKE) --no-print-directory B=$(B)-coverage CC=gcc CFLAGS='-O1 -g --coverage' \
	LDFLAGS=--coverage

##H make coverage        lines and branches of net, tcp and amqp that unit tests and simulation reach; fails under 95 and 88 %
.PHONY: coverage
coverage:
	@$(COVERAGE_MAKE) $(COVERAGE_PROGRAMS) $(B)-coverage/tests/sim/sim_tcp
	@find $(B)-coverage -name '*.gcda' -delete
	@scripts/run-tests $(COVERAGE_PROGRAMS) '$(B)-coverage/tests/sim/sim_tcp --seeds $(COVERAGE_SEEDS)'
	@scripts/coverage --lines 95 --branches 88 $(COVERAGE_FLAGS) $(B)-coverage $(addprefix dataplane/,$(COVERED))

check-scripts: all
	@B=$(B) scripts/run-tests scripts/lint scripts/check-includes-test tests/scripts/nic_test.py tests/scripts/acceptance_test.py tests/scripts/chaos_checker_test.py \
		tests/scripts/lanes_test.py tests/scripts/install_test.py

# What scripts/nic-acceptance asks a device with. A build without DPDK has none.
$(B)/obj/scripts/nic-probe.o: HW_CFLAGS += $(DPDK_CFLAGS)
$(B)/nic-probe: $(B)/obj/scripts/nic-probe.o
	$(Q)$(CC) -o $@ $< $(HW_LDFLAGS) $(DPDK_LIBS)
NIC_PROBE := $(if $(filter 0,$(DPDK)),,$(B)/nic-probe)

##H make nic-acceptance  builds what scripts/nic-acceptance needs (which then takes ten minutes on a NIC, and reports)
.PHONY: nic-acceptance
nic-acceptance: $(B)/harewire $(NIC_PROBE)

# The program of docs/api.md, with nothing of ours but the installed header and the library.
$(B)/docs/example: docs/example.c dataplane/harewire.h $(B)/libharewire.a
	@mkdir -p $(@D)
	$(Q)$(CC) -std=c11 -Wall -Wextra -Werror -Wpedantic -Idataplane $(CFLAGS) $(if $(SANITIZE),-fsanitize=$(SANITIZE)) \
		-o $@ $< $(B)/libharewire.a $(HW_LDFLAGS) $(LIBS)

# tests/integration/*.c that tests run as they are, linked as a user of the library would.
INTEGRATION_CLIENTS := $(B)/tests/integration/publish_calls $(B)/tests/integration/publish_workers $(B)/tests/integration/resume
$(INTEGRATION_CLIENTS): $(B)/tests/integration/%: tests/integration/%.c $(B)/libharewire.so
	@mkdir -p $(@D)
	$(Q)$(CC) $(HW_CFLAGS) -o $@ $< -L$(B) -lharewire -Wl,-rpath,$(abspath $(B)) $(HW_LDFLAGS)

# Test programs that bring their own surroundings: namespaces of their own, or tshark.
INTEGRATION_PROGRAMS := $(patsubst %,$(B)/tests/integration/%,$(INTEGRATION_DRIVERS))
INTEGRATION_TSHARK   := $(B)/tests/integration/dump_frames

##H make integration     the command against a RabbitMQ in the lab (root); CASES='pattern...' picks some
integration: $(B)/harewire $(NIC_PROBE) $(B)/libharewire.so $(INTEGRATION_CLIENTS) $(B)/docs/example $(INTEGRATION_PROGRAMS) $(INTEGRATION_TSHARK) $(B)/loss.bpf.o
	@B=$(B) tests/integration/run.py --lanes $(addprefix --program ,$(INTEGRATION_PROGRAMS)) \
		--program 'tests/integration/amqp_tshark.py $(INTEGRATION_TSHARK)' $(CASES)

##H make test            everything, installing what it needs (root)
test:
	@scripts/deps test
	@B=$(B) MAKE='$(MAKE)' scripts/test

##H make lint            clang-format, cppcheck, shellcheck and the include rules
lint:
	@scripts/lint

$(B)/loss.bpf.o: scripts/loss.bpf.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) -target bpf -O2 -g -Wall -Wextra -Werror -mcpu=v3 -I/usr/include/$(shell gcc -print-multiarch) -c -o $@ $<

# Objects of tests are kept: a second `make check` relinks nothing.
.SECONDARY:
