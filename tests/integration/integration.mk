# Integration tests of the drivers and of netlink: cmocka programs that build network namespaces of their own. Root.

INTEGRATION_ROOMS_test_af_xdp         := af_xdp drivers base
INTEGRATION_ROOMS_test_af_xdp_packets := af_xdp drivers base
INTEGRATION_ROOMS_test_netlink        := netlink base
INTEGRATION_LIBS_test_af_xdp          := -lxdp -lbpf
INTEGRATION_LIBS_test_af_xdp_packets  := -lxdp -lbpf
INTEGRATION_LIBS_test_netlink         := -lmnl
INTEGRATION_HELP_test_af_xdp          := $(call objs,tests/integration/af_xdp_lab.c tests/integration/frames.c)
INTEGRATION_HELP_test_af_xdp_packets  := $(INTEGRATION_HELP_test_af_xdp)

INTEGRATION_DRIVERS := test_af_xdp test_af_xdp_packets test_netlink

define integration_rule
$(B)/tests/integration/$(1): $(call objs,tests/integration/$(1).c tests/integration/lab.c) $(INTEGRATION_HELP_$(1)) \
		$(call archives,$(INTEGRATION_ROOMS_$(1)))
	@mkdir -p $$(@D)
	$(Q)$(CC) -o $$@ $$^ $(HW_LDFLAGS) $(INTEGRATION_LIBS_$(1)) -lcmocka
endef
$(foreach t,$(INTEGRATION_DRIVERS),$(eval $(call integration_rule,$(t))))

##H make integration-drivers   AF_XDP and netlink in namespaces of their own (root)
.PHONY: integration-drivers
integration-drivers: $(patsubst %,$(B)/tests/integration/%,$(INTEGRATION_DRIVERS))
	@for t in $^; do $$t || exit 1; done

# A worker over DPDK's net_null, with a peer that answers.
$(B)/obj/tests/integration/net_null.o: HW_CFLAGS += $(DPDK_CFLAGS)
$(B)/tests/integration/net_null: $(B)/obj/tests/integration/net_null.o $(call archives,plane drivers dpdk tcp net amqp base)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $< -Wl,--start-group $(call archives,plane drivers dpdk tcp net amqp base) -Wl,--end-group $(HW_LDFLAGS) $(DPDK_LIBS) -lm

##H make net-null        the worker over DPDK's net_null: no system call, no allocation, and what a message costs
.PHONY: net-null
ifneq ($(DPDK),0)
net-null: $(B)/tests/integration/net_null
	@tests/integration/net_null.py $<
else
net-null:
	@echo "0 passed, 0 failed, 4 skipped"
endif
