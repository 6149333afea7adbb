/**
 * Limits of daemon/supervisor/: each with its unit last and the reason or the sum that led to it.
 */
import { KiB, MiB } from '../../base/limits.ts'
import { messageBytesMax } from '../ipc/limits.ts'

/** The time a worker may take from its start until everything but the mount is up: index and origin included. */
export const bootMsMax = 120_000

/** The time a worker may take to stop once nothing is mounted; then it is killed. */
export const stopMsMax = 20_000

/** The time that a configuration file may take to be read, with the start of the process that reads it. */
export const configurationMsMax = 20_000

/** The worker is asked whether it is there so many times in the time that a service manager's watchdog allows. */
export const pingsPerWatchdog = 4

/** Threads of libuv's pool in the worker: name look-ups and what little goes through node:fs; store I/O has its own. */
export const threadpoolThreads = 8

/**
 * The heap of a worker's JavaScript, in MiB: the default of Node on a machine of 4 GiB, and far more than 65,535
 * waiting reads need. V8 lets a heap grow by a smaller factor the smaller this limit is: 1.6 here, 4 with the 4 GiB of
 * larger machines. Source: V8 src/heap/heap-controller.cc, MemoryController::MaxGrowingFactor.
 */
export const workerHeapMiBMax = 1024

/**
 * Half of V8's default: of the objects of a miss next to none outlive two collections, and the worker has three such
 * spaces at most.
 */
export const workerSemiSpaceMiBMax = 8

/**
 * V8's optimizing compiler in a worker on Node.js 20, in bytes of bytecode. A function waits for one more tick of its
 * profile for each `workerBytecodePerTickBytes`, in place of 150: large ones are compiled when they have run for
 * longer. At most `workerInlinedBytecodeBytesMax` are inlined into one, in place of 920.
 * docs/decisions/2026-11-24-large-functions-are-compiled-later.md has the figures.
 * Source: V8 11.3, src/execution/tiering-manager.cc, ShouldOptimize; src/compiler/js-inlining-heuristic.cc, Reduce.
 */
export const workerBytecodePerTickBytes = 50
export const workerInlinedBytecodeBytesMax = 300

/**
 * Free bytes that the allocator of a worker keeps at the end of an arena, and the longest piece that it cuts from one.
 * V8 takes up to 36 MiB to optimize a large function, in small pieces, and gives all of them back at once.
 */
export const allocatorFreeBytesMax = 1 * MiB
export const allocatorPieceBytesMax = 256 * KiB

/**
 * Longest state that a service manager holds for the next supervisor, in bytes: the settings of a worker, and a few
 * numbers.
 */
export const keptBytesMax = messageBytesMax

/** The pause before a worker that follows one that was not well: doubled each time. The first follows at once. */
export const restartPauseMsMin = 100

export const restartPauseMsMax = 5_000

/**
 * The time without a worker after which a mount without users is given up: longer than an installation takes, or a root
 * disk that stalls. Users of the mount wait on, as for an origin.
 */
export const workerlessMsMax = 60_000

/**
 * The interval at which the worker is asked whether it answers; a service manager's watchdog may want a shorter one.
 */
export const workerAskMsMax = 5_000

/** The time it may leave that unanswered: then its event loop hangs, and another worker takes its place. */
export const workerHangMsMax = 30_000

/**
 * The delay before the program of a mount is copied: its first reads come first, and short-lived mounts need no copy.
 */
export const programCopyMs = 10_000

/** Files of one program: it has 1,200. */
export const programFilesMax = 10_000

/** A request that was in work when this many workers died, one after the other, is refused. At least 2. */
export const poisonDeaths = 3

/** The time that a socket for librbd is probed: a listener answers at once, or its queue is full. */
export const librbdProbeMsMax = 1_000

/** The time in which a worker lets librbd's clients go: twice 250 ms, and a busy machine. */
export const librbdEndMsMax = 5_000

/** Descriptors of a mount that a service manager holds: /dev/fuse, and a state, twice during a change. One is spare. */
export const mountDescriptorsMax = 4

/** Connections of librbd that it holds: as many as there may be, native-bindings/librbd/answer-journal.h. */
export const librbdConnectionsHeldMax = 4_096
