/**
 * The worker process: started by a supervisor, with a channel for messages and a socket that descriptors come through.
 */
import '../../base/no-inspector.ts'
import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Socket } from 'node:net'
import { isatty } from 'node:tty'
import { prepareRuntimeDirectory, runtimeDirectory, runtimeSurroundings, socketPath } from '../../admin/socket-path.ts'
import { PeriodicTask } from '../../async/periodic-task.ts'
import { type Logger, silentLogger } from '../../base/logger.ts'
import { printable } from '../../base/printable.ts'
import { isStrayRejection } from '../../index/guard/stray-rejection.ts'
import { loadAddon } from '../../native/addon.ts'
import { checkLayout } from '../../store/disk/cache-directory.ts'
import { type Configuration, configure, ownSurroundings } from '../config/configuration.ts'
import { createLogger } from '../config/create-logger.ts'
import { openLogDestination } from '../config/log-destination.ts'
import type { Settings } from '../config/settings.ts'
import { readVersion } from '../config/version.ts'
import { LineChannel } from '../ipc/line-channel.ts'
import { workerChannelFd, workerJournalFd, workerSocketFd } from '../ipc/worker-descriptors.ts'
import { createMounter } from '../mount/mounter.ts'
import { Rooms } from './assemble.ts'
import { openCacheless } from './cacheless-mode.ts'
import { memoryReleaseMs } from './limits.ts'
import { warmUp } from './warm-up.ts'
import { Worker } from './worker.ts'

process.title = 'parentfs worker'
// Ctrl-C reaches both of us. The supervisor decides: it unmounts first, or finds that it must not.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {})

const standardError = 2
const addon = loadAddon()
// Secrets of the configuration, and what guests read, would lie in a core.
addon.forbidDumps()
new PeriodicTask(memoryReleaseMs, () => addon.releaseFreeMemory()).start()
const channel = new LineChannel(new Socket({ fd: workerChannelFd, readable: true, writable: true }))
let logger: Logger | null = null

// The important part of a failed commit is awaited, and disk-health.ts hears of it: for the rest, one line is enough.
let strays = 0
process.on('unhandledRejection', error => {
  if (!isStrayRejection(error)) throw error
  if (strays++ === 0) logger?.warn({ err: error }, 'the index could not be written; from now on its health says so')
})

/** Sentences for the person who started a mount in the foreground; nobody reads them elsewhere. */
const terminal = isatty(standardError) ? openLogDestination(addon, null, '') : null
const tell = (sentence: string) => terminal?.write(`parentfs: ${printable(sentence)}\n`)

const worker = new Worker({
  channel: {
    send: message => channel.send(message),
    onMessage: listener => channel.onMessage(listener),
    onDisconnect: listener => channel.onClose(listener),
  },
  version: readVersion(),
  addons: () => Object.keys(createRequire(import.meta.url).cache).filter(path => path.endsWith('.node')),
  configure: configureFor,
  createLogger: async (log, isAwaited) => {
    const created = await createLogger('worker', log, addon, isAwaited)
    logger = created.logger
    return created
  },
  openRooms: (configuration, log, signal, { bypass, indexDoubt, isAwaited, move }) =>
    bypass === null
      ? Rooms.open(configuration, { addon, logger: log, signal, bypass: null, indexDoubt, isAwaited, move, tell })
      : openCacheless(configuration, {
          addon,
          logger: log,
          signal,
          isAwaited,
          tell,
          reason: bypass,
          directory: besideSocketOf(configuration, '.bypass'),
        }),
  adminSocketPath: adminSocketPathOf,
  checkLayout: ({ cache }) => checkLayout(cache.directory, cache.blockSize),
  admission: { peerUid: fd => addon.peerUid(fd), uid: process.getuid?.() ?? 0 },
  receiveFd: () => addon.receiveFd(workerSocketFd),
  closeFd: fd => addon.closeFd(fd),
  writeNotes: (bytes, position) => void writeSync(workerJournalFd, bytes, 0, bytes.length, position),
  mounter: mountpoint => createMounter(addon, mountpoint),
  warmUp: (configuration, isUnwanted) =>
    warmUp({
      addon,
      logger: logger ?? silentLogger,
      configure: document => configureFor({ document, mountpoint: configuration.mountpoint }),
      directory: () => besideSocketOf(configuration, '.warm'),
      isWeb: configuration.places.some(({ settings }) => /^https?:/.test(settings.url)),
      isUnwanted,
    }),
  exit,
})
worker.run()

/**
 * Node.js would wait for the threads of its pool after its listeners: for one that hangs in the kernel, or that waits
 * for JavaScript in a transaction of the index.
 */
function exit(code: number): void {
  process.once('exit', () => addon.endProcess(code))
  process.exit(code)
}

function adminSocketPathOf({ mountpoint }: Configuration): string {
  const surroundings = runtimeSurroundings()
  const directory = runtimeDirectory(surroundings)
  prepareRuntimeDirectory(directory, surroundings)
  return socketPath(mountpoint, directory)
}

function configureFor(settings: Pick<Settings, 'document' | 'mountpoint'>): Configuration {
  return configure(settings, ownSurroundings())
}

/** A directory beside the socket: gone with the next boot of the machine at the latest. */
function besideSocketOf(configuration: Configuration, suffix: string): string {
  return adminSocketPathOf(configuration).replace(/\.sock$/, suffix)
}
