# Unit tests: tests/unit/<room>/test_*.c is one cmocka program, linked with the rooms below and nothing else. That
# tests/unit/tcp links without a driver or a clock is itself a test.

UNIT_LINK_base    := base
UNIT_LINK_net     := net base
UNIT_LINK_tcp     := tcp net base
UNIT_LINK_amqp    := amqp base
UNIT_LINK_plane   := plane tcp net amqp base
UNIT_LINK_drivers := drivers tcp net base
UNIT_LINK_af_xdp  := af_xdp net base
UNIT_LINK_feed    := feed base
UNIT_LINK_session := session amqp base
UNIT_LINK_netlink := netlink base
UNIT_LINK_control := control session netlink plane drivers af_xdp tcp net amqp base
UNIT_LIBS_amqp    := -lrabbitmq
UNIT_LIBS_feed    := -lpcap -lz
UNIT_LIBS_af_xdp  := -lxdp -lbpf
UNIT_LIBS_session := -lrabbitmq
UNIT_LIBS_netlink := -lmnl
UNIT_LIBS_control := $(LIBS)

UNIT_ROOMS := base net tcp amqp plane drivers af_xdp session netlink feed control
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
