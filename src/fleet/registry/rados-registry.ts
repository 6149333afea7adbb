/**
 * RADOS registry: each member is an entry in the omap of one object, with a counter that it advances. A member is there
 * as long as the others see its counter advance, by their own clocks: no two clocks are compared.
 *
 * The object is looked at every few seconds, and at once after a notice; a notice that is lost costs one interval.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { pause } from '../../async/pause.ts'
import { valueWithin } from '../../async/with-timeout.ts'
import { messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { membersListedMax } from '../group/limits.ts'
import { formatMember, type Member, parseMember } from '../group/member.ts'
import {
  againMsMax,
  againMsMin,
  radosForgottenMs,
  radosGoneMs,
  radosPollMs,
  recordBytesMax,
  renewMs,
} from './limits.ts'
import type { MemberRegistry, RegistryListener, RegistryState } from './registry.ts'
import { RegistryHealth } from './registry-health.ts'

/** The object, and its watchers. Each call rejects in its time. */
export interface RegistryObject {
  /** `pool/object`, for operators. */
  readonly place: string
  entries(prefix: string, countMax: number): Promise<readonly (readonly [key: string, value: string])[]>
  set(key: string, value: string): Promise<void>
  remove(key: string): Promise<void>
  /** Tell all that watch. */
  notify(): Promise<void>
  /** Resolves with the next notice, or the end of the watch. @throws what keeps it from watching */
  noticed(): Promise<void>
  /** Idempotent; ends in its time. */
  close(): Promise<void>
}

export interface RadosRegistryOptions {
  readonly object: RegistryObject
  readonly group: string
  readonly logger: Logger
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly random?: () => number
  readonly renewMs?: number
  readonly pollMs?: number
  readonly goneMs?: number
  readonly forgottenMs?: number
}

/** An entry, as long as it is there. */
interface Seen {
  count: string
  /** The last advance that was seen, or the first look. */
  advancedMs: number
  member: Member | null
}

export class RadosRegistry implements MemberRegistry {
  readonly #options: RadosRegistryOptions
  readonly #prefix: string
  readonly #stop = new LightAbortSignal()
  readonly #seen = new Map<string, Seen>()
  readonly #working: Promise<void>[] = []
  readonly #health: RegistryHealth
  #listener: RegistryListener | null = null
  #own: Member | null = null
  /** The id and record that the object has of this host. */
  #ownId: string | null = null
  #record = ''
  #ownChanged = new LightAbortSignal()
  #noticed = new LightAbortSignal()
  #count = 0
  #told = ''
  #registeredAnew = 0
  #lists = 0
  /** The last look that was answered. */
  #lookedMs = 0

  constructor(options: RadosRegistryOptions) {
    this.#options = options
    this.#health = new RegistryHealth('rados', options.logger)
    this.#prefix = `${options.group}/member/`
  }

  get state(): RegistryState {
    const counts = { registeredAnew: this.#registeredAnew, lists: this.#lists }
    return { engine: `rados:${this.#options.object.place}`, ...this.#health.state, ...counts }
  }

  watch(listener: RegistryListener): void {
    this.#listener = listener
    this.#working.push(this.#poll(), this.#renew(), this.#watchNotices())
  }

  register(member: Member | null): void {
    this.#own = member
    this.#ownChanged.abort()
  }

  async close(): Promise<void> {
    if (this.#stop.aborted) return
    this.#listener = null
    this.#stop.abort()
    this.#ownChanged.abort()
    this.#noticed.abort()
    const { object } = this.#options
    const key = this.#ownId === null ? null : this.#prefix + this.#ownId
    const leaving = key === null ? Promise.resolve() : object.remove(key).then(() => object.notify())
    await valueWithin(1_000, leaving, () => {}).catch(() => {}) // The others see a counter that stands still.
    await object.close()
    await Promise.all(this.#working)
  }

  /** Never rejects. */
  async #poll(): Promise<void> {
    const { pollMs = radosPollMs, random = Math.random } = this.#options
    while (!this.#stop.aborted) {
      const noticed = (this.#noticed = new LightAbortSignal())
      let waitMs = pollMs
      try {
        await this.#list()
        this.#note('list', '')
      } catch (error) {
        this.#note('list', messageOf(error))
        waitMs = againMsMin + random() * (againMsMax - againMsMin)
      }
      if (this.#stop.aborted) return
      await pause(waitMs, noticed)
      // Many that start together are a few looks.
      if (noticed.aborted) await pause(againMsMin * random(), this.#stop)
    }
  }

  async #list(): Promise<void> {
    const { object, now, goneMs = radosGoneMs, forgottenMs = radosForgottenMs } = this.#options
    this.#lists++
    const entries = await object.entries(this.#prefix, membersListedMax)
    const nowMs = now()
    this.#leaveOutBlindTime(nowMs)
    const there = new Set<string>()
    for (const [key, value] of entries) {
      const id = key.slice(this.#prefix.length)
      there.add(id)
      this.#look(id, value, nowMs)
    }
    for (const [id, { advancedMs }] of this.#seen) {
      if (!there.has(id)) this.#seen.delete(id)
      else if (id !== this.#ownId && nowMs - advancedMs >= forgottenMs) await object.remove(this.#prefix + id)
    }
    const isThere = ({ advancedMs }: Seen) => nowMs - advancedMs < goneMs
    const members = [...this.#seen.values()].flatMap(seen => (seen.member && isThere(seen) ? [seen.member] : []))
    const text = members.map(member => member.id + formatMember(member)).join()
    if (text === this.#told && this.#lists > 1) return this.#listener?.onHeard()
    this.#told = text
    this.#listener?.onMembers(members)
  }

  /** Time in which nothing could be looked at says nothing about a member. */
  #leaveOutBlindTime(nowMs: number): void {
    const { goneMs = radosGoneMs } = this.#options
    const blindMs = Math.max(0, nowMs - this.#lookedMs - goneMs / 3)
    this.#lookedMs = nowMs
    for (const seen of this.#seen.values()) seen.advancedMs += blindMs
  }

  #look(id: string, value: string, nowMs: number): void {
    const at = value.indexOf(' ')
    const count = value.slice(0, Math.max(0, at))
    const member = value.length > recordBytesMax ? null : parseMember(id, value.slice(at + 1))
    const seen = this.#seen.get(id)
    if (seen && seen.count === count) return
    this.#seen.set(id, { count, advancedMs: nowMs, member })
  }

  /** Advances the counter of this host. Never rejects. */
  async #renew(): Promise<void> {
    const { renewMs: everyMs = renewMs, random = Math.random } = this.#options
    while (!this.#stop.aborted) {
      const changed = (this.#ownChanged = new LightAbortSignal())
      let waitMs = everyMs
      try {
        await this.#renewOnce()
        this.#note('lease', '')
      } catch (error) {
        this.#note('lease', messageOf(error))
        waitMs = againMsMin + random() * (againMsMax - againMsMin)
      }
      if (!this.#stop.aborted) await pause(waitMs, changed)
    }
  }

  async #renewOnce(): Promise<void> {
    const { object } = this.#options
    const own = this.#own
    if (own === null) {
      if (this.#ownId !== null) await object.remove(this.#prefix + this.#ownId)
      this.#ownId = null
      return
    }
    const record = formatMember(own)
    // A counter that begins anew is another one than that of before: a mark of this process comes first.
    await object.set(this.#prefix + own.id, `${own.since}.${++this.#count} ${record}`)
    const isNews = this.#ownId !== own.id || this.#record !== record
    this.#ownId = own.id
    this.#record = record
    if (isNews) await object.notify().catch(() => {}) // It is a hint: all look again by themselves.
  }

  /** Never rejects. */
  async #watchNotices(): Promise<void> {
    const { object } = this.#options
    while (!this.#stop.aborted) {
      try {
        await object.noticed()
        this.#noticed.abort()
      } catch {
        await pause(radosPollMs, this.#stop) // Without notices all is some seconds later.
      }
    }
  }

  #note(half: 'list' | 'lease', reason: string): void {
    if (!this.#stop.aborted) this.#health.note(half, reason)
  }
}
