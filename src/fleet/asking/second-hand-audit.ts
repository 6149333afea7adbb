/**
 * Second-hand audit: the units that came from each member, and a sample of their blocks that is compared with the
 * origin when this host is idle. One mismatch: the member lied, and all that it sent is dropped.
 */

import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { PeriodicTask } from '../../async/periodic-task.ts'
import type { RunEvery } from '../../async/timers.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import { auditEveryMs, auditMsMax, auditOneIn, auditsMax, secondHandUnitsMax } from './limits.ts'

/** A block that is to be compared. */
interface Audit {
  readonly memberId: string
  readonly image: Image
  readonly offset: number
  readonly length: number
  readonly sum: number
}

export interface SecondHandAuditContext {
  readonly logger: Logger
  readonly random: () => number
  readonly every?: RunEvery
  /** crc32c. */
  sumOf(bytes: Uint8Array): number
  /** Does nobody read now? */
  isIdle(): boolean
  /** Read from the origin of the image itself. @throws CacheError origin-*, image-changed */
  readOrigin(image: Image, offset: number, target: Uint8Array, signal: LightAbortSignal): Promise<void>
  /** A member lied: it is asked no more, and what it sent is dropped. */
  onLie(memberId: string, reason: string, units: readonly SecondHandUnit[]): void
}

export interface SecondHandUnit {
  readonly imageId: string
  readonly unit: number
}

export interface SecondHandCounters {
  readonly compared: number
  readonly different: number
  /** Samples that were left out because others waited. */
  readonly leftOut: number
  /** Units that are not remembered any more. */
  readonly forgottenUnits: number
}

export class SecondHandAudit {
  readonly #parts: SecondHandAuditContext
  readonly #units: LruMap<string, SecondHandUnit & { readonly memberId: string }>
  readonly #audits: Audit[] = []
  readonly #stop = new LightAbortSignal()
  readonly #task: PeriodicTask
  #counters = { compared: 0, different: 0, leftOut: 0, forgottenUnits: 0 }

  constructor(parts: SecondHandAuditContext) {
    this.#parts = parts
    this.#units = new LruMap(secondHandUnitsMax, { onLeave: () => void this.#counters.forgottenUnits++ })
    this.#task = new PeriodicTask(auditEveryMs, () => this.#auditOne(), parts.every)
  }

  get counters(): SecondHandCounters {
    return { ...this.#counters }
  }

  start(): void {
    this.#task.start()
  }

  /** A member has sent whole blocks of a unit. */
  received(memberId: string, image: Image, unit: number, offset: number, bytes: Uint8Array, blockBytes: number): void {
    this.#units.set(`${memberId} ${image.id}/${unit}`, { memberId, imageId: image.id, unit })
    for (let at = 0; at < bytes.length; at += blockBytes) {
      if (this.#parts.random() * auditOneIn >= 1) continue
      const block = bytes.subarray(at, at + blockBytes)
      const sum = this.#parts.sumOf(block)
      this.#audits.push({ memberId, image, offset: offset + at, length: block.length, sum })
      if (this.#audits.length <= auditsMax) continue
      this.#audits.shift()
      this.#counters.leftOut++
    }
  }

  /** Idempotent. */
  close(): void {
    this.#task.stop()
    this.#stop.abort()
  }

  /** The units that came from a member, which are forgotten. */
  takeUnitsOf(memberId: string): SecondHandUnit[] {
    const units = [...this.#units.values()].filter(unit => unit.memberId === memberId)
    for (const { imageId, unit } of units) this.#units.delete(`${memberId} ${imageId}/${unit}`)
    const kept = this.#audits.filter(other => other.memberId !== memberId)
    this.#audits.splice(0, this.#audits.length, ...kept)
    return units
  }

  async #auditOne(): Promise<void> {
    const audit = this.#parts.isIdle() ? this.#audits.shift() : undefined
    if (!audit) return
    const { memberId, image, offset, length, sum } = audit
    const target = Buffer.allocUnsafeSlow(length)
    const signal = new LightAbortSignal(this.#stop)
    const timer = setTimeout(() => signal.abort(), auditMsMax)
    try {
      await this.#parts.readOrigin(image, offset, target, signal)
    } catch {
      return // An origin that is away or has another version says nothing about the member.
    } finally {
      clearTimeout(timer)
      signal.end()
    }
    this.#counters.compared++
    if (this.#parts.sumOf(target) === sum) return
    this.#counters.different++
    const units = this.takeUnitsOf(memberId)
    const reason = `its block at ${offset} of ${image.key} is not the origin's`
    const facts = { member: memberId, image: image.key, offset, units: units.length }
    this.#parts.logger.error(facts, 'fleet member lied: it is asked no more, and its blocks are dropped')
    this.#parts.onLie(memberId, reason, units)
  }
}
