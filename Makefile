# parentfs: everything a newcomer types.
#
#   make run                            set up, build, and show the main job on a sample image
#   make run ORIGIN=URL MOUNTPOINT=DIR  mount your own and stay (CACHE_DIR= and CAPACITY= pass through)
#   make test                           set up, build, run every test; the last line says how many passed, failed, were skipped
#   make test FILES="test/base/sizes.ts ..."  the same of these test files alone
#   make test-nodes                     what depends on Node.js, on each version it may be; NODES="22 24" for fewer. Half an hour for each
#   make bench                          beside other programs, printed and as docs/BENCHMARKS.md, within an hour
#   make bench RESUME=1                 the same, going on where one was interrupted
#   make bench QUICK=1                  a part of it in five minutes, printed
#   make bench-check                    warm reads against the ratios of bench/results/compare.json; fails on a loss beyond the spread
#   make soak MINUTES=n                everything mixed for so long (10), seeded (SEED=n), with a report
#   make librbd-real                    real librbd and its plugin in a chroot, over the socket (docs/LIBRBD.md; needs root, mmdebstrap)
#   make mutants SEED=n COUNT=n         judges the tests: n small changes of the code (30), drawn by a seed, and which of them no test sees
#   make build                          dist/ and the native addon
#   make man                            the manual pages, in dist/man (needs scdoc)
#   make deb                            packages/parentfs_VERSION_ARCH.deb, with a Node.js of its own (docs/INSTALL.md)
#   make deb ARCH=arm64                 the same for arm64, compiled here (needs g++-aarch64-linux-gnu)
#   make image                          packages/parentfs_VERSION_ARCH.oci.tar, an OCI image of the package (needs root, podman)
#   make test-guides                    the guides that run on hosts of a test, containers included: it makes an image first
#   make walk                           runs the commands of docs/WALK.md on a bare Debian, and writes their output into it
#   make clean                          remove what was built

SHELL := /bin/sh
.DEFAULT_GOAL := build
.DELETE_ON_ERROR:

# By its path: `typescript` itself is of the version that tap can load.
TSC := node node_modules/ts7/bin/tsc
SOURCES := $(shell find src -name '*.ts')
ALL_SOURCES := $(shell find src test bench -name '*.ts')

# Unless the make above shares its jobs.
jobs = $(if $(findstring jobserver,$(MAKEFLAGS)),,--jobs=$(shell nproc))

.PHONY: setup setup-test setup-bench build addon man deb image test test-nodes run demo bench bench-check soak librbd-real mutants walk test-guides clean

# What running needs; `setup-test` adds what only the tests need.
setup:
	@sh test/setup.sh run

setup-test:
	@sh test/setup.sh test

# And the programs that parentfs is measured beside.
setup-bench:
	@sh test/setup.sh bench

# Set up first, in a make of its own: a new clone has no packages to compile against.
build: setup
	@$(MAKE) --no-print-directory $(jobs) addon dist/.built

# A room at once, for a build of everything: who changes one file makes in native-bindings/ itself. It has jobs of its own.
addon:
	@MAKEFLAGS='$(filter-out -j% --jobserver%,$(MAKEFLAGS))' $(MAKE) --no-print-directory -j$$(nproc) -C native-bindings UNITS=rooms all

# What is started, and what `make man` asks. A worker of 700 files takes 0.4 s of processor time to load, of bundles 0.15 s: so much
# sooner do reads go on after a takeover. What several programs import, and each command, is a file of chunks/.
PROGRAMS := $(shell find src -name '*main.ts') src/daemon/config/settings-manual.ts
BUNDLE := --bundle --splitting --chunk-names=chunks/[name]-[hash] --packages=external --outbase=src --outdir=dist \
	--platform=node --format=esm --target=node20.18 --log-level=warning

# Removed first: a file whose source has gone must not stay behind. Types are checked where build/ is compiled.
dist/.built: $(SOURCES) package-lock.json
	rm -rf dist
	node_modules/.bin/esbuild $(PROGRAMS) $(BUNDLE)
	chmod +x dist/cli/main.js dist/cli/mount-helper-main.js
	touch $@

# The manual pages, in dist/man.
man: dist/.built
	@command -v scdoc >/dev/null || { echo 'make man: scdoc is missing: apt-get install scdoc' >&2; exit 1; }
	@mkdir -p dist/man
	@for page in docs/man/*.scd; do \
	  node -e "import('./dist/daemon/config/settings-manual.js').then(({ withSettings }) => \
	    process.stdout.write(withSettings(fs.readFileSync('$$page', 'utf8'))))" | scdoc > "dist/man/.$$(basename "$$page" .scd)" && \
	  mv "dist/man/.$$(basename "$$page" .scd)" "dist/man/$$(basename "$$page" .scd)" || exit 1; \
	done
	@echo "dist/man has$$(printf ' %s' $$(ls dist/man)): copy them to /usr/local/share/man/manN"

# A Debian package, with a Node.js of its own.
deb: setup
	@$(MAKE) --no-print-directory build man
ifneq ($(ARCH),)
ifneq ($(ARCH),$(shell dpkg --print-architecture))
	@$(MAKE) --no-print-directory -C native-bindings $(ARCH)
endif
endif
	@ARCH=$(ARCH) sh packaging/deb/build.sh

# An OCI image that mounts into the host: docs/INSTALL.md.
image: deb
	@sh packaging/oci/build.sh

build/.built: $(ALL_SOURCES) tsconfig.json
	rm -rf build
	$(TSC) -p tsconfig.json
	touch $@

# Set up first, then the rest in a make of its own: what it depends on may not be there before.
test: setup-test
	@$(MAKE) --no-print-directory $(jobs) build build/.built
	@UNITS=rooms node build/test/run.js $(FILES)

test-nodes: setup-test
	@$(MAKE) --no-print-directory build build/.built
	@sh test/nodes.sh $(NODES)

# Readers block threads of libuv's pool, and there are many.
soak: setup-test
	@$(MAKE) --no-print-directory build build/.built
	@UV_THREADPOOL_SIZE=16 MINUTES=$(MINUTES) node build/bench/soak.js

# The guide to containers needs an image.
test-guides: setup-test image
	@$(MAKE) --no-print-directory build build/.built
	@node build/test/run.js test/mount/guides.ts test/mount/guide-libvirt.ts test/mount/guide-containers.ts

walk: setup-test deb
	@$(MAKE) --no-print-directory build build/.built
	@node build/bench/walk.js

librbd-real: setup-test
	@$(MAKE) --no-print-directory build build/.built
	@node build/bench/librbd-real.js $(REAL)

mutants: setup-test
	@$(MAKE) --no-print-directory build build/.built
	@SEED=$(or $(SEED),1) COUNT=$(COUNT) node build/bench/mutants.js

ifdef ORIGIN
run: setup
	@test -n "$(MOUNTPOINT)" || { echo 'parentfs: say where to mount: make run ORIGIN=... MOUNTPOINT=...' >&2; exit 2; }
	@$(MAKE) --no-print-directory build
	@exec node dist/cli/main.js mount "$(ORIGIN)" "$(MOUNTPOINT)" \
	  $(if $(CACHE_DIR),--cache-dir "$(CACHE_DIR)") $(if $(CAPACITY),--capacity "$(CAPACITY)")
else
run: setup
	@$(MAKE) --no-print-directory build build/.built
	@node build/bench/demo.js
endif

bench: setup-bench
	@$(MAKE) --no-print-directory build build/.built
	@$(MAKE) --no-print-directory -C native-bindings comparison-server
	@node build/bench/compare.js $(if $(QUICK),--quick) $(if $(RESUME),--resume)
ifndef QUICK
	@node build/bench/growth.js
	@node build/bench/fleet.js
	@node build/bench/serving.js
endif

bench-check: setup-test
	@$(MAKE) --no-print-directory build build/.built
	@$(MAKE) --no-print-directory -C native-bindings comparison-server
	@node build/bench/compare.js --scenes complete --only 'parentfs,comparison 2 threads,comparison 4 threads' \
	  --seconds 1 --out build/bench-check --check bench/results/compare.json

clean:
	rm -rf dist build .tap
	@$(MAKE) --no-print-directory -C native-bindings clean
