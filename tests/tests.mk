# Unit tests: tests/unit/<room>/test_*.c is one cmocka program, linked with the rooms below and nothing else. That
# tests/unit/tcp links without a driver or a clock is itself a test.

UNIT_LINK_base    := base
UNIT_LINK_net     := net base
UNIT_LINK_tcp     := tcp net base
UNIT_LINK_amqp    := amqp base
UNIT_LINK_plane   := plane drivers tcp net amqp base
UNIT_LINK_drivers := drivers tcp net base
UNIT_LINK_af_xdp  := af_xdp drivers net base
UNIT_LINK_dpdk    := dpdk drivers base
UNIT_LINK_dpdk_absent := dpdk base
UNIT_LINK_dpdk_played := dpdk fake_ethdev drivers base
UNIT_LINK_feed    := feed base
UNIT_LINK_session := session amqp base
UNIT_LINK_netlink := netlink base
UNIT_LINK_nic     := nic net base
UNIT_LINK_console := console control session netlink nic plane drivers af_xdp dpdk tcp net amqp base
UNIT_LINK_control := control console session netlink nic plane drivers af_xdp dpdk tcp net amqp base
UNIT_LINK_command := command fake_harewire feed session amqp base
UNIT_LIBS_amqp    := -lrabbitmq
UNIT_LIBS_feed    := -lpcap -lz
UNIT_LIBS_af_xdp  := -lxdp -lbpf
UNIT_LIBS_dpdk    := $(DPDK_LIBS)
UNIT_LIBS_dpdk_played := $(DPDK_LIBS)
UNIT_LIBS_session := -lrabbitmq
UNIT_LIBS_netlink := -lmnl
UNIT_LIBS_control := $(LIBS)
UNIT_LIBS_console := $(LIBS)
UNIT_LIBS_command := $(COMMAND_LIBS)

# The command is tested against a library that reaches no broker.
SRC_fake_harewire := $(wildcard tests/lib/fake_harewire/*.c)
$(foreach r,command fake_harewire,$(eval $(call room_rule,$(r))))

# The DPDK driver is tested over virtual devices, and over a played NIC of any capabilities.
SRC_fake_ethdev := $(if $(filter 0,$(DPDK)),,$(wildcard tests/lib/fake_ethdev/*.c))
$(eval $(call room_rule,fake_ethdev))
ifneq ($(DPDK),0)
$(call objs,$(SRC_fake_ethdev) $(wildcard tests/unit/dpdk_played/*.c)): HW_CFLAGS += $(DPDK_CFLAGS)
endif

UNIT_ROOMS := base net tcp amqp plane drivers af_xdp $(if $(filter 0,$(DPDK)),dpdk_absent,dpdk dpdk_played) session netlink nic feed control console command
UNIT_TESTS := $(patsubst %.c,$(B)/%,$(wildcard $(patsubst %,tests/unit/%/test_*.c,$(UNIT_ROOMS))))
TESTLIB    := $(call objs,$(wildcard tests/lib/*.c))

define unit_rule
$(B)/tests/unit/$(1)/test_%: $(B)/obj/tests/unit/$(1)/test_%.o $(TESTLIB) $(call archives,$(UNIT_LINK_$(1)))
	@mkdir -p $$(@D)
	$(Q)$(CC) -o $$@ $$< $(TESTLIB) -Wl,--start-group $(call archives,$(UNIT_LINK_$(1))) -Wl,--end-group $(HW_LDFLAGS) $(UNIT_LIBS_$(1)) -lcmocka -lm
endef
$(foreach r,$(UNIT_ROOMS),$(eval $(call unit_rule,$(r))))

.PHONY: unit
unit: $(UNIT_TESTS)
	@for t in $(UNIT_TESTS); do $$t || exit 1; done

# One room's tests: make unit-tcp
$(foreach r,$(UNIT_ROOMS),$(eval .PHONY: unit-$(r))$(eval unit-$(r): $(filter $(B)/tests/unit/$(r)/%,$(UNIT_TESTS)); @for t in $$^; do $$$$t || exit 1; done))

# Messages made from templates, as tshark dissects them.
$(B)/tests/integration/dump_frames: $(B)/obj/tests/integration/dump_frames.o $(call archives,amqp base)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(HW_LDFLAGS)

.PHONY: amqp-tshark
amqp-tshark: $(B)/tests/integration/dump_frames
	tests/integration/amqp_tshark.py $<

# The session and the consumer against the RabbitMQ at AMQP_URL.
$(B)/tests/integration/test_session: $(B)/obj/tests/integration/test_session.o $(call archives,session amqp base)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(HW_LDFLAGS) -lrabbitmq -lcmocka

.PHONY: integration-session
integration-session: $(B)/tests/integration/test_session
	$<

