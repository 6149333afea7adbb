/**
 * The server process: started by a keeper, with a channel for messages and a socket that descriptors come through.
 */
import '../no-inspector.ts'
import { writeSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Socket } from 'node:net'
import { homedir } from 'node:os'
import { prepareRuntimeDirectory, runtimeDirectory, runtimeSurroundings, socketPath } from '../admin/socket-path.ts'
import { isStrayRejection } from '../index/stray-rejection.ts'
import type { Logger } from '../logger.ts'
import { loadAddon } from '../native/addon.ts'
import { memoryReleaseMs } from '../process-limits.ts'
import { checkLayout } from '../store/cache-directory.ts'
import { openBypass } from './bypass.ts'
import { type Configuration, configure } from './configuration.ts'
import { createLogger } from './create-logger.ts'
import { LineChannel } from './line-channel.ts'
import type { ToServer } from './messages.ts'
import { createMounter } from './mounter.ts'
import { Rooms } from './rooms.ts'
import { Server } from './server.ts'
import { serverChannelFd, serverSocketFd, serverWorkFd } from './server-process.ts'
import { readVersion } from './version.ts'

process.title = 'parentfs server'
// Ctrl-C reaches both of us. The keeper decides: it unmounts first, or finds that it must not.
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, () => {})

const addon = loadAddon()
// Secrets of the configuration, and what guests read, would lie in a core.
addon.forbidDumps()
setInterval(() => addon.releaseFreeMemory(), memoryReleaseMs).unref()
const channel = new LineChannel(new Socket({ fd: serverChannelFd, readable: true, writable: true }))
let logger: Logger | null = null

// What matters of a failed commit is awaited, and the health of the disk hears of it: of the rest one line says enough.
let strays = 0
process.on('unhandledRejection', error => {
  if (!isStrayRejection(error)) throw error
  if (strays++ === 0) logger?.warn({ err: error }, 'the index could not be written; from now on its health says so')
})

const server = new Server({
  channel: {
    send: message => channel.send(message),
    onMessage: listener => channel.onMessage(message => listener(message as ToServer)),
    onDisconnect: listener => channel.onClose(listener),
  },
  version: readVersion(),
  addons: () => Object.keys(createRequire(import.meta.url).cache).filter(path => path.endsWith('.node')),
  configure: settings =>
    configure(settings, { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, home: homedir() }),
  createLogger: async log => {
    const created = await createLogger('server', log, addon)
    logger = created.logger
    return created
  },
  openRooms: (configuration, log, signal, bypass) =>
    bypass === null
      ? Rooms.open(configuration, { addon, logger: log, signal, bypass: null })
      : openBypass(configuration, {
          addon,
          logger: log,
          signal,
          reason: bypass,
          directory: bypassDirectoryOf(configuration),
        }),
  adminSocketPath: adminSocketPathOf,
  checkLayout: ({ cache }) => checkLayout(cache.directory, cache.blockSize),
  admission: { peerUid: fd => addon.peerUid(fd), uid: process.getuid?.() ?? 0 },
  receiveFd: () => addon.receiveFd(serverSocketFd),
  closeFd: fd => addon.closeFd(fd),
  writeNotes: (bytes, position) => void writeSync(serverWorkFd, bytes, 0, bytes.length, position),
  mounter: mountpoint => createMounter(addon, mountpoint),
  exit: code => process.exit(code),
})
server.run()

function adminSocketPathOf({ mountpoint }: Configuration): string {
  const surroundings = runtimeSurroundings()
  const directory = runtimeDirectory(surroundings)
  prepareRuntimeDirectory(directory, surroundings)
  return socketPath(mountpoint, directory)
}

/** Beside the socket: gone with the next boot of the machine at the latest. */
function bypassDirectoryOf(configuration: Configuration): string {
  return adminSocketPathOf(configuration).replace(/\.sock$/, '.bypass')
}
