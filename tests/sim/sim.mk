# The simulated network: make sim SEEDS=N FROM=S.

SEEDS    ?= 20000
FROM     ?= 1
SIM_JOBS ?= $(shell nproc)

SIM_TCP := $(B)/tests/sim/sim_tcp
SIM_TCP_OBJS := $(call objs,$(wildcard tests/sim/sim_tcp*.c) tests/sim/sim_link.c tests/sim/sim_peer.c tests/lib/tcp_peer.c \
	tests/lib/nic.c)

$(SIM_TCP): $(SIM_TCP_OBJS) $(call archives,tcp net base)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $(SIM_TCP_OBJS) $(call archives,tcp net base) $(HW_LDFLAGS) -lm

##H make sim             TCP against a hostile network, SEEDS=20000 of them FROM=1, in SIM_JOBS processes
.PHONY: sim
sim: $(SIM_TCP)
	@$(SIM_TCP) --seeds $(SEEDS) --from $(FROM) --jobs $(SIM_JOBS)

# A short run of it is part of `make check`.
CHECK_PROGRAMS += $(SIM_TCP)
