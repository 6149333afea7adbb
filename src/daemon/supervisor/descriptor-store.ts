/**
 * Keeps the mount's descriptor and state in the service manager (systemd's descriptor store), so that the mount
 * outlives its supervisor. The manager starts another supervisor and hands both back to it.
 *
 * The descriptor of /dev/fuse is held as `fuse`; the manager drops it by itself once the mount has gone. The state is
 * JSON in a nameless file that never changes: a later state is another file, `state-2` after `state-1`, and the earlier
 * one is dropped after it. So a supervisor that dies at any moment leaves a whole state. Source: sd_notify(3), FDSTORE;
 * sd_listen_fds(3); systemd.service(5), FileDescriptorStoreMax.
 */
import { fstatSync, readSync, writeSync } from 'node:fs'
import type { Logger } from '../../base/logger.ts'
import type { Negotiated } from '../../fuse/kernel/negotiation.ts'
import type { Addon } from '../../native/addon.ts'
import type { Settings } from '../config/settings.ts'
import type { TakeoverHistory } from '../ipc/messages.ts'
import { isOfLibrbd, type KeptLibrbd, keptLibrbdIn, type LibrbdState } from './held-librbd.ts'
import { keptBytesMax } from './limits.ts'
import type { ServiceManager } from './service-manager.ts'

/** The state that a supervisor leaves to the next one. Plain JSON. */
export interface KeptState extends TakeoverHistory {
  readonly settings: Settings
  /** The agreement with the kernel on this descriptor. */
  readonly negotiated: Negotiated
  /** Of the mount. See MountEntry. */
  readonly device: string
  /** Null where librbd is not served, or not held; earlier supervisors do not say. */
  readonly librbd?: LibrbdState | null
}

/** A mount that has lost its supervisor. */
export interface KeptMount {
  /** The descriptor of /dev/fuse; the supervisor that takes the mount closes it. */
  readonly fd: number
  readonly state: KeptState
}

/** A process that a manager may have handed something. */
export interface DescriptorReceiver {
  readonly environment: NodeJS.ProcessEnv
  readonly pid: number
  /** The first descriptor that is handed over; the others follow it. */
  readonly firstFd: number
}

/** Source: sd_listen_fds(3), SD_LISTEN_FDS_START. */
export const listenFdsStart = 3

/** The descriptors that a manager has handed to this process. */
export interface Handed {
  /** Null where there is no mount to go on with. */
  readonly mount: KeptMount | null
  /** The names that the manager still holds of the mount's. */
  readonly names: readonly string[]
  /** Null where there is no mount to go on with, or librbd was not served there. */
  readonly librbd: KeptLibrbd | null
  /** The names that it holds of librbd's without need; their descriptors are closed. */
  readonly unused: readonly string[]
}

const fuseName = 'fuse'
/** The form of {@link KeptState}: what another form says is not believed. */
const stateVersion = 1

/**
 * Takes the descriptors that the manager has handed to this process. No child gets them: the variables are removed.
 * Descriptors of other names are left alone. A mount that has gone meanwhile, or whose state is incomplete, counts as
 * none.
 */
export function takeHanded(
  { environment, pid, firstFd }: DescriptorReceiver,
  addon: Pick<Addon, 'isFuseConnected' | 'closeFd'>,
): Handed {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = environment
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES']) delete environment[name]
  if (Number(LISTEN_PID) !== pid) return { mount: null, names: [], librbd: null, unused: [] }
  const handed = LISTEN_FDNAMES.split(':')
    .slice(0, Number(LISTEN_FDS))
    .map((name, at) => ({ name, fd: firstFd + at }))
  const fuse = handed.find(({ name }) => name === fuseName)
  const states = handed.filter(({ name }) => serialOf(name) > 0).sort((a, b) => newestFirst(a.name, b.name))
  const state = states[0] ? stateIn(states[0].fd) : null
  for (const { fd } of states) addon.closeFd(fd)
  const names = [...(fuse ? [fuseName] : []), ...states.map(({ name }) => name)]
  const isThere = fuse !== undefined && state !== null && addon.isFuseConnected(fuse.fd)
  if (fuse && !isThere) addon.closeFd(fuse.fd)
  const mount = isThere ? { fd: fuse.fd, state } : null
  const ofLibrbd = handed.filter(isOfLibrbd)
  const librbd = keptLibrbdIn(ofLibrbd, mount?.state.librbd ?? null, fd => addon.isFuseConnected(fd))
  if (librbd !== null) return { mount, names, librbd, unused: [] }
  for (const { fd } of ofLibrbd) addon.closeFd(fd)
  return { mount, names, librbd, unused: ofLibrbd.map(({ name }) => name) }
}

export interface DescriptorStoreContext {
  readonly manager: Pick<ServiceManager, 'hold' | 'drop'>
  /** A new file without a name. @returns its descriptor */
  makeFile(): number
  closeFd(fd: number): void
  /** Tell commands that look for a supervisor whether another is to come. */
  mark(isHeld: boolean): void
  readonly logger: Logger
}

export class DescriptorStore {
  readonly #parts: DescriptorStoreContext
  /** The names that the manager holds. */
  #names: readonly string[]
  /** The state that it holds has librbd's part. */
  #hasLibrbd: boolean

  /**
   * @param names what the manager holds of an earlier supervisor
   * @param hasLibrbd librbd's descriptors are among the rest
   */
  constructor(parts: DescriptorStoreContext, names: readonly string[], hasLibrbd = false) {
    this.#parts = parts
    this.#names = names
    this.#hasLibrbd = hasLibrbd
  }

  /** A supervisor could go on with the mount, should this one die now: by what was held last. */
  get isHeld(): boolean {
    return this.#names.length > 1 && this.#names.includes(fuseName)
  }

  /** It could go on with librbd's connections, too. */
  get isLibrbdHeld(): boolean {
    return this.isHeld && this.#hasLibrbd
  }

  /**
   * Have the manager hold the mount behind `fd`, which stays the caller's, and its present state. If that fails, the
   * earlier state stays and the failure is logged. Without a manager nothing happens.
   */
  hold(fd: number, state: KeptState): void {
    this.#orWarn('the service manager does not know what is new of the mount', () => this.#hold(fd, state))
    this.#mark()
  }

  /** The manager holds nothing any more. Idempotent. */
  drop(): void {
    for (const name of this.#names) this.#drop(name)
    this.#mark()
  }

  #mark(): void {
    this.#orWarn('whether another supervisor is to come is not said', () => this.#parts.mark(this.isHeld))
  }

  /** Nothing here may end a mount that is well. */
  #orWarn(what: string, step: () => void): void {
    try {
      step()
    } catch (error) {
      this.#parts.logger.warn({ err: error }, what)
    }
  }

  #hold(fd: number, state: KeptState): void {
    const { manager, makeFile, closeFd } = this.#parts
    const [before, ...older] = this.#names.filter(name => name !== fuseName).sort(newestFirst)
    // Supervisors that died just here leave names behind. The manager refuses what is over the store's size, and does
    // not say so.
    for (const each of older) this.#drop(each)
    const name = `state-${(before ? serialOf(before) : 0) + 1}`
    const file = makeFile()
    try {
      writeSync(file, JSON.stringify({ version: stateVersion, state }), 0)
      // In this order: a descriptor of which nothing is known is of no use.
      if (!manager.hold(name, file)) return
      this.#names = [...this.#names, name]
      this.#hasLibrbd = (state.librbd ?? null) !== null
    } finally {
      closeFd(file)
    }
    if (!this.#names.includes(fuseName)) {
      if (!manager.hold(fuseName, fd)) return
      this.#names = [...this.#names, fuseName]
    }
    if (before) this.#drop(before)
  }

  #drop(name: string): void {
    this.#parts.manager.drop(name)
    this.#names = this.#names.filter(each => each !== name)
  }
}

/** 0 for what is no state. */
function serialOf(name: string): number {
  return Number(/^state-(\d+)$/.exec(name)?.[1] ?? 0)
}

const newestFirst = (a: string, b: string) => serialOf(b) - serialOf(a)

/** Null for an unreadable state. The file position is not to be relied on: the manager's descriptor shares it. */
function stateIn(fd: number): KeptState | null {
  try {
    const bytes = Buffer.alloc(Math.min(fstatSync(fd).size, keptBytesMax))
    readSync(fd, bytes, 0, bytes.length, 0)
    const { version, state } = JSON.parse(bytes.toString()) as { version: number; state: KeptState }
    return version === stateVersion ? state : null
  } catch {
    return null
  }
}
