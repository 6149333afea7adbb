/**
 * The worker's hold on what the supervisor hands over for librbd: the descriptor of the object view, and its mount for
 * the case that the supervisor dies.
 */
import { CacheError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import type { Deadlines } from '../../fuse/filesystem/transport.ts'
import type { Negotiated } from '../../fuse/kernel/negotiation.ts'
import { LibrbdServer, type LibrbdServerOptions, type LibrbdStatus } from '../../librbd/librbd-server.ts'
import type { Configuration } from '../config/configuration.ts'
import { librbdPlaceOf, presentationOf } from '../config/librbd-settings.ts'
import type { LibrbdPlace } from '../config/settings.ts'
import type { Mounter } from '../mount/mounter.ts'
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
  readonly librbd: Pick<LibrbdRoom, 'serve' | 'end'>
}

export interface WorkerLibrbdContext {
  readonly channel: Pick<SupervisorChannel, 'send'>
  /** A descriptor that the supervisor has sent. */
  receiveFd(): number
  closeFd(fd: number): void
  mounter(mountpoint: string): Pick<Mounter, 'adopt' | 'unmount'>
}

export class WorkerLibrbd {
  readonly #parts: () => WorkerLibrbdContext
  #rooms: LibrbdRooms | null = null
  #fd: number | null = null
  #mounter: Pick<Mounter, 'unmount'> | null = null

  constructor(parts: () => WorkerLibrbdContext) {
    this.#parts = parts
  }

  /** Before the mount itself: a mount that answers has all that was asked for. */
  async serve(rooms: LibrbdRooms, configuration: Configuration, negotiated: Negotiated | null): Promise<void> {
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

  /** The supervisor has died: let clients go, and unmount the view. Never rejects. */
  async abandon(logger: Logger | null): Promise<void> {
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

/** The server of librbd, once there is one. */
export class LibrbdRoom {
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
