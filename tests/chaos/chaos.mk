# A publisher, a consumer that checks every message, brokers, and a seeded script of what befalls them (docs/reliability.md).

$(B)/tests/chaos/publisher: $(B)/obj/tests/chaos/publisher.o $(B)/lib/base.a $(B)/libharewire.so
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $< $(B)/lib/base.a -L$(B) -lharewire -Wl,-rpath,$(abspath $(B)) $(HW_LDFLAGS)

CHAOS_PROGRAMS := $(B)/tests/chaos/publisher $(B)/loss.bpf.o

##H make chaos           MINUTES=10 of faults from SEED=1 around a publisher of DRIVER=af_xdp: no message may be missing (root)
.PHONY: chaos chaos-short
chaos: $(CHAOS_PROGRAMS)
	@B=$(B) tests/chaos/run.py --seed $(or $(SEED),1) --minutes $(or $(MINUTES),10) --driver $(or $(DRIVER),af_xdp) \
		$(if $(RATE),--rate $(RATE)) $(if $(KEEP),--keep $(KEEP))

# The part of it that belongs to `make test`: a fault of each kind that ends a connection, in a minute or so.
chaos-short: $(CHAOS_PROGRAMS)
	@B=$(B) tests/chaos/run.py --seed 1 --driver af_xdp --short
