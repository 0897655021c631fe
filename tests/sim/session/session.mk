# Sessions over the simulated network: the worker and all it stands on, against models of brokers. Part of make sim.

SESSION_SEEDS ?= 2000

SIM_SESSION := $(B)/tests/sim/sim_session
SIM_SESSION_OBJS := $(call objs,$(wildcard tests/sim/session/*.c) tests/sim/sim_link.c tests/lib/tcp_peer.c control/reconnect.c)
SIM_SESSION_ROOMS := $(call archives,plane tcp net amqp base)
SIM_SESSION_WRAP := $(patsubst %,-Wl$(comma)--wrap=%,clock_gettime malloc calloc aligned_alloc free)

$(SIM_SESSION): $(SIM_SESSION_OBJS) $(SIM_SESSION_ROOMS)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $(SIM_SESSION_OBJS) -Wl,--start-group $(SIM_SESSION_ROOMS) -Wl,--end-group $(SIM_SESSION_WRAP) \
		$(HW_LDFLAGS) -lm

##H make sim-session     whole sessions with brokers that fail, SESSION_SEEDS=2000 of them FROM=1; part of make sim
.PHONY: sim-session
sim-session: $(SIM_SESSION)
	@$(SIM_SESSION) --seeds $(SESSION_SEEDS) --from $(FROM)

sim: sim-session

# A short run of it, with the default number of seeds, is part of `make check`.
CHECK_PROGRAMS += $(SIM_SESSION)
