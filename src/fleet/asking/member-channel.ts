/**
 * The MemberChannel interface: one request to one member, and the outcome. A question for bytes never rejects.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { Image } from '../../base/image.ts'
import type { Headers } from '../../origin/http/protocol/response-headers.ts'

/** A run of whole blocks of one unit. */
export interface AskedRange {
  readonly image: Image
  /** Bytes within the image, on a border of blocks. */
  readonly offset: number
  readonly target: Uint8Array
  /** The rank that the asker takes the member for. */
  readonly rank: number
  /** Members that the question has passed already. */
  readonly hop: number
  /** Is the member to bring what it lacks? */
  readonly fill: boolean
  /** Is it to tell the units that it has, where it lacks these? Not when absent. */
  readonly asksUnits?: boolean
}

/**
 * - `bytes`: the target has them, and each block its checksum; were they brought from further on first?
 * - `busy`: ask another member; it knows of so many replicas
 * - `absent`: it has not got them, and was not to bring them, or has another version; the units that it has, where told
 * - `silent`: no head in time
 * - `lost`: it broke off, or was too slow; the first `goodBytes` of the target are whole blocks with right checksums
 * - `wrong`: bytes, checksums, version or length were not those that were asked for
 * - `aborted`: the asker has left
 */
export type AskOutcome =
  | { readonly kind: 'bytes'; readonly wasBrought?: true }
  | { readonly kind: 'busy'; readonly replicas: number }
  | { readonly kind: 'absent'; readonly units?: Uint8Array }
  | { readonly kind: 'silent' }
  | { readonly kind: 'lost'; readonly goodBytes: number; readonly why: string }
  | { readonly kind: 'wrong'; readonly why: string }
  | { readonly kind: 'aborted' }

export interface AskOptions {
  readonly signal: CancelSignal
  /** Time for the first sign of life: a head, or an interim one. */
  readonly headMsMax: number
}

/** A request that is not for bytes of an image. */
export interface MemberMessage {
  readonly method: 'GET' | 'HEAD' | 'PUT' | 'POST'
  readonly path: string
  readonly body: string | null
  /** The image that it is about; a member that does not know it looks it up. None when absent. */
  readonly image?: Pick<Image, 'origin' | 'key'>
  /** Longest answer that is read. */
  readonly bytesMax: number
}

export interface SmallAnswer {
  readonly status: number
  readonly text: string
  /** None when absent. */
  readonly headers?: Headers
}

export interface MemberMessages {
  /** @throws Error, also for an answer that is too long */
  request(message: MemberMessage, signal: CancelSignal): Promise<SmallAnswer>
}

export interface MemberChannel extends MemberMessages {
  /** After it resolves nothing is written to the target. */
  ask(range: AskedRange, options: AskOptions): Promise<AskOutcome>
  /** Idempotent; what is under way ends as `lost`. */
  close(): Promise<void>
}
