# Harewire. `make help` lists the targets; README.md explains them.
#
#   B=dir                 build somewhere else than build/
#   CC=clang              another compiler
#   SANITIZE=address,undefined   instrumented build, kept apart in build-address-undefined/
#   DPDK=0                without the DPDK driver; default: with it if pkg-config finds libdpdk
#   V=1                   show the commands

CC       := $(if $(filter default,$(origin CC)),gcc,$(CC))
CLANG    ?= clang
OBJCOPY  ?= objcopy
BPFTOOL  ?= $(firstword $(wildcard /usr/sbin/bpftool) bpftool)
SANITIZE ?=
comma    := ,
DPDK     ?= $(shell pkg-config --exists 'libdpdk >= 22.11' 2>/dev/null && echo 1 || echo 0)
DPDK     := $(DPDK)
export DPDK
B        ?= build$(if $(SANITIZE),-$(subst $(comma),-,$(SANITIZE)))$(if $(filter command line,$(origin DPDK)),$(if $(filter 0,$(DPDK)),-nodpdk))
Q        := $(if $(V),,@)

OPT      ?= -O2
# DWARF 4: Debian 12's valgrind cannot read the DWARF 5 that clang writes by default.
CFLAGS   ?= -g -gdwarf-4 $(OPT)
HW_CFLAGS := -std=gnu11 -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
	-Wvla -Wno-unused-parameter -fPIC -fvisibility=hidden -pthread -MMD -MP -I. -I$(B)/gen $(CFLAGS)
HW_LDFLAGS := -pthread $(LDFLAGS)
ifneq ($(SANITIZE),)
HW_CFLAGS  += -fsanitize=$(SANITIZE) -fno-sanitize-recover=all -fno-omit-frame-pointer
HW_LDFLAGS += -fsanitize=$(SANITIZE)
endif

# The rooms of the house (docs/architecture.md). Each is an archive, so that a test links only the rooms it is about.
ROOMS := base net tcp amqp plane drivers af_xdp dpdk session netlink nic feed control console
SRC_base    := $(wildcard dataplane/base/*.c)
SRC_net     := $(wildcard dataplane/net/*.c)
SRC_tcp     := $(wildcard dataplane/tcp/*.c)
SRC_amqp    := $(wildcard dataplane/amqp/*.c)
SRC_plane   := $(wildcard dataplane/*.c)
SRC_drivers := $(wildcard drivers/*.c drivers/kernel/*.c drivers/interceptors/*.c drivers/null/*.c)
SRC_af_xdp  := $(filter-out %.bpf.c,$(wildcard drivers/af_xdp/*.c))
SRC_dpdk    := $(if $(filter 0,$(DPDK)),drivers/dpdk/absent.c,$(filter-out %/absent.c,$(wildcard drivers/dpdk/*.c)))
SRC_session := $(wildcard control/session/*.c)
SRC_netlink := $(wildcard control/netlink/*.c)
SRC_nic     := $(wildcard control/nic/*.c)
SRC_feed    := $(wildcard control/feed/*.c)
SRC_command := $(wildcard control/command/*.c)
SRC_control := $(wildcard control/*.c)
SRC_console := $(wildcard control/console/*.c)

LIBS := -lrabbitmq -lxdp -lbpf -lmnl -ljson-c -lm
ifneq ($(DPDK),0)
# As system headers: their warnings are not ours. Poll-mode drivers are plugins, loaded when the EAL starts.
DPDK_CFLAGS := $(patsubst -I%,-isystem %,$(shell pkg-config --cflags libdpdk))
DPDK_LIBS   := -lrte_ethdev -lrte_mbuf -lrte_mempool -lrte_ring -lrte_telemetry -lrte_eal
LIBS        += $(DPDK_LIBS)
endif
COMMAND_LIBS := -lcyaml -lyaml -lpcap -lz -lrabbitmq -ljson-c -lm

objs     = $(patsubst %.c,$(B)/obj/%.o,$(1))
archives = $(patsubst %,$(B)/lib/%.a,$(1))
LIB_OBJS := $(foreach r,base net tcp amqp plane drivers af_xdp dpdk session netlink nic control console,$(call objs,$(SRC_$(r))))

.PHONY: all lib help
all: $(B)/harewire $(B)/libharewire.so $(B)/libharewire.a

help:
	@sed -n 's/^##H //p' $(MAKEFILE_LIST)

##H make                 the command and the library, into build/
$(B)/libharewire.so: $(LIB_OBJS)
	@mkdir -p $(@D)
	$(Q)$(CC) -shared -Wl,-soname,libharewire.so -Wl,-z,defs -o $@ $(LIB_OBJS) $(HW_LDFLAGS) $(LIBS)

# One object in which nothing but the public names is left to link with: an application may well have a function that is
# called publisher_create, too.
$(B)/libharewire.a: $(LIB_OBJS)
	@mkdir -p $(@D)
	$(Q)$(LD) -r -o $(B)/libharewire.o $(LIB_OBJS)
	$(Q)$(OBJCOPY) --localize-hidden $(B)/libharewire.o
	$(Q)rm -f $@ && ar rcs $@ $(B)/libharewire.o && rm $(B)/libharewire.o

# The command uses more of it than its public names.
$(B)/lib/all.a: $(LIB_OBJS)
	@mkdir -p $(@D)
	$(Q)rm -f $@ && ar rcs $@ $(LIB_OBJS)

$(B)/harewire: $(call objs,$(SRC_command) $(SRC_feed)) $(B)/lib/all.a
	$(Q)$(CC) -o $@ $^ $(HW_LDFLAGS) $(LIBS) $(COMMAND_LIBS)

$(B)/obj/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(HW_CFLAGS) -c -o $@ $<

define room_rule
$(B)/lib/$(1).a: $(call objs,$(SRC_$(1)))
	@mkdir -p $$(@D)
	$(Q)rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach r,$(ROOMS),$(eval $(call room_rule,$(r))))

# The XDP program: compiled for BPF, embedded through a skeleton header.
$(B)/gen/%.bpf.o: drivers/af_xdp/%.bpf.c drivers/af_xdp/xdp_maps.h
	@mkdir -p $(@D)
	$(Q)$(CLANG) -target bpf -O2 -g -Wall -Werror -mcpu=v3 -I. -I/usr/include/$(shell gcc -print-multiarch) -c -o $@ $<

$(B)/gen/%.skel.h: $(B)/gen/%.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name $(subst -,_,$*) >$@

$(call objs,$(SRC_af_xdp)): $(patsubst drivers/af_xdp/%.bpf.c,$(B)/gen/%.skel.h,$(wildcard drivers/af_xdp/*.bpf.c))

ifneq ($(DPDK),0)
$(call objs,$(SRC_dpdk)) $(B)/obj/tests/unit/dpdk/%.o: HW_CFLAGS += $(DPDK_CFLAGS)
endif

include tests/tests.mk
-include scripts/targets.mk

##H make install         both, the header and harewire.pc, under PREFIX=/usr/local; DESTDIR=dir before that
PREFIX ?= /usr/local
VERSION := $(shell sed -n 's/^\#define HAREWIRE_VERSION "\(.*\)"/\1/p' dataplane/harewire.h)
.PHONY: install
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install $(B)/harewire $(DESTDIR)$(PREFIX)/bin/harewire
	install -m 644 dataplane/harewire.h $(DESTDIR)$(PREFIX)/include/harewire.h
	install -m 644 $(B)/libharewire.so $(B)/libharewire.a $(DESTDIR)$(PREFIX)/lib
	printf '%s\n' 'Name: harewire' 'Description: kernel-bypass AMQP 0-9-1 publisher' 'Version: $(VERSION)' \
		'Cflags: -I$(PREFIX)/include' 'Libs: -L$(PREFIX)/lib -lharewire' 'Libs.private: $(LIBS) -pthread' \
		>$(DESTDIR)$(PREFIX)/lib/pkgconfig/harewire.pc

##H make clean           removes the build directory
.PHONY: clean
clean:
	rm -rf $(B)

-include $(shell find $(B) -name '*.d' 2>/dev/null)
