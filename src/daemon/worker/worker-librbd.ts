/**
 * The worker's hold on what the supervisor hands over for librbd: the descriptor of the object view, and its mount for
 * the case that the supervisor dies and none follows.
 */
import { type LibrbdHandlers, type LibrbdObject, noLibrbd } from '../../admin/librbd-report.ts'
import { CacheError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Deadlines } from '../../fuse/filesystem/transport.ts'
import type { Negotiated } from '../../fuse/kernel/negotiation.ts'
import { answerCountsOf } from '../../librbd/answer-kinds.ts'
import {
  type LibrbdMeasurements,
  LibrbdServer,
  type LibrbdServerOptions,
  type LibrbdStatus,
} from '../../librbd/librbd-server.ts'
import type { SessionCounters, SessionLatencies } from '../../native/addon.ts'
import type { Configuration } from '../config/configuration.ts'
import { librbdPlaceOf, presentationOf } from '../config/librbd-settings.ts'
import type { LibrbdPlace } from '../config/settings.ts'
import type { Mounter } from '../mount/mounter.ts'
import type { SessionUses } from './native-use-samples.ts'
import type { SupervisorChannel } from './supervisor-channel.ts'

/** The way in which librbd is served. */
export interface ServingLibrbd {
  /** The descriptor of the object view; it stays the caller's. */
  readonly fd: number
  /** The channel of its connections, for the rooms to close. */
  readonly channel: number
  /** The agreement of an earlier worker with the kernel, or null on a new mount. */
  readonly negotiated: Negotiated | null
  readonly onNegotiated: (value: Negotiated) => Promise<void>
}

/** The rooms of a worker, as far as librbd goes. */
export interface LibrbdRooms {
  readonly librbd: Pick<LibrbdRoom, 'serve' | 'end'> & LibrbdHandlers
}

export interface WorkerLibrbdContext {
  readonly channel: Pick<SupervisorChannel, 'send'>
  /** A descriptor that the supervisor has sent. */
  receiveFd(): number
  closeFd(fd: number): void
  mounter(mountpoint: string): Pick<Mounter, 'adopt' | 'unmount'>
}

export class WorkerLibrbd {
  /** Another supervisor goes on with connections and view, should this one die. */
  isKept = false
  readonly #parts: () => WorkerLibrbdContext
  #rooms: LibrbdRooms | null = null
  #fd: number | null = null
  #mounter: Pick<Mounter, 'unmount'> | null = null

  constructor(parts: () => WorkerLibrbdContext) {
    this.#parts = parts
  }

  /** Before the mount itself: a mount that answers has all that was asked for. */
  async serve(
    rooms: LibrbdRooms,
    configuration: Configuration,
    { negotiated, kept = false }: { readonly negotiated: Negotiated | null; readonly kept?: boolean },
  ): Promise<void> {
    this.isKept = kept
    const { channel, receiveFd, mounter } = this.#parts()
    const [fd, connections] = [receiveFd(), receiveFd()]
    this.#fd = fd
    const place = librbdPlaceOf(configuration)
    const own = mounter(place?.directory ?? '')
    await own.adopt(fd)
    this.#mounter = own
    const onNegotiated = (value: Negotiated) => channel.send({ type: 'view-negotiated', negotiated: value })
    rooms.librbd.serve({ fd, channel: connections, negotiated, onNegotiated })
    this.#rooms = rooms
  }

  /** The place for the supervisor to make; null: there is none, or no transport for it. */
  placeFor(configuration: Configuration): LibrbdPlace | null {
    return configuration.transport === 'kernel' ? librbdPlaceOf(configuration) : null
  }

  /** Let clients go, and tell the supervisor. Never rejects. */
  async end(): Promise<void> {
    await this.#rooms?.librbd.end()
    await this.#parts().channel.send({ type: 'librbd-ended' })
  }

  /** The supervisor has died: let clients go, and unmount the view, unless another goes on. Never rejects. */
  async abandon(logger: Logger | null): Promise<void> {
    if (this.isKept) return
    await this.#rooms?.librbd.end()
    await unmountOrLog(this.#mounter, logger)
  }

  /** Its session has stopped. Idempotent. */
  close(): void {
    if (this.#fd !== null) this.#parts().closeFd(this.#fd)
    this.#fd = null
  }
}

/** Never rejects. */
export async function unmountOrLog(mounter: Pick<Mounter, 'unmount'> | null, logger: Logger | null): Promise<void> {
  try {
    await mounter?.unmount(true)
  } catch (error) {
    logger?.error({ err: error }, 'the mount could not be removed')
  }
}

const nothingMeasured: LibrbdMeasurements = { connections: 0, broken: 0, answers: answerCountsOf([]), parentsKnown: 0 }

/** The server of librbd, once there is one. */
export class LibrbdRoom implements LibrbdHandlers {
  readonly #open: (serving: ServingLibrbd) => LibrbdServer
  #server: LibrbdServer | null = null

  constructor(open: (serving: ServingLibrbd) => LibrbdServer) {
    this.#open = open
  }

  /** To be called before the mount is served. */
  serve(serving: ServingLibrbd): void {
    this.#server = this.#open(serving)
  }

  reconfigure(deadlines: Deadlines, { librbd }: Pick<Configuration, 'librbd'>): void {
    this.#server?.setDeadlines(deadlines)
    this.#server?.setThrottles(librbd.throttle)
  }

  /** Null where librbd is not served. */
  status(): LibrbdStatus | null {
    return this.#server?.status() ?? null
  }

  /** All 0 where librbd is not served: metrics have all their series then. */
  measurements(): LibrbdMeasurements {
    return this.#server?.measurements() ?? nothingMeasured
  }

  /** Hits of the object view; null where there is none. */
  hits(): { readonly counters: SessionCounters; readonly latencies: SessionLatencies } | null {
    const server = this.#server
    return server && { counters: server.counters(), latencies: server.latencies() }
  }

  /** Reads of objects for the sampler; null where there is no view. */
  get uses(): SessionUses | null {
    return this.#server
  }

  /** See {@link LibrbdHandlers.explain}. @throws CacheError not-found, invalid-argument */
  explain(name: string): LibrbdObject {
    if (!this.#server) return noLibrbd.explain(name)
    const { name: parent, place, ...rest } = this.#server.explain(name)
    const refusal = place === null ? rest.kind : null
    const ids = { ...parent, poolId: String(parent.poolId), snapshotId: String(parent.snapshotId) }
    return { ...rest, place, parent: { ...ids, image: place?.image ?? null, refusal } }
  }

  /** Images have other modes. Never rejects. */
  async rebind(): Promise<void> {
    await this.#server?.rebind()
  }

  /** Let librbd's clients go: in half a second. Never rejects; idempotent. */
  async end(): Promise<void> {
    await this.#server?.end()
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#server?.close()
  }
}

/** The parts of a server that the rooms have. */
export type LibrbdParts = Pick<
  LibrbdServerOptions,
  'addon' | 'startSession' | 'backend' | 'places' | 'logger' | 'deadlines'
>

/** The server that a configuration asks for. @throws CacheError mount-failed when it asks for none */
export function openLibrbd(configuration: Configuration, serving: ServingLibrbd, parts: LibrbdParts): LibrbdServer {
  const place = librbdPlaceOf(configuration)
  if (place === null) throw new CacheError('mount-failed', 'librbd has no socket')
  return new LibrbdServer({
    ...{ ...parts, ...serving, directory: place.directory },
    presentation: { uid: configuration.attributes.uid, ...presentationOf(place) },
    throttles: configuration.librbd.throttle,
  })
}
