# The simulated network: make sim SEEDS=N FROM=S.

SEEDS ?= 2000
FROM  ?= 1

SIM_TCP := $(B)/tests/sim/sim_tcp
SIM_TCP_OBJS := $(call objs,$(wildcard tests/sim/sim_*.c) tests/lib/tcp_peer.c tests/lib/nic.c)

$(SIM_TCP): $(SIM_TCP_OBJS) $(call archives,tcp net base)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $(SIM_TCP_OBJS) $(call archives,tcp net base) $(HW_LDFLAGS) -lm

##H make sim             TCP against a hostile network, SEEDS=2000 of them FROM=1
.PHONY: sim
sim: $(SIM_TCP)
	@$(SIM_TCP) --seeds $(SEEDS) --from $(FROM)

# A short run of it, with the default number of seeds, is part of `make check`.
CHECK_PROGRAMS += $(SIM_TCP)
