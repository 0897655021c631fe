# Poll-mode drivers of real NICs, in a guest that QEMU emulates. The kernel that it boots is kept in the build directory.

$(B)/nic/kernel:
	$(Q)tests/nic/kernel.py $@

$(B)/nic/vlan.bpf.o: tests/nic/vlan.bpf.c
	@mkdir -p $(@D)
	$(Q)$(CLANG) -target bpf -O2 -g -Wall -Wextra -Werror -mcpu=v3 -I/usr/include/$(shell gcc -print-multiarch) -c -o $@ $<

##H make test-nic        e1000e, vmxnet3 and virtio-net under the driver dpdk, in an emulated guest behind an IOMMU (root).
##H                      CAPTURE=file publishes that, FULL=1 all of it; CASES='pattern...' picks some
.PHONY: test-nic
test-nic: $(B)/harewire $(B)/loss.bpf.o $(B)/nic/vlan.bpf.o $(B)/nic/kernel
	@$(if $(filter 0,$(DPDK)),echo "make test-nic: this build is without DPDK (libdpdk-dev is missing, or DPDK=0)" >&2; exit 1)
	@B=$(B) tests/nic/run.py $(if $(CAPTURE),--capture '$(CAPTURE)') $(if $(filter-out 0,$(FULL)),--full) $(CASES)
