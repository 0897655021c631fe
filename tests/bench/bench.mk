# Benchmarks. Only instructions are compared with anything: they are the same on every run (docs/benchmarking.md).

BENCH_ROOMS := plane drivers tcp net amqp base
$(B)/tests/bench/publish_path: $(B)/obj/tests/bench/publish_path.o $(call archives,$(BENCH_ROOMS))
	@mkdir -p $(@D)
	$(Q)$(CC) -o $@ $< -Wl,--start-group $(call archives,$(BENCH_ROOMS)) -Wl,--end-group $(HW_LDFLAGS) -lm

##H make bench-instructions   instructions per publish, ACK and confirm, against the committed baseline; UPDATE=1 rewrites it
.PHONY: bench-instructions
bench-instructions: $(B)/tests/bench/publish_path
	@CC='$(CC)' tests/bench/bench-instructions.py $(if $(UPDATE),--update) $< tests/bench/publish_path.ini
