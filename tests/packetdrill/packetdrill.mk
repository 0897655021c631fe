# packetdrill's scripts against our TCP: make packetdrill SCRIPTS='tests/packetdrill/scripts/syn_*.pkt' plays some.

PD_SO_OBJS := $(call objs,$(patsubst %,tests/packetdrill/%.c,library locked wait stack flags calls transfer sockopt))
PD_SO      := $(B)/tests/packetdrill/harewire_packetdrill.so
PD_RUNNER  := $(B)/tests/packetdrill/run_scripts
PD_RUNNER_OBJS := $(call objs,$(wildcard tests/packetdrill/run_*.c))

$(PD_SO): $(PD_SO_OBJS) $(call archives,tcp net base)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared $(if $(SANITIZE),,-Wl,-z,defs) -o $@ $(PD_SO_OBJS) $(call archives,tcp net base) $(HW_LDFLAGS) -lm -lpthread

# The runner knows nothing of the stack: it loads the library as packetdrill would.
$(PD_RUNNER): $(PD_RUNNER_OBJS) $(PD_SO)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $(PD_RUNNER_OBJS) $(HW_LDFLAGS) -ldl -lpthread

##H make packetdrill     packetdrill's scripts against TCP, in virtual time; SCRIPTS='file...' picks some
.PHONY: packetdrill
packetdrill: $(PD_RUNNER) $(PD_SO)
	@$(PD_RUNNER) $(SCRIPTS)

CHECK_PROGRAMS += $(PD_RUNNER)
