/**
 * Member locations: members of the group as places of one image, for operators. Each is asked how much it holds, and
 * its blocks can be compared with the origin's. A member that lied is not asked.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { pause } from '../../async/pause.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, messageOf, throwIfAborted } from '../../base/errors.ts'
import { blocksPerObject, type Image } from '../../base/image.ts'
import type { ReadOptions } from '../../origin/contract/origin.ts'
import { headerOf } from '../../origin/http/protocol/response-headers.ts'
import type { ComparablePlace, HeldRange } from '../../origin/locations/compare-locations.ts'
import type { ImageLocation } from '../../origin/locations/image-location.ts'
import type { GroupView, KnownMember } from '../group/group-view.ts'
import { hopsMax, imagePath, residentHeader, unitBlocks } from '../wire/wire.ts'
import type { MemberStatus } from './fleet-status.ts'
import { compareTriesMax, holdingMsMax, memberAnswerBytesMax, membersAskedMax, pushMsMax } from './limits.ts'
import type { Peer } from './unit-reader.ts'

export interface MemberLocationsContext {
  readonly view: Pick<GroupView, 'members' | 'own'>
  readonly blockBytes: number
  peerOf(member: KnownMember): Peer
  statusOf(member: KnownMember): MemberStatus
  /** Its bytes are not the origin's: it is asked no more. */
  onLie(member: KnownMember, reason: string): void
  /** Milliseconds, never going back. */
  readonly now: () => number
}

/** The answer of a member; null: it was not asked. */
interface Holding {
  readonly heldBytes: number | null
  readonly ms: number | null
  /** Why nothing is known; empty: it is. */
  readonly problem: string
}

export class MemberLocations {
  readonly #parts: MemberLocationsContext

  constructor(parts: MemberLocationsContext) {
    this.#parts = parts
  }

  /** Members that hold some of an image, and those that cannot be asked. Never rejects; ends with the signal. */
  async locationsOf(image: Image, signal: CancelSignal): Promise<ImageLocation[]> {
    const found = await this.#asked(image, signal)
    return found.flatMap(({ member, holding }): ImageLocation[] => {
      const { health, reason, latencyMs, requests, bytes, failures } = this.#parts.statusOf(member)
      const { heldBytes, ms, problem } = holding
      if (heldBytes === 0) return []
      const isAway = health === 'passed-by' || heldBytes === null
      const state = health === 'quarantined' ? 'quarantined' : isAway ? 'away' : 'good'
      const bytesPerSecond = health === 'quarantined' ? null : this.#parts.peerOf(member).health.bytesPerSecond
      const facts = { url: urlOf(member, image), requests, bytes, errors: failures, bytesPerSecond, heldBytes }
      const figures = { ...facts, latencyMs: latencyMs ?? ms }
      return [{ ...figures, kind: 'member', state, isRead: state === 'good', reason: reason || problem }]
    })
  }

  /** Members that hold some of an image, to be compared. Never rejects; ends with the signal. */
  async placesOf(image: Image, signal: CancelSignal): Promise<ComparablePlace[]> {
    const found = await this.#asked(image, signal)
    const isComparable = ({ member, holding }: (typeof found)[number]) =>
      holding.heldBytes !== 0 && this.#parts.statusOf(member).health !== 'quarantined'
    return found.filter(isComparable).map(({ member, holding }) => this.#placeOf(member, image, holding))
  }

  async #asked(image: Image, caller: CancelSignal) {
    const { view, statusOf } = this.#parts
    const others = view.members.filter(({ id }) => id !== view.own?.id)
    const signal = new LightAbortSignal(caller)
    const timer = setTimeout(() => signal.abort(), holdingMsMax)
    const found: { readonly member: KnownMember; readonly holding: Holding }[] = []
    const waiting = others.entries()
    const work = async () => {
      for (const [at, member] of waiting) {
        const isLiar = statusOf(member).health === 'quarantined'
        const holding = isLiar ? { heldBytes: null, ms: null, problem: '' } : await this.#ask(member, image, signal)
        found[at] = { member, holding }
      }
    }
    await Promise.all(Array.from({ length: membersAskedMax }, work))
    clearTimeout(timer)
    signal.end()
    // One that has gone, and only keeps its ranks, is missed by nobody.
    return found.filter(({ member, holding }) => !member.isVanished || holding.heldBytes !== null)
  }

  /** Never rejects. */
  async #ask(member: KnownMember, image: Image, signal: CancelSignal): Promise<Holding> {
    const { peerOf, now } = this.#parts
    const startMs = now()
    const none = (problem: string) => ({ heldBytes: null, ms: null, problem })
    if (signal.aborted) return none('was not asked in time')
    try {
      const message = { method: 'HEAD', path: imagePath(image.id), body: null, bytesMax: memberAnswerBytesMax } as const
      const { status, headers = {} } = await peerOf(member).channel.request(message, signal)
      if (status === 404 || status === 412) return { heldBytes: 0, ms: null, problem: '' }
      const heldBytes = Number(headerOf(headers, residentHeader) ?? Number.NaN)
      const isSane = status === 200 && Number.isSafeInteger(heldBytes) && heldBytes >= 0 && heldBytes <= image.sizeBytes
      return isSane ? { heldBytes, ms: now() - startMs, problem: '' } : none(`answered with status ${status}`)
    } catch (error) {
      return none(signal.aborted ? `no answer in ${holdingMsMax} ms` : messageOf(error))
    }
  }

  #placeOf(member: KnownMember, image: Image, { heldBytes, problem }: Holding): ComparablePlace {
    const blocks = new HeldBlocks(member, image, this.#parts)
    return {
      url: urlOf(member, image),
      examine: async () => (heldBytes === null ? { problem } : 'bytes'),
      readHeld: (offset, target, options) => blocks.read(offset, target, options),
      onDifferent: reason => this.#parts.onLie(member, reason),
    }
  }
}

/** Reads the blocks of an image that a member holds, and has it bring none. */
class HeldBlocks {
  readonly #member: KnownMember
  readonly #image: Image
  readonly #parts: MemberLocationsContext
  #object = -1
  #held: readonly boolean[] = []

  constructor(member: KnownMember, image: Image, parts: MemberLocationsContext) {
    this.#member = member
    this.#image = image
    this.#parts = parts
  }

  /** @throws CacheError aborted, origin-failed, image-corrupt */
  async read(offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<HeldRange[]> {
    const ranges: HeldRange[] = []
    for (let begin = 0; begin < target.length; ) {
      const end = await this.#runEnd(offset, begin, target.length, signal)
      if (end < 0) begin = -end
      else {
        if (await this.#ask(offset + begin, target.subarray(begin, end), signal)) ranges.push({ begin, end })
        begin = end
      }
    }
    return ranges
  }

  /** The end of a run of held blocks of one unit, or of blocks that are not held, as a negative number. */
  async #runEnd(offset: number, begin: number, end: number, signal: CancelSignal): Promise<number> {
    const { blockBytes } = this.#parts
    const [first, last] = [(offset + begin) / blockBytes, Math.ceil((offset + end) / blockBytes)]
    const isHeld = await this.#isHeld(first, signal)
    const unitEnd = (Math.floor(first / unitBlocks) + 1) * unitBlocks
    let block = first + 1
    while (block < Math.min(last, unitEnd) && (await this.#isHeld(block, signal)) === isHeld) block++
    const runEnd = Math.min(end, block * blockBytes - offset)
    return isHeld ? runEnd : -runEnd
  }

  async #isHeld(block: number, signal: CancelSignal): Promise<boolean> {
    const object = Math.floor(block / blocksPerObject)
    if (object !== this.#object) {
      this.#held = await this.#heldOf(object, signal)
      this.#object = object
    }
    return this.#held[block % blocksPerObject] ?? false
  }

  /** By the checksums that it has recorded. */
  async #heldOf(object: number, caller: CancelSignal): Promise<boolean[]> {
    const path = `${imagePath(this.#image.id)}/sums?object=${object}`
    const signal = new LightAbortSignal(caller)
    const timer = setTimeout(() => signal.abort(), pushMsMax)
    try {
      const message = { method: 'GET', path, body: null, bytesMax: memberAnswerBytesMax } as const
      const { status, text } = await this.#parts.peerOf(this.#member).channel.request(message, signal)
      if (status === 404 || status === 412) return []
      const { sums } = (status === 200 ? JSON.parse(text) : {}) as { readonly sums?: unknown }
      if (!Array.isArray(sums)) throw new Error(`answered with status ${status}`)
      return sums.slice(0, blocksPerObject).map(sum => typeof sum === 'string')
    } catch (cause) {
      throwIfAborted(caller)
      throw new CacheError('origin-failed', `${this.#member.url}: ${messageOf(cause)}`, { cause })
    } finally {
      clearTimeout(timer)
      signal.end()
    }
  }

  /** @returns false: it has not got them any more. @throws CacheError aborted, origin-failed, image-corrupt */
  async #ask(offset: number, target: Uint8Array, signal: CancelSignal): Promise<boolean> {
    const { peerOf } = this.#parts
    const range = { image: this.#image, offset, target, rank: 0, hop: hopsMax, fill: false }
    let why = 'is busy'
    for (let tries = 0; tries < compareTriesMax; tries++) {
      const outcome = await peerOf(this.#member).channel.ask(range, { signal, headMsMax: pushMsMax })
      throwIfAborted(signal)
      if (outcome.kind === 'bytes') return true
      if (outcome.kind === 'absent') return false
      if (outcome.kind === 'wrong') throw new CacheError('image-corrupt', outcome.why)
      if (outcome.kind === 'lost') why = outcome.why
      if (outcome.kind === 'silent') why = `no answer in ${pushMsMax} ms`
      await pause(tries * pushMsMax * 0.1, signal)
    }
    throw new CacheError('origin-failed', `${this.#member.url}: ${why}`)
  }
}

/** The image there, by its id. */
function urlOf({ url }: KnownMember, { id }: Image): string {
  return url + imagePath(id)
}
