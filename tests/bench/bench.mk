# Benchmarks. Only instructions are compared with anything: they are the same on every run (docs/benchmarking.md).

BENCH_ROOMS := plane drivers tcp net amqp base
$(B)/tests/bench/publish_path: $(B)/obj/tests/bench/publish_path.o $(call archives,$(BENCH_ROOMS))
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $< -Wl,--start-group $(call archives,$(BENCH_ROOMS)) -Wl,--end-group $(HW_LDFLAGS) -lm

##H make bench-instructions   instructions per publish, ACK and confirm, against the committed baseline; UPDATE=1 rewrites it
.PHONY: bench-instructions
bench-instructions: $(B)/tests/bench/publish_path
	@CC='$(CC)' tests/bench/bench-instructions.py $(if $(UPDATE),--update) $< tests/bench/publish_path.ini

# The referee's receiver, with its loss (a tc program).
$(B)/gen/drop.bpf.o: tests/bench/referee/drop.bpf.c tests/bench/referee/drop.h
	@mkdir -p $(@D)
	$(Q)$(CLANG) -target bpf -O2 -g -Wall -Wextra -Werror -mcpu=v3 -I. -I/usr/include/$(shell gcc -print-multiarch) -c -o $@ $<

REFEREE_OBJS := $(call objs,$(filter-out %.bpf.c,$(wildcard tests/bench/referee/*.c)))
$(REFEREE_OBJS): $(B)/gen/drop.skel.h
$(B)/tests/bench/referee/sink: $(REFEREE_OBJS)
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $^ $(HW_LDFLAGS) -lbpf

##H make referee         the kernel's TCP and ours over the same losses, side by side (root); REFEREE='--runs 5' for
##H                      less of it: docs/benchmarking.md
.PHONY: referee referee-check
referee: $(B)/harewire $(B)/tests/bench/referee/sink
	@B=$(B) tests/bench/referee.py $(REFEREE)
referee-check: $(B)/harewire $(B)/tests/bench/referee/sink
	@B=$(B) tests/bench/referee.py --check
