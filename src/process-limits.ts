/**
 * Limits of the processes: when a server counts as dead, how often another one follows, and what the keeper takes from it. All
 * others are in limits.ts.
 */

/** A server that has served this long before it dies was well: the deaths before it do not count any more. */
export const serverWellMsDefault = 60_000
/** Servers that may die one after the other of themselves, none of which was well: then they pass the cache by. */
export const serverDeathsDefault = 5
/**
 * The heap of a server's JavaScript, in MiB: what Node takes on a machine of 4 GiB, and far more than 65,535 reads that wait need. V8 lets
 * a heap grow to the fewer times what was left of it at the last collection, the smaller this is: 1.6 times here, 4 times with the 4 GiB
 * of larger machines. Source: V8 src/heap/heap-controller.cc, MemoryController::MaxGrowingFactor.
 */
export const serverHeapMiBMax = 1024
/** How often the server gives back what its allocator keeps free: after a storm, some 75 MiB in 4 ms. */
export const memoryReleaseMs = 10_000
/** Lines of the log that wait for a slow reader, in bytes: some thousand, and nobody should find much memory behind a pipe that nobody reads. */
export const logQueueBytesMax = 1024 * 1024
/** How long a process that ends waits for them to be written: a disk that is well needs far less, and nobody is to wait for one that is not. */
export const logFlushMsMax = 500
/** Longest message between keeper and server: a configuration of 64 KiB as JSON takes far less. */
export const messageBytesMax = 1024 * 1024
/** Longest of what a service manager holds for the next keeper, in bytes: the settings, as they go to a server, and a few numbers. */
export const keptBytesMax = messageBytesMax
/** The pause before a server that follows one that was not well: doubled each time. The first follows at once. */
export const restartPauseMsMin = 100
export const restartPauseMsMax = 5_000
/**
 * When none has served for this long, a mount that nobody has open is given up: longer than an installation takes, or a root disk that
 * stalls. Who has it open waits on, as for an origin.
 */
export const serverlessMsMax = 60_000
/** How often the server is asked whether it is there; a service manager's watchdog may want it more often. */
export const serverAskMsMax = 5_000
/** How long it may leave that unanswered: then its event loop hangs, and another server takes its place. */
export const serverHangMsMax = 30_000
/** When the program of a mount is copied: not beside its first reads, and not at all where it does not live that long. */
export const programCopyMs = 10_000
/** Files of one program: it has 1,200. */
export const programFilesMax = 10_000
/** How long a server may take from its start until it knows whether it could boot. */
export const prepareMsMax = 60_000
/** How long `upgrade` waits: as long as a boot may take, and the end of the server before it. */
export const upgradeMsMax = 150_000
/** How long a command waits for the successor of a server that has died, and how often it looks. */
export const successorMsMax = 30_000
export const successorLookMs = 50
/** The same for the next keeper, which a service manager starts after a second: from then on the wait is that for its server. */
export const nextKeeperMsMax = 5_000
/** How often work that takes long is asked for again of a successor. Fewer than the deaths of a loop: the work may be what kills. */
export const longResumesMax = 3
/** Requests in work that are noted for the keeper: 512 KiB of notes. */
export const workNotesMax = 4096
/** A request that was in work when this many servers died, one after the other, is refused. At least 2. */
export const poisonDeaths = 3
