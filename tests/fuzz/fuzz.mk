# Fuzzers: tests/fuzz/fuzz_*.c, each one libFuzzer program under address and undefined-behaviour sanitizers, built by
# clang from the sources it names. What libFuzzer finds worth keeping grows in $(B)/fuzz/corpus; a crash lies beside it.
#
#   make fuzz FUZZ_SECONDS=300 FUZZERS=frame_reader

FUZZ_SECONDS ?= 10
FUZZERS      ?= $(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c))

FUZZ_SRC_frame_reader := $(SRC_amqp) $(SRC_base)
FUZZ_MAX_LEN_frame_reader := 40000
FUZZ_SRC_tcp := $(SRC_tcp) $(SRC_net) $(SRC_base) tests/lib/tcp_peer.c
FUZZ_SRC_nic := $(SRC_nic) $(SRC_net) $(SRC_base)
FUZZ_SRC_request := control/console/request.c dataplane/base/error.c
FUZZ_LIBS_request := -ljson-c
FUZZ_SRC_feed := $(addprefix control/feed/,udp.c iextp.c iex_message.c pattern.c key_table.c)

FUZZ_CFLAGS := -std=gnu11 -g -O1 -I. -Wall -Wextra -Werror -Wno-unused-parameter -pthread \
	-fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer

define fuzz_rule
$(B)/fuzz/$(1): tests/fuzz/fuzz_$(1).c $(FUZZ_SRC_$(1)) $(wildcard dataplane/*/*.h control/console/*.h tests/lib/*.h)
	@mkdir -p $$(@D)
	$(Q)$(CLANG) $(FUZZ_CFLAGS) -o $$@ $$(filter %.c,$$^) $(FUZZ_LIBS_$(1)) -lm

.PHONY: fuzz-$(1)
fuzz-$(1): $(B)/fuzz/$(1)
	@mkdir -p $(B)/fuzz/corpus/$(1)
	$(B)/fuzz/$(1) -max_total_time=$(FUZZ_SECONDS) -timeout=10 -print_final_stats=1 \
		-max_len=$(or $(FUZZ_MAX_LEN_$(1)),4096) \
		$(if $(wildcard tests/fuzz/$(1).dict),-dict=tests/fuzz/$(1).dict) \
		-artifact_prefix=$(B)/fuzz/$(1)- $(B)/fuzz/corpus/$(1) $(wildcard tests/fuzz/corpus/$(1))
endef
$(foreach f,$(patsubst tests/fuzz/fuzz_%.c,%,$(wildcard tests/fuzz/fuzz_*.c)),$(eval $(call fuzz_rule,$(f))))

##H make fuzz            every fuzzer for FUZZ_SECONDS (10)
.PHONY: fuzz
fuzz: $(addprefix fuzz-,$(FUZZERS))
