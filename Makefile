# xvlmc: builds the compiler (build/xvlmc), the runtime (build/libxv.a) and the toolbox (build/xvlm).
# `make help` lists the targets. Everything is written below build/ and generated/.

CC ?= gcc
WERROR ?= -Werror
OPTIMISE ?= -O2
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla \
    -Wno-format-zero-length $(WERROR)
SANITIZE ?=
BUILD ?= build
# Loop nests want the machine's vector width; math traps and errno would forbid it (ARCHITECTURE.md, Flags).
NATIVE := -O3 -march=native -fno-math-errno -fno-trapping-math -fopenmp
BASE_FLAGS := -std=c11 -D_GNU_SOURCE -I. -g -MMD -MP $(WARNINGS) $(SANITIZE)
RUNTIME_LIBS := -lcjson -ljpeg -lpng -lz -lutf8proc -lopenblas -lcurl -lm -lpthread -ldl
COMPILER_LIBS := -lyaml -lcjson -lm
PREFIX ?= /usr/local

COMPILER_SOURCES := $(wildcard compiler/base/*.c dsl/*.c compiler/*.c codegen/*.c)
GRAMMAR_OBJECTS := $(BUILD)/dsl/lexer.lex.o $(BUILD)/dsl/parser.tab.o
COMPILER_OBJECTS := $(COMPILER_SOURCES:%.c=$(BUILD)/%.o) $(GRAMMAR_OBJECTS)
COMPILER_LIBRARY_OBJECTS := $(filter-out $(BUILD)/compiler/main.o,$(COMPILER_OBJECTS))
RUNTIME_PARTS := base storage data checkpoint device decode loop metrics comm simt cuda
RUNTIME_SOURCES := $(foreach part,$(RUNTIME_PARTS),$(wildcard runtime/$(part)/*.c))
RUNTIME_OBJECTS := $(RUNTIME_SOURCES:%.c=$(BUILD)/%.o)
TOOL_OBJECTS := $(patsubst %.c,$(BUILD)/%.o,$(wildcard runtime/tools/*.c))
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/tests/%,$(wildcard tests/unit/test_*.c))
UNIT_HELPERS := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(wildcard tests/unit/test_*.c),$(wildcard tests/unit/*.c)))
TEST_TOOLS := $(patsubst tests/tools/%.c,$(BUILD)/tests/%,$(wildcard tests/tools/*.c)) $(BUILD)/tests/against_c

.PHONY: all help deps deps-cuda demo demo-long demo-run test unit standin format lint asan tsan fuzz golden bench \
    gpu-bundle gpu-check install clean
.DELETE_ON_ERROR:
.SECONDARY:

all: $(BUILD)/xvlmc $(BUILD)/xvlm  ## build the compiler, the runtime library and the toolbox

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed 's/:.*##/\t/' | expand -t 14

deps:  ## install what the build needs (Debian and Ubuntu; sudo when not root)
	@sh tests/deps.sh

deps-cuda:  ## fetch NVIDIA's compiler, disassembler and NCCL (Python packages, 360 MB) into build/cuda, for tests
	python3 -m pip install --quiet --no-deps --upgrade --target $(BUILD)/cuda nvidia-cuda-nvrtc==13.0.88 \
	    nvidia-cuda-nvdisasm==13.2.51 nvidia-nccl-cu13==2.30.7

$(BUILD)/xvlmc: $(COMPILER_OBJECTS) $(BUILD)/libxv.a
	$(CC) $(SANITIZE) -fopenmp -o $@ $(COMPILER_OBJECTS) $(BUILD)/libxv.a $(COMPILER_LIBS) -ldl

$(BUILD)/libxv.a: $(RUNTIME_OBJECTS)
	rm -f $@
	ar rcs $@ $^

$(BUILD)/libcompiler.a: $(COMPILER_LIBRARY_OBJECTS)
	rm -f $@
	ar rcs $@ $^

$(BUILD)/xvlm: $(TOOL_OBJECTS) $(BUILD)/libxv.a
	$(CC) $(SANITIZE) -fopenmp -o $@ $^ $(RUNTIME_LIBS)

$(BUILD)/runtime/%.o: runtime/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE_FLAGS) $(NATIVE) -c -o $@ $<

# Texts that are embedded; see runtime/cuda/texts.c.
$(BUILD)/runtime/cuda/texts.o: $(wildcard runtime/cuda/*.cuh) runtime/cuda/tasks.h runtime/device/math.h \
    runtime/device/kernel_types.h runtime/device/scaler.h

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(BASE_FLAGS) $(OPTIMISE) -I$(BUILD)/dsl -Idsl -c -o $@ $<

$(BUILD)/tests/unit/%.o: tests/unit/%.c
	@mkdir -p $(@D)
	$(CC) $(BASE_FLAGS) $(OPTIMISE) -fopenmp -I$(BUILD)/dsl -c -o $@ $<

$(BUILD)/dsl/parser.tab.c $(BUILD)/dsl/parser.tab.h &: dsl/parser.y
	@mkdir -p $(@D)
	bison -Wall -Werror -Wno-yacc --defines=$(BUILD)/dsl/parser.tab.h -o $(BUILD)/dsl/parser.tab.c $<

$(BUILD)/dsl/lexer.lex.c $(BUILD)/dsl/lexer.lex.h &: dsl/lexer.l
	@mkdir -p $(@D)
	flex --header-file=$(BUILD)/dsl/lexer.lex.h -o $(BUILD)/dsl/lexer.lex.c $<

$(BUILD)/dsl/%.o: $(BUILD)/dsl/%.c
	$(CC) $(BASE_FLAGS) $(OPTIMISE) -I$(BUILD)/dsl -Idsl -c -o $@ $<

$(patsubst %.c,$(BUILD)/%.o,$(wildcard dsl/*.c)) $(GRAMMAR_OBJECTS): $(BUILD)/dsl/parser.tab.h $(BUILD)/dsl/lexer.lex.h

# Tests -------------------------------------------------------------------------------------------------------

$(BUILD)/tests/test_%: $(BUILD)/tests/unit/test_%.o $(UNIT_HELPERS) $(BUILD)/libcompiler.a $(BUILD)/libxv.a
	$(CC) $(SANITIZE) -fopenmp -o $@ $< $(UNIT_HELPERS) $(BUILD)/libcompiler.a $(BUILD)/libxv.a -lcmocka \
	    $(COMPILER_LIBS) $(RUNTIME_LIBS)

$(BUILD)/tests/against_c: $(BUILD)/tests/simt/against_c.o $(BUILD)/libcompiler.a $(BUILD)/libxv.a
	$(CC) $(SANITIZE) -fopenmp -rdynamic -Wl,-u,xv_keep_row -Wl,-u,xv_add_chunks -o $@ $^ $(COMPILER_LIBS) $(RUNTIME_LIBS)

$(BUILD)/tests/%: $(BUILD)/tests/tools/%.o $(BUILD)/libxv.a
	$(CC) $(SANITIZE) -fopenmp -o $@ $< $(BUILD)/libxv.a $(RUNTIME_LIBS)

# Stand-ins for NVIDIA's libraries, so that the device cuda runs without a GPU; see tests/driver/libcuda.c.
STANDIN := $(BUILD)/tests/driver
STANDIN_FLAGS := $(filter-out -Wmissing-prototypes -Wstrict-prototypes -MMD -MP,$(BASE_FLAGS)) -O2 -fPIC -shared

STANDIN_CUDA := tests/driver/libcuda.c tests/driver/engine.c runtime/simt/simt.c runtime/simt/fiber.c
STANDIN_HEADERS := $(wildcard tests/driver/*.h) runtime/simt/simt.h runtime/simt/fiber.h

$(STANDIN)/libcuda.so.1: $(STANDIN_CUDA) $(STANDIN_HEADERS)
	@mkdir -p $(@D)
	$(CC) $(STANDIN_FLAGS) -Wl,-Bsymbolic,-soname,libcuda.so.1 -o $@ $(STANDIN_CUDA) -ldl

$(STANDIN)/libnvrtc.so.13: tests/driver/libnvrtc.c $(STANDIN)/libcuda.so.1
	$(CC) $(STANDIN_FLAGS) -Wl,-Bsymbolic,-rpath,'$$ORIGIN' -o $@ $< $(STANDIN)/libcuda.so.1

$(STANDIN)/libnvrtc-builtins.so.13.0: tests/driver/libnvrtc.c $(STANDIN)/libnvrtc.so.13
	ln -sf libnvrtc.so.13 $@

# A second folder has a library of matrix products as well.
$(STANDIN)_blas/libcublasLt.so.13: tests/driver/libcublasLt.c $(STANDIN)/libcuda.so.1 $(STANDIN)/libnvrtc.so.13
	@mkdir -p $(@D)
	ln -sf ../driver/libcuda.so.1 ../driver/libnvrtc.so.13 $(@D)
	ln -sf libnvrtc.so.13 $(@D)/libnvrtc-builtins.so.13.0
	$(CC) $(STANDIN_FLAGS) -Wl,-Bsymbolic,-rpath,'$$ORIGIN' -o $@ $< $(STANDIN)/libcuda.so.1

# A profiler.
$(STANDIN)/libtool.so: tests/driver/libtool.c
	@mkdir -p $(@D)
	$(CC) $(filter-out -Wcast-function-type,$(STANDIN_FLAGS)) -Wno-cast-function-type -o $@ $<

# A third has collectives.
$(STANDIN)_ranks/libnccl.so.2: tests/driver/libnccl.c $(STANDIN)/libcuda.so.1 $(STANDIN)/libnvrtc.so.13
	@mkdir -p $(@D)
	ln -sf ../driver/libcuda.so.1 ../driver/libnvrtc.so.13 $(@D)
	ln -sf libnvrtc.so.13 $(@D)/libnvrtc-builtins.so.13.0
	$(CC) $(STANDIN_FLAGS) -Wl,-Bsymbolic,-rpath,'$$ORIGIN' -o $@ $< $(STANDIN)/libcuda.so.1

standin: $(STANDIN)/libcuda.so.1 $(STANDIN)/libnvrtc.so.13 $(STANDIN)/libnvrtc-builtins.so.13.0 \
    $(STANDIN)_blas/libcublasLt.so.13 $(STANDIN)_ranks/libnccl.so.2 $(STANDIN)/libtool.so

unit: $(UNIT_TESTS) $(TEST_TOOLS) standin

test: all unit  ## run every test that needs no GPU
	tests/run

DEMO := $(BUILD)/demo
DEMO_TRAIN ?= 24000
DEMO_STEPS ?= 4000
# Scenes of two objects of fifty kinds, plain or striped, on every background; `xvlm scenes` draws harder ones by
# default.
DEMO_KINDS := --max-objects 2 --shapes 5 --textures 2
PRETRAIN := generated/xvlm_tiny/pretrain/pretrain

$(DEMO)/scenes/vocab.txt: $(BUILD)/xvlm
	$(BUILD)/xvlm scenes --output $(DEMO)/scenes --train $(DEMO_TRAIN) --val 100 --test 100 $(DEMO_KINDS)

$(PRETRAIN): all models/*.dsl tasks/*.dsl
	$(BUILD)/xvlmc models/xvlm_tiny.dsl --task pretrain

demo: deps  ## draw scenes, compile the tiny model, train it on two cores, test it
	@$(MAKE) --no-print-directory -s demo-run

demo-long:  ## the same for about half an hour
	@$(MAKE) --no-print-directory -s demo DEMO=$(BUILD)/demo-long DEMO_TRAIN=50000 DEMO_STEPS=15000

demo-run: all
	@$(MAKE) --no-print-directory -s $(DEMO)/scenes/vocab.txt
	$(BUILD)/xvlmc models/xvlm_tiny.dsl --task pretrain --set schedular.num_warmup_steps=100
	$(PRETRAIN) train --data $(DEMO)/scenes/train_images.jsonl --regions $(DEMO)/scenes/train_regions.jsonl \
	    --vocab $(DEMO)/scenes/vocab.txt --output $(DEMO)/run --steps $(DEMO_STEPS)
	$(PRETRAIN) eval --data $(DEMO)/scenes/test_images.jsonl --regions $(DEMO)/scenes/test_regions.jsonl \
	    --vocab $(DEMO)/scenes/vocab.txt --checkpoint $(DEMO)/run/model.safetensors --grid $(DEMO)/boxes.png

format:  ## clang-format over C; xvlmc fmt over the shipped DSL files
	clang-format -i $(shell git ls-files '*.c' '*.h')
	$(BUILD)/xvlmc fmt models/*.dsl tasks/*.dsl

lint: all  ## include arrows, lonely headers, no globals, lengths
	sh tests/lint.sh

SANITIZERS := -fsanitize=address,undefined -fno-sanitize-recover=undefined
# Not the groups that look at compilation alone, at devices, or at several processes (MPI libraries leak).
ASAN_GROUPS := unit errors format cli extend records storage checkpoint train replay

asan:  ## the test suite with the address and undefined sanitizers, generated programs included
	$(MAKE) BUILD=build-asan WERROR= SANITIZE='$(SANITIZERS)' all unit
	BUILD=build-asan CFLAGS='-O1 $(SANITIZERS)' SKIP_BASE_SIZE=1 \
	    tests/run $(ASAN_GROUPS)

TSAN_TESTS := test_loader test_loader_broken test_loader_tasks test_stream

tsan:  ## the loader's tests with the thread sanitizer
	$(MAKE) BUILD=build-tsan WERROR= SANITIZE='-fsanitize=thread' $(TSAN_TESTS:%=build-tsan/tests/%)
	for test in $(TSAN_TESTS); do build-tsan/tests/$$test || exit 1; done

gpu-bundle: all  ## pack programs, cases and scripts for a machine with a GPU into build/gpu-bundle
	BUILD=$(BUILD) sh tests/gpu/bundle.sh $(BUILD)/gpu-bundle

gpu-check: gpu-bundle  ## check the target cuda on this machine's GPU; a report in tests/gpu/reports
	REPORTS=$(CURDIR)/tests/gpu/reports sh $(BUILD)/gpu-bundle/check.sh

fuzz:  ## libFuzzer over the language, pictures and texts (FUZZ_SECONDS, 600; needs clang)
	sh tests/fuzz/run.sh $(or $(FUZZ_SECONDS),600)

golden: all  ## rewrite the expected messages in tests/errors (review the difference)
	sh tests/errors/update.sh

bench: all  ## the base model's training step against the machine's ceilings
	$(BUILD)/xvlmc models/xvlm_base.dsl --task pretrain --batch 8 --output $(BUILD)/bench
	$(BUILD)/bench/pretrain bench --steps 3

install: all  ## copy compiler, runtime, models and headers below PREFIX
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/xvlmc
	install $(BUILD)/xvlmc $(BUILD)/xvlm $(DESTDIR)$(PREFIX)/bin
	install -m 644 $(BUILD)/libxv.a $(DESTDIR)$(PREFIX)/lib/xvlmc
	cp -r models tasks $(DESTDIR)$(PREFIX)/lib/xvlmc
	cd runtime && find . \( -name '*.h' -o -name '*.cuh' \) \
	    -exec install -D -m 644 {} $(DESTDIR)$(PREFIX)/lib/xvlmc/runtime/{} \;

clean:  ## remove build products
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name '*.d' 2>/dev/null)
