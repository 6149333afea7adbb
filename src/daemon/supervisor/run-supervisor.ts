/**
 * Runs the supervisor, in the foreground or detached: the addon, the worker, the log, signals, and the run to the end.
 */

import { readFileSync } from 'node:fs'
import { runtimeDirectory, runtimeSurroundings } from '../../admin/socket-path.ts'
import { presenceText, writePresence } from '../../admin/supervisor-presence.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { LeveledLogger } from '../../base/logger.ts'
import { type Addon, loadAddon } from '../../native/addon.ts'
import type { Settings } from '../config/settings.ts'
import { createMounter, type Mounter } from '../mount/mounter.ts'
import { lockMountpoint, mountpointLockPath } from '../mount/mountpoint-lock.ts'
import {
  DescriptorStore,
  type DescriptorStoreContext,
  type Handed,
  listenFdsStart,
  takeHanded,
} from './descriptor-store.ts'
import { HeldLibrbd } from './held-librbd.ts'
import { makeAnonymousFile, takeJournal } from './inflight-journal-file.ts'
import { LibrbdService } from './librbd-service.ts'
import { programCopyMs } from './limits.ts'
import { readConfigurationIn } from './read-configuration.ts'
import { createServiceManager, type ServiceManager } from './service-manager.ts'
import { removeStaleSockets } from './stale-sockets.ts'
import { Supervisor } from './supervisor.ts'
import { ownWorkerMain, workerMainIn } from './worker-binary.ts'
import { startWorker, type WorkerProcess } from './worker-process.ts'
import { WorkerProgramCopy } from './worker-program-copy.ts'
import { workerProgramPlaces } from './worker-program-places.ts'

export interface SupervisorHooks {
  /** The mount answers. */
  readonly onReady?: () => void
  /** Fires when the caller no longer wants the mount; heeded until it is ready. */
  readonly signal?: CancelSignal
}

/** A terminal that goes away ends a mount in the foreground like Ctrl-C does, unless it has a configuration file. */
const endingSignals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/**
 * Mount, or go on with the mount of a supervisor that has died; stay, and clean up.
 * @param ask gives the settings; not called where a mount goes on, whose settings hold
 * @returns the exit code, once nothing is mounted and no worker runs
 * @throws CacheError when it cannot be mounted; then nothing is left either
 */
export async function runSupervisor(ask: () => Promise<Settings>, hooks: SupervisorHooks = {}): Promise<number> {
  const addon = loadBuiltAddon()
  addon.forbidDumps() // The environment may have secrets.
  const handed = takeHanded({ environment: process.env, pid: process.pid, firstFd: listenFdsStart }, addon)
  const settings = handed.mount?.state.settings ?? (await ask())
  const mounter = createMounter(addon, settings.mountpoint)
  const unlock = await lockAndPrepare(mounter, addon, handed.mount !== null)
  try {
    return await keepPrepared(settings, mounter, addon, handed, hooks)
  } finally {
    unlock()
  }
}

/**
 * Locks the mountpoint: no other supervisor mounts there from now on.
 * @param isMounted ours is there already
 * @returns the release of the lock
 */
async function lockAndPrepare(mounter: Mounter, addon: Addon, isMounted: boolean): Promise<() => void> {
  const path = mountpointLockPath(mounter.mountpoint)
  let unlock: () => void
  try {
    unlock = lockMountpoint(path, mounter.mountpoint, addon)
  } catch (error) {
    // An existing mount can be named.
    await mounter.prepare()
    throw error
  }
  try {
    if (!isMounted) await mounter.prepare()
    return unlock
  } catch (error) {
    unlock()
    throw error
  }
}

async function keepPrepared(
  settings: Settings,
  mounter: Mounter,
  addon: Addon,
  handed: Handed,
  { onReady, signal }: SupervisorHooks,
): Promise<number> {
  // A supervisor holds no directory: the file system it was started from can be unmounted.
  process.chdir('/')
  // Started before it is asked for: the log is loaded meanwhile.
  const lockPath = mountpointLockPath(mounter.mountpoint)
  const makeFile = () => makeAnonymousFile(lockPath.replace(/\.lock$/, `.work-${process.pid}`))
  const { mark, sayTrouble } = presenceIn(lockPath)
  const workFd = makeFile()
  const isUpgraded = handed.mount !== null && handed.mount.state.directory !== null
  let first: WorkerProcess | null = isUpgraded ? null : startWorker(addon, ownWorkerMain, workFd)
  const logger = await openLog(settings, addon, handed.mount !== null).catch(async error => {
    first?.kill()
    await first?.exited
    throw error
  })
  const uid = process.geteuid?.() ?? 0
  const mainIn = (directory: string | null) => (directory === null ? ownWorkerMain : workerMainIn(directory, uid))
  const places = workerProgramPlaces(lockPath, uid, readFileSync('/proc/self/mountinfo', 'utf8'))
  const program = new WorkerProgramCopy({ places, mainIn, afterMs: programCopyMs, logger })
  const startNext = (directory: string | null, isNew: boolean) => {
    const main = isNew ? mainIn(directory) : program.mainOf(directory)
    const worker = first ?? startWorker(addon, main, workFd)
    first = null
    return worker
  }
  const closeFd = (fd: number) => addon.closeFd(fd)
  const manager = managerOf(addon, logger)
  const { store, librbd } = holdersOf(handed, { manager, makeFile, closeFd, mark, logger }, addon)
  const supervisor = new Supervisor(settings, {
    mounter,
    startWorker: startNext,
    onVersion: (directory, loaded) => program.serves({ directory, loaded }),
    sayTrouble,
    logger,
    manager,
    store,
    librbd,
    kept: handed.mount,
    closeFd,
    takeWork: () => takeJournal(workFd),
    readConfiguration: async file => readConfigurationIn(program.servedMain, file),
  })
  const endListening = listenForSignals(supervisor)
  const abort = () => supervisor.cancel('whoever asked for it went away')
  signal?.addEventListener('abort', abort, { once: true })
  if (signal?.aborted) abort()
  try {
    manager.status(`starting, to be mounted on ${settings.mountpoint}`)
    await supervisor.start()
    manager.ready(`mounted on ${settings.mountpoint}`)
    void cleanUp(addon, logger) // Never rejects.
    onReady?.()
    return await supervisor.finished
  } finally {
    signal?.removeEventListener('abort', abort)
    endListening()
    await program.close()
  }
}

/** Go on with what the manager held of an earlier supervisor; it drops the rest. */
function holdersOf(handed: Handed, parts: DescriptorStoreContext & { readonly manager: ServiceManager }, addon: Addon) {
  const { manager, logger } = parts
  const store = new DescriptorStore(parts, handed.names, handed.librbd !== null)
  // Of a mount that has gone.
  if (handed.mount === null) store.drop()
  for (const name of handed.unused) manager.drop(name)
  const held = { held: new HeldLibrbd(manager), kept: handed.librbd }
  const mounterOf = (directory: string) => createMounter(addon, directory)
  return { store, librbd: new LibrbdService({ addon, logger, ...held, createMounter: mounterOf }) }
}

/** @returns the end of it */
function listenForSignals(supervisor: Supervisor): () => void {
  const listeners = endingSignals.map(name => {
    const listener = () => void supervisor.handleSignal(name) // Logs its own errors.
    process.on(name, listener)
    return () => process.off(name, listener)
  })
  return () => {
    for (const remove of listeners) remove()
  }
}

function managerOf(addon: Addon, logger: LeveledLogger) {
  const surroundings = { environment: process.env, pid: process.pid }
  return createServiceManager(surroundings, (name, text, fd) => addon.sendDatagram(name, text, fd), logger)
}

/** Writes the lock file that commands read. A trouble that cannot be said there is in the log. */
function presenceIn(lockPath: string) {
  let [isKept, trouble, written] = [false, null as string | null, null as string | null]
  const write = () => {
    const text = presenceText(isKept, trouble)
    if (text === written) return
    writePresence(lockPath, text)
    written = text
  }
  return {
    mark: (isHeld: boolean) => {
      isKept = isHeld
      write()
    },
    sayTrouble: (why: string | null) => {
      if (why === trouble) return
      trouble = why
      try {
        write()
      } catch {}
    },
  }
}

/** Removes the remains of killed supervisors. Ours is spared, since it answers. */
async function cleanUp(addon: Addon, logger: LeveledLogger): Promise<void> {
  try {
    const removed = await removeStaleSockets(runtimeDirectory(runtimeSurroundings()), addon)
    if (removed > 0) logger.info({ removed }, 'removed the sockets of daemons that were killed')
  } catch (error) {
    logger.warn({ err: error }, 'the sockets of daemons that were killed stay')
  }
}

/** Loaded while the worker boots, which takes longer. */
async function openLog({ log }: Settings, addon: Addon, isAwaited: boolean): Promise<LeveledLogger> {
  const { createLogger } = await import('../config/create-logger.ts')
  try {
    return (await createLogger('supervisor', log, addon, isAwaited)).logger
  } catch (cause) {
    throw new CacheError('invalid-argument', `log file ${log.file} cannot be written: ${messageOf(cause)}`, { cause })
  }
}

function loadBuiltAddon(): ReturnType<typeof loadAddon> {
  try {
    return loadAddon()
  } catch (cause) {
    throw new CacheError('mount-failed', messageOf(cause), { cause })
  }
}
