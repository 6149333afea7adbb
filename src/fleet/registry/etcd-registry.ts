/**
 * etcd registry: each member is a key with a lease; all follow them by a list and a watch from its revision on.
 *
 * Any end of the watch leads to another list after a random pause. A lease that is gone is taken out anew. Lists are
 * serializable: without a quorum they answer, and nobody's lease expires then.
 */

import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { pause } from '../../async/pause.ts'
import { valueWithin } from '../../async/with-timeout.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { membersListedMax } from '../group/limits.ts'
import { formatMember, type Member, parseMember } from '../group/member.ts'
import { type EtcdAnswer, EtcdGateway, type EtcdPlace } from './etcd-gateway.ts'
import { againMsMax, againMsMin, leaseMs, recordBytesMax, renewMs } from './limits.ts'
import type { MemberRegistry, RegistryListener, RegistryState } from './registry.ts'
import { RegistryHealth } from './registry-health.ts'

export interface EtcdRegistryOptions extends EtcdPlace {
  /** Of all keys, without slashes at its ends. */
  readonly prefix: string
  readonly group: string
  readonly logger: Logger
  readonly random?: () => number
  readonly leaseMs?: number
  readonly renewMs?: number
}

interface Lease {
  readonly id: string
  readonly record: string
}

/** News is gathered for so long: a thousand hosts that start together are few views. */
const gatherMs = 20

export class EtcdRegistry implements MemberRegistry {
  readonly #options: EtcdRegistryOptions
  readonly #gateway: EtcdGateway
  readonly #prefix: string
  readonly #stop = new LightAbortSignal()
  readonly #known = new Map<string, Member>()
  readonly #working: Promise<void>[] = []
  #listener: RegistryListener | null = null
  #own: Member | null = null
  #lease: Lease | null = null
  #ownChanged = new LightAbortSignal()
  #telling: NodeJS.Timeout | null = null
  #watching: { readonly generation: number; readonly signal: LightAbortSignal } | null = null
  readonly #health: RegistryHealth
  #registeredAnew = 0
  #lists = 0

  constructor(options: EtcdRegistryOptions) {
    this.#options = options
    this.#health = new RegistryHealth('etcd', options.logger)
    this.#gateway = new EtcdGateway(options)
    this.#prefix = `${options.prefix}/${options.group}/member/`
  }

  get state(): RegistryState {
    const { servers } = this.#options
    const counts = { registeredAnew: this.#registeredAnew, lists: this.#lists }
    return { engine: `etcd:${servers.join(',')}`, ...this.#health.state, ...counts }
  }

  watch(listener: RegistryListener): void {
    this.#listener = listener
    this.#working.push(this.#follow(), this.#renew())
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
    clearTimeout(this.#telling ?? undefined)
    const lease = this.#lease
    const leaving = lease ? this.#gateway.call('/v3/lease/revoke', { ID: lease.id }).then(() => {}) : Promise.resolve()
    await valueWithin(1_000, leaving, () => {}).catch(() => {}) // The lease ends by itself then.
    await this.#gateway.close()
    await Promise.all(this.#working)
  }

  /** Never rejects. */
  async #follow(): Promise<void> {
    const { random = Math.random } = this.#options
    while (!this.#stop.aborted) {
      try {
        const revision = await this.#list()
        this.#note('list', '')
        await this.#watchFrom(revision + 1)
      } catch (error) {
        this.#note('list', messageOf(error))
      }
      await pause(againMsMin + random() * (againMsMax - againMsMin), this.#stop)
    }
  }

  /** @returns its revision */
  async #list(): Promise<number> {
    this.#lists++
    const end = `${this.#prefix.slice(0, -1)}0` // The byte after the slash.
    const answer = await this.#gateway.call('/v3/kv/range', {
      key: base64(this.#prefix),
      range_end: base64(end),
      serializable: true,
      limit: membersListedMax,
    })
    this.#known.clear()
    for (const kv of listOf(answer.kvs)) this.#put(kv)
    if (this.#own && !this.#known.has(this.#own.id)) this.#putAgain()
    this.#tell()
    return Number((answer.header as EtcdAnswer | undefined)?.revision ?? 0)
  }

  /** Resolves when the watch has ended, whatever ended it. */
  async #watchFrom(revision: number): Promise<void> {
    const end = `${this.#prefix.slice(0, -1)}0`
    const create = {
      key: base64(this.#prefix),
      range_end: base64(end),
      start_revision: revision,
      progress_notify: true,
    }
    const signal = new LightAbortSignal(this.#stop)
    this.#watching = { generation: this.#gateway.generation, signal }
    try {
      await this.#gateway.stream('/v3/watch', { create_request: create }, result => this.#take(result), signal)
    } catch (error) {
      if (!signal.aborted) throw error
    } finally {
      this.#watching = null
      signal.end()
    }
  }

  #take(result: EtcdAnswer): void {
    if (result.canceled === true) throw new CacheError('origin-failed', 'etcd: the watch was cancelled')
    let isNews = false
    for (const event of listOf(result.events)) {
      const kv = event.kv as EtcdAnswer | undefined
      if (!kv) continue
      isNews = true
      if (event.type === 'DELETE') {
        this.#known.delete(this.#idOf(kv))
        if (this.#idOf(kv) === this.#own?.id) this.#putAgain()
      } else this.#put(kv)
    }
    if (isNews) this.#tell()
    else this.#listener?.onHeard()
  }

  /** Somebody has removed the record of this host, whose lease goes on. An older list may say so, too: no harm. */
  #putAgain(): void {
    if (this.#lease === null) return
    this.#lease = { ...this.#lease, record: '' }
    this.#ownChanged.abort()
  }

  #put(kv: EtcdAnswer): void {
    const text = fromBase64(kv.value)
    const member = text.length > recordBytesMax ? null : parseMember(this.#idOf(kv), text)
    if (member && (this.#known.size < membersListedMax || this.#known.has(member.id)))
      this.#known.set(member.id, member)
  }

  #idOf({ key }: EtcdAnswer): string {
    return fromBase64(key).slice(this.#prefix.length)
  }

  #tell(): void {
    this.#telling ??= setTimeout(() => {
      this.#telling = null
      this.#listener?.onMembers([...this.#known.values()])
    }, gatherMs)
  }

  /** Registers, and renews the lease. Never rejects. */
  async #renew(): Promise<void> {
    const { servers, renewMs: everyMs = renewMs, random = Math.random } = this.#options
    let failures = 0
    while (!this.#stop.aborted) {
      const changed = (this.#ownChanged = new LightAbortSignal())
      let waitMs = everyMs
      try {
        await this.#renewOnce()
        failures = 0
        this.#note('lease', '')
        this.#listener?.onHeard()
        // A server that failed a renewal may have no news either. Without a quorum all fail, and the watch stays.
        if (this.#watching && this.#watching.generation !== this.#gateway.generation) this.#watching.signal.abort()
      } catch (error) {
        this.#note('lease', messageOf(error))
        // The lease runs on: the next server is asked at once, until none is left.
        const isAnotherLeft = ++failures % servers.length !== 0
        waitMs = isAnotherLeft ? 0 : againMsMin + random() * (againMsMax - againMsMin)
      }
      if (!this.#stop.aborted) await pause(waitMs, changed)
    }
  }

  async #renewOnce(): Promise<void> {
    const own = this.#own
    if (own === null) {
      const lease = this.#lease
      this.#lease = null
      // Without a lease the same question shows a server that has no news: it needs the leader.
      if (lease) await this.#gateway.call('/v3/lease/revoke', { ID: lease.id })
      else await this.#gateway.call('/v3/kv/range', { key: base64(this.#prefix), count_only: true })
      return
    }
    const record = formatMember(own)
    if (this.#lease === null) return await this.#takeLease(own, record)
    const { result } = await this.#gateway.call('/v3/lease/keepalive', { ID: this.#lease.id })
    if (Number((result as EtcdAnswer | undefined)?.TTL ?? 0) <= 0) {
      this.#registeredAnew++
      this.#options.logger.info({ registry: 'etcd' }, 'fleet registry has forgotten this host: it registers anew')
      return await this.#takeLease(own, record)
    }
    if (record !== this.#lease.record) await this.#putOwn(own, this.#lease.id, record)
  }

  async #takeLease(own: Member, record: string): Promise<void> {
    this.#lease = null
    const ttl = Math.max(1, Math.ceil((this.#options.leaseMs ?? leaseMs) / 1000))
    const { ID } = await this.#gateway.call('/v3/lease/grant', { TTL: ttl })
    if (typeof ID !== 'string') throw new CacheError('origin-failed', 'etcd: gave no lease')
    await this.#putOwn(own, ID, record)
  }

  async #putOwn(own: Member, lease: string, record: string): Promise<void> {
    await this.#gateway.call('/v3/kv/put', { key: base64(this.#prefix + own.id), value: base64(record), lease })
    this.#lease = { id: lease, record }
  }

  #note(half: 'list' | 'lease', reason: string): void {
    if (!this.#stop.aborted) this.#health.note(half, reason)
  }
}

function listOf(value: unknown): EtcdAnswer[] {
  return Array.isArray(value) ? value.filter(each => typeof each === 'object' && each !== null) : []
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}

function fromBase64(value: unknown): string {
  return typeof value === 'string' ? Buffer.from(value, 'base64').toString('utf8') : ''
}
