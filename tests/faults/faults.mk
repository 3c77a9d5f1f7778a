# Included by the Makefile. See docs/protocols/fault-simulation.md.
SCHEDULES ?= 10000
SEED ?= 1

.PHONY: faults
faults: .venv/.dev ## Simulate the order path with faults at every step: SCHEDULES=10000 SEED=1
	@PYTHONPATH=tests $(BIN)/python -m faults explore --schedules $(SCHEDULES) --seed $(SEED) $(ARGS)

.PHONY: faults-mutations
faults-mutations: .venv/.dev ## Show that the simulation catches deliberate bugs of the order path
	@PYTHONPATH=tests $(BIN)/python -m faults mutations --seed $(SEED) $(ARGS)
