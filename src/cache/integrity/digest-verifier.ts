/**
 * Digest verifier: compares whole images with the digests of their publishers.
 *
 * An image is compared once, when it has become complete: the outcome is recorded and outlasts restarts. The bytes come
 * from the store, each block checked against its own checksum first, so that damage on our disk is never taken for the
 * publisher's. A digest that does not match is asked for once more, as its file may be replaced a moment after the
 * image. If it still does not match, the image is quarantined: nothing of it is served.
 */

import { createHash } from 'node:crypto'
import { NextRun } from '../../async/next-run.ts'
import { pause } from '../../async/pause.ts'
import { PeriodicTask } from '../../async/periodic-task.ts'
import { RatePacer } from '../../async/rate-pacer.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError, messageOf } from '../../base/errors.ts'
import { type Image, maskOf } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { DigestRecord } from '../../index/format/records.ts'
import type { IndexDatabase } from '../../index/index-database.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import { quarantine } from '../../store/quarantine.ts'
import type { Store } from '../../store/store.ts'
import { digestRetryMs, digestStartMs, hashPieceBytes, scrubBytesPerSecond, sickLookMs } from './limits.ts'

/** `unverified`: not complete yet, or its publisher could not be asked yet. */
export type DigestState = DigestRecord['state'] | 'unverified'

export interface DigestVerifierContext {
  readonly store: Store
  readonly index: IndexDatabase
  readonly logger: Logger
  /** @throws CacheError not-found when it is no longer configured */
  originOf(image: Image): Origin
  /** Milliseconds, never going back. */
  readonly now: () => number
}

export interface CompareOptions {
  readonly signal: CancelSignal
  /** After each piece, with its length; resolves when the next may be read. */
  readonly spend: (bytes: number) => Promise<void>
}

export class DigestVerifier {
  readonly #parts: DigestVerifierContext
  readonly #pace: RatePacer
  readonly #stop = new AbortController()
  readonly #records = new Map<string, DigestRecord | null>()
  /** Images whose comparison failed, and the time from which it may be tried again. */
  readonly #notBeforeMs = new Map<string, number>()
  readonly #checks = new PeriodicTask(digestStartMs, () => this.check())
  /** An image that becomes complete during a pass may be behind it: then another one follows. */
  readonly #passes = new NextRun(() => this.#pass())

  constructor(parts: DigestVerifierContext) {
    this.#parts = parts
    this.#pace = new RatePacer(scrubBytesPerSecond, parts.now)
  }

  /** From now on images are compared when they become complete, and a while later what a former run left to do. */
  start(): void {
    this.#checks.start()
  }

  state(image: Image): DigestState {
    return this.#record(image)?.state ?? 'unverified'
  }

  /** False when the image is quarantined. */
  isSound(image: Image): boolean {
    return this.#record(image)?.state !== 'mismatch'
  }

  /** @throws CacheError image-corrupt when the image is quarantined */
  mustBeSound(image: Image): void {
    const record = this.#record(image)
    if (record?.state !== 'mismatch') return
    const [why, what] =
      record.published === null
        ? ['it is damaged at its origin', 'publish the image again']
        : ["its bytes differ from its publisher's digest", 'publish the image again, or its right digest']
    throw new CacheError('image-corrupt', `${image.key}: ${why}: ${what}, and run "parentfs verify"`)
  }

  /** Compare what is complete and has not been compared, one after the other. Never rejects. */
  check(): void {
    if (!this.#checks.isStarted || this.#stop.signal.aborted) return
    void this.#passes.run()
  }

  /**
   * Compare one image now, whatever is recorded, and record what comes of it.
   * @throws CacheError image-changed, aborted, origin-*, index-failed
   */
  async compare(stored: StoredImage, options: CompareOptions): Promise<DigestState> {
    const { image } = stored
    const origin = this.#parts.originOf(image)
    const before = this.#record(image)
    const published = await origin.digest(image, options)
    if (!published) {
      if (before?.state === 'mismatch') return 'mismatch'
      return this.#conclude(stored, { state: 'none', algorithm: null, published: null, computed: null })
    }
    const { algorithm, hex } = published
    // Nothing of a quarantined image is here any more; what its bytes were is known.
    const isKnown = before?.state === 'mismatch' && before.algorithm === algorithm
    const computed = isKnown ? before.computed : await hashOf(stored, algorithm, options)
    if (computed === null) return 'unverified'
    if (computed === hex) return this.#conclude(stored, { state: 'verified', algorithm, published: hex, computed })
    const again = await origin.digest(image, options)
    if (again?.algorithm !== algorithm || again.hex === computed) return 'unverified'
    return this.#conclude(stored, { state: 'mismatch', algorithm, published: again.hex, computed })
  }

  /** Something else has shown that the image is not its publisher's: it is quarantined. Never rejects. */
  async condemn(stored: StoredImage, { message }: CacheError): Promise<void> {
    const { logger } = this.#parts
    const image = stored.image.key
    try {
      logger.error({ image, reason: message }, 'an image is damaged at its origin; its reads fail from now on')
      await this.#conclude(stored, { state: 'mismatch', algorithm: null, published: null, computed: null })
    } catch (error) {
      logger.error({ image, reason: messageOf(error) }, 'an image that is damaged could not be quarantined')
    }
  }

  /** The image has gone. */
  forget(imageId: string): void {
    this.#records.delete(imageId)
    this.#notBeforeMs.delete(imageId)
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#checks.stop()
    this.#stop.abort()
    await this.#passes.run() // It sees that it is to stop.
  }

  async #pass(): Promise<void> {
    const { store, logger, now } = this.#parts
    const { signal } = this.#stop
    const spend = (bytes: number) => this.#pace.spend(bytes, signal)
    for (const stored of [...store.images()]) {
      const { image } = stored
      while (store.health.state !== 'healthy' && !signal.aborted) await pause(sickLookMs, signal)
      if (signal.aborted) return
      try {
        if (!stored.complete || this.#record(image) || (this.#notBeforeMs.get(image.id) ?? 0) > now()) continue
        this.#notBeforeMs.set(image.id, now() + digestRetryMs)
        await this.compare(stored, { signal, spend })
      } catch (error) {
        if (signal.aborted) return
        const changed = isCacheError(error, 'image-changed')
        if (changed) this.#notBeforeMs.set(image.id, Number.POSITIVE_INFINITY)
        const level = isCacheError(error, 'origin-away') ? 'debug' : 'info'
        logger[level]({ image: image.key, reason: messageOf(error) }, 'the digest of an image could not be compared')
      }
    }
  }

  async #conclude(stored: StoredImage, record: DigestRecord): Promise<DigestState> {
    const { index, logger } = this.#parts
    const { image } = stored
    const fields = { image: image.key, ...record }
    // Retired meanwhile: its records are gone, and none may come after them.
    if (stored.usageGate.isClosed) return record.state
    // Recorded first: after a restart at this point it must not be served again.
    await index.putDigest(image.id, record)
    this.#records.set(image.id, record)
    if (record.state === 'mismatch') {
      if (record.published !== null) {
        logger.error(fields, 'an image differs from the digest that its publisher gives; its reads fail from now on')
      }
      await quarantine(stored)
    } else if (record.state === 'verified') {
      logger.info(fields, 'an image is what its publisher says')
    }
    return record.state
  }

  #record({ id }: Image): DigestRecord | null {
    const known = this.#records.get(id)
    if (known !== undefined) return known
    const recorded = this.#parts.index.digest(id)
    this.#records.set(id, recorded)
    return recorded
  }
}

/** The digest of all bytes in hex; null when the store does not hold them all, or no longer. */
async function hashOf(stored: StoredImage, algorithm: string, options: CompareOptions): Promise<string | null> {
  const { signal, spend } = options
  const { sizeBytes, blockBytes, objectBytes } = stored.geometry
  const hash = createHash(algorithm.replace('-', ''))
  const pieceBytes = Math.max(hashPieceBytes, blockBytes)
  const piece = Buffer.allocUnsafeSlow(pieceBytes)
  for (let at = 0; at < sizeBytes; at += pieceBytes) {
    if (signal.aborted) throw new CacheError('aborted', 'nobody waits for the digest any more')
    const target = piece.subarray(0, Math.min(pieceBytes, sizeBytes - at))
    const object = Math.floor(at / objectBytes)
    const first = Math.floor((at - object * objectBytes) / blockBytes)
    // Through the page cache: these are the bytes that are hashed, and served.
    await stored.scrub(object, maskOf({ first, count: Math.ceil(target.length / blockBytes) }), false)
    if (!(await stored.read(at, target))) return null
    hash.update(target)
    await spend(target.length)
  }
  return hash.digest('hex')
}
