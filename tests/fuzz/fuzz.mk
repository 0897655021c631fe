# Fuzzers: tests/fuzz/fuzz_*.c, each one libFuzzer program under address and undefined-behaviour sanitizers, built by
# clang from the sources it names. What libFuzzer finds worth keeping grows in $(B)/fuzz/corpus; a crash lies beside it.
#
#   make fuzz FUZZ_SECONDS=300 FUZZERS=frame_reader
#
# The same functions, built like everything else and without libFuzzer, play tests/fuzz/corpus/NAME: replay_NAME.

FUZZ_SECONDS ?= 10
FUZZ_ALL     := $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZERS      ?= $(FUZZ_ALL)

# What each one is about, and the libraries that needs.
FUZZ_COMMAND := $(wildcard control/command/config*.c control/command/option*.c) \
	$(addprefix control/command/,complain.c declarations.c declare.c properties.c secrets.c settings.c) \
	control/feed/pattern.c control/session/password_file.c control/session/url.c dataplane/base/error.c $(wildcard tests/lib/fake_harewire/*.c)
FUZZ_PLANE   := $(wildcard dataplane/connection*.c dataplane/publisher*.c)

FUZZ_SRC_capture      := $(addprefix control/feed/,capture_feed.c capture_stream.c pcap_source.c udp.c iextp.c iex_message.c)
FUZZ_SRC_config       := $(FUZZ_COMMAND) tests/fuzz/words.c
FUZZ_SRC_connection   := $(FUZZ_PLANE) $(SRC_amqp) $(SRC_base) tests/lib/fake_transport.c tests/fuzz/copies.c
FUZZ_SRC_feed         := $(addprefix control/feed/,udp.c iextp.c iex_message.c pattern.c key_table.c)
FUZZ_SRC_frame_reader := $(SRC_amqp) $(SRC_base)
FUZZ_SRC_nic          := $(SRC_nic) $(SRC_net) $(SRC_base) tests/lib/tcp_peer.c tests/fuzz/repair.c
FUZZ_SRC_options      := $(FUZZ_SRC_config)
FUZZ_SRC_pattern      := control/feed/pattern.c
FUZZ_SRC_request      := control/console/request.c dataplane/base/error.c
FUZZ_SRC_session      := $(addprefix control/session/,delivery.c describe.c sentence.c verify.c) $(SRC_base)
FUZZ_SRC_tcp          := $(SRC_tcp) $(SRC_net) $(SRC_base) tests/lib/tcp_peer.c
FUZZ_SRC_tcp_stream   := dataplane/tcp_stream.c $(SRC_tcp) $(SRC_net) $(SRC_base) tests/lib/tcp_peer.c tests/lib/nic.c \
	tests/fuzz/repair.c
FUZZ_SRC_url          := control/session/url.c

FUZZ_LIBS_capture := -lpcap -lz
FUZZ_LIBS_config  := -lcyaml -lyaml
FUZZ_LIBS_options := -lcyaml -lyaml
FUZZ_LIBS_request := -ljson-c
FUZZ_LIBS_session := -lrabbitmq

FUZZ_MAX_LEN_frame_reader := 40000

FUZZ_SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_CFLAGS := -std=gnu11 -g -O1 -I. -Wall -Wextra -Werror -Wno-unused-parameter -pthread -MMD -MP $(FUZZ_SANITIZERS)
FUZZ_OBJS    = $(patsubst %.c,$(B)/fuzz/obj/%.o,$(1))

$(B)/fuzz/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<

define fuzz_rule
$(B)/fuzz/$(1): $(call FUZZ_OBJS,tests/fuzz/fuzz_$(1).c $(FUZZ_SRC_$(1)))
	@mkdir -p $$(@D)
	$(Q)$(CLANG) -pthread $(FUZZ_SANITIZERS) -fsanitize=fuzzer -o $$@ $$^ $(FUZZ_LIBS_$(1)) -lm

.PHONY: fuzz-$(1)
fuzz-$(1): $(B)/fuzz/$(1)
	@mkdir -p $(B)/fuzz/corpus/$(1)
	$(B)/fuzz/$(1) -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 \
		-max_len=$(or $(FUZZ_MAX_LEN_$(1)),4096) \
		$(if $(wildcard tests/fuzz/$(1).dict),-dict=tests/fuzz/$(1).dict) \
		-artifact_prefix=$(B)/fuzz/$(1)- $(B)/fuzz/corpus/$(1) $(wildcard tests/fuzz/corpus/$(1))

$(B)/tests/fuzz/replay_$(1): $(call objs,tests/fuzz/replay.c tests/fuzz/fuzz_$(1).c $(FUZZ_SRC_$(1)))
	@mkdir -p $$(@D)
	$(Q)$$(CC) -o $$@ $$^ $$(HW_LDFLAGS) $(FUZZ_LIBS_$(1)) -lm
endef
$(foreach f,$(FUZZ_ALL),$(eval $(call fuzz_rule,$(f))))

##H make fuzz            every fuzzer for FUZZ_SECONDS (10); FUZZERS='tcp nic' picks some
.PHONY: fuzz
fuzz: $(addprefix fuzz-,$(FUZZERS))

FUZZ_REPLAYS := $(patsubst %,$(B)/tests/fuzz/replay_%,$(FUZZERS))

##H make fuzz-replay     the fuzzers' corpora, played once: deterministic, any compiler, part of make check
.PHONY: fuzz-replay
fuzz-replay: $(FUZZ_REPLAYS)
	@scripts/run-tests $^

CHECK_PROGRAMS += $(FUZZ_REPLAYS)

# 208 inputs in all: those about sequences of things get more of them than those about one piece of text.
FUZZ_FILES_connection := 36
FUZZ_FILES_tcp_stream := 30
FUZZ_FILES_tcp        := 20
FUZZ_FILES_capture    := 16
FUZZ_FILES_url        := 9
FUZZ_FILES_pattern    := 9
FUZZ_FILES_request    := 9

##H make fuzz-corpus     picks tests/fuzz/corpus anew from itself and from what make fuzz has found
.PHONY: fuzz-corpus
fuzz-corpus: $(patsubst %,$(B)/fuzz/%,$(FUZZERS))
	@$(foreach f,$(FUZZERS),tests/fuzz/pick_corpus.py --files $(or $(FUZZ_FILES_$(f)),13) $(B)/fuzz/$(f) tests/fuzz/corpus/$(f) \
		tests/fuzz/corpus/$(f) $(B)/fuzz/corpus/$(f) &&) true

# In the build directory of `make coverage`, whose objects it shares.
FUZZ_COVERAGE_PROGRAMS = $(patsubst $(B)/%,$(B)-coverage/%,$(FUZZ_REPLAYS))
FUZZ_COVERED := dataplane control/console control/nic control/feed control/session control/command

##H make fuzz-coverage   what the corpora reach: lines and branches of each file
.PHONY: fuzz-coverage
fuzz-coverage:
	@$(COVERAGE_MAKE) $(FUZZ_COVERAGE_PROGRAMS)
	@find $(B)-coverage -name '*.gcda' -delete
	@scripts/run-tests $(FUZZ_COVERAGE_PROGRAMS)
	@scripts/coverage $(COVERAGE_FLAGS) $(B)-coverage $(FUZZ_COVERED)
