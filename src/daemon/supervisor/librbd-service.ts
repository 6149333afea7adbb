/**
 * The supervisor's part of serving librbd: it holds the socket, the connections and the mount of the object view, so
 * that clients do not see one worker follow another.
 */
import { mkdirSync, unlinkSync } from 'node:fs'
import { dirname } from 'node:path'
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { type Negotiated, repeatsRequests } from '../../fuse/kernel/negotiation.ts'
import type { Addon } from '../../native/addon.ts'
import type { LibrbdKeeper } from '../../native/librbd.ts'
import type { LibrbdPlace } from '../config/settings.ts'
import type { Mounter } from '../mount/mounter.ts'
import type { HeldLibrbd, KeptLibrbd, LibrbdState } from './held-librbd.ts'
import { listenForLibrbd, whyPlaceUntrusted } from './librbd-socket.ts'
import { librbdEndMsMax } from './limits.ts'
import { forceUnmount } from './unmounting.ts'

export interface LibrbdServiceContext {
  readonly addon: Pick<Addon, 'listenAt' | 'createLibrbdKeeper' | 'closeFd'>
  createMounter(directory: string): Mounter
  /** Of the service manager. */
  readonly held: Pick<HeldLibrbd, 'holder' | 'isWhole' | 'adopt' | 'hold' | 'drop'>
  /** Of a supervisor that has died, to go on with; null where there was none. */
  readonly kept: KeptLibrbd | null
  readonly logger: Logger
}

/** The descriptors that a worker needs, and the agreement with the kernel on the first. */
export interface LibrbdHandover {
  /** Of /dev/fuse; it stays ours. */
  readonly view: number
  /** The worker's end; ours is to be closed. */
  readonly channel: number
  readonly negotiated: Negotiated | null
}

interface Open {
  readonly place: LibrbdPlace
  readonly keeper: LibrbdKeeper
  readonly mounter: Mounter
  view: number
}

/** Shown in the mount table. */
const viewSource = 'parentfs-objects'

export class LibrbdService {
  readonly #parts: LibrbdServiceContext
  #open: Open | null = null
  #kept: KeptLibrbd | null
  #negotiated: Negotiated | null = null
  #ended: () => void = () => {}

  constructor(parts: LibrbdServiceContext) {
    this.#parts = parts
    this.#kept = parts.kept
  }

  /** The part of the mount's state by which the next supervisor goes on; null where it cannot. */
  get state(): LibrbdState | null {
    const [open, negotiated] = [this.#open, this.#negotiated]
    if (open === null || negotiated === null || !repeatsRequests(negotiated) || !this.#parts.held.isWhole) return null
    const { socket, directory } = open.place
    const { device } = open.mounter
    return device === null ? null : { socket, directory, device, negotiated }
  }

  /** The kernel and a worker have agreed on the view. */
  negotiated(value: Negotiated): void {
    this.#negotiated = value
  }

  /** The worker has let its clients go. */
  ended(): void {
    this.#ended()
  }

  /**
   * The descriptors for a worker that is about to serve; made at the first call.
   * @param place null: the worker has nothing to do with librbd
   * @throws CacheError invalid-argument, mount-busy, mount-failed
   */
  async handOver(place: LibrbdPlace | null): Promise<LibrbdHandover | null> {
    if (place === null) {
      await this.close(() => {})
      return null
    }
    const open = (this.#open ??= (await this.#goOn(place)) ?? (await this.#begin(place)))
    if (this.#negotiated === null || !repeatsRequests(this.#negotiated)) await this.#mountAnew(open)
    return { view: open.view, channel: open.keeper.attach(), negotiated: this.#negotiated }
  }

  /**
   * Ends it: no new connections, then the worker lets its clients go, then the view is unmounted. Never rejects.
   * @param tellWorker `librbd-end` to the worker that serves; {@link ended} is its answer
   * @param isThere a worker serves
   */
  async close(tellWorker: () => void, isThere = false): Promise<void> {
    const open = this.#open
    this.#letGo()
    if (!open) return
    this.#open = null
    const { keeper, mounter, place } = open
    const { addon, logger, held } = this.#parts
    held.drop()
    keeper.stopListening()
    try {
      unlinkSync(place.socket)
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'the socket for librbd stays')
    }
    if (isThere && keeper.connections() > 0) {
      const ended = new Promise<void>(resolve => {
        this.#ended = resolve
      })
      tellWorker()
      const late = () => new CacheError('closed', 'late')
      await withTimeout(librbdEndMsMax, ended, late).catch(() => {}) // Then they are closed as they are.
    }
    keeper.close()
    await forceUnmount(mounter, logger)
    addon.closeFd(open.view)
    this.#negotiated = null
  }

  async #begin(place: LibrbdPlace): Promise<Open> {
    const { addon, createMounter, held, logger } = this.#parts
    const listener = await listenForLibrbd(addon, place)
    let keeper: LibrbdKeeper | null = null
    try {
      keeper = keeperOf(() => addon.createLibrbdKeeper(listener, held.holder, null))
      const why = whyPlaceUntrusted(dirname(place.directory))
      if (why !== null) throw new CacheError('invalid-argument', `the directory for librbd: ${why}`)
      makeDirectory(place.directory)
      const mounter = createMounter(place.directory)
      await mounter.prepare()
      const view = await mounter.mount(viewSource, true)
      logger.info({ socket: place.socket, directory: place.directory }, 'librbd is served')
      held.hold('listener', listener)
      held.hold('journal', keeper.journal())
      held.hold('view', view)
      return { place, keeper, mounter, view }
    } catch (error) {
      keeper?.close()
      unlinkSync(place.socket)
      throw error
    }
  }

  /** A mount without an agreement is new. Of another kernel's, the unanswered requests were lost with the worker. */
  async #mountAnew(open: Open): Promise<void> {
    if (this.#negotiated === null) return
    const { addon, logger } = this.#parts
    await forceUnmount(open.mounter, logger)
    addon.closeFd(open.view)
    this.#negotiated = null
    open.view = await open.mounter.mount(viewSource, true)
    this.#parts.held.hold('view', open.view)
  }

  /** Takes what an earlier supervisor has left. @returns null where it left nothing, or that of another place */
  async #goOn(place: LibrbdPlace): Promise<Open | null> {
    const { addon, createMounter, held, logger } = this.#parts
    const kept = this.#kept
    const isHere = kept?.state.socket === place.socket && kept.state.directory === place.directory
    if (kept === null || !isHere) {
      this.#letGo()
      return null
    }
    this.#kept = null
    const { state, listener, view } = kept
    held.adopt()
    let keeper: LibrbdKeeper
    try {
      keeper = addon.createLibrbdKeeper(listener, held.holder, kept)
    } catch (error) {
      logger.error({ err: error }, "librbd's connections are of another version and end")
      held.drop(kept)
      addon.closeFd(view)
      return null
    }
    const mounter = createMounter(place.directory)
    await mounter.adopt(view, state.device)
    this.#negotiated = state.negotiated
    logger.info({ socket: place.socket, directory: place.directory }, 'librbd is served as before')
    return { place, keeper, mounter, view }
  }

  /** Closes all that nobody goes on with. Idempotent. */
  #letGo(): void {
    const { addon, held } = this.#parts
    const kept = this.#kept
    this.#kept = null
    if (kept === null) return
    held.adopt()
    held.drop(kept)
    for (const fd of [kept.listener, kept.journal, kept.view]) addon.closeFd(fd)
    for (const { fd } of kept.connections) addon.closeFd(fd)
  }
}

/** The descriptors are the keeper's, also when there can be none. @throws CacheError mount-failed */
function keeperOf(create: () => LibrbdKeeper): LibrbdKeeper {
  try {
    return create()
  } catch (cause) {
    throw new CacheError('mount-failed', `the connections of librbd cannot be kept: ${messageOf(cause)}`, { cause })
  }
}

function makeDirectory(directory: string): void {
  try {
    mkdirSync(directory, { mode: 0o755 })
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException
    // A mount of a daemon that has died: it is looked at next.
    if (code === 'EEXIST' || code === 'ENOTCONN') return
    throw new CacheError('invalid-argument', `the directory ${directory} cannot be made: ${messageOf(cause)}`, {
      cause,
    })
  }
}
