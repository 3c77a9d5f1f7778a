SEED ?= 1
INJECTIONS ?= 200
BUS ?= kafka

.PHONY: faults-real
faults-real: .venv/.dev ## Kill, freeze and starve real processes under load (SEED=1 INJECTIONS=200 BUS=kafka|rabbitmq)
	@PYTHONPATH=tests $(BIN)/python -m faults_real --seed $(SEED) --injections $(INJECTIONS) --bus $(BUS) $(ARGS)
