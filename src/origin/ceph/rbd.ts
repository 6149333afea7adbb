/**
 * Images of a Ceph pool as an origin: `rbd://pool/`, snapshots as `image@snapshot`.
 *
 * A version is an image id and a snapshot id, neither of which is ever used again. A snapshot that is deleted while it
 * is read does not make reads fail by itself: its objects are missing from then on, which librbd takes for zeros, or
 * for the parent's bytes in a clone. So such bytes are believed only after the image's header has said, afterwards,
 * that the snapshot is still there.
 */

import { abortable } from '../../async/abortable.ts'
import { NextRun } from '../../async/next-run.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, isCacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import { listingNamesMax } from '../../base/limits.ts'
import type { CephImage, CephImageDescription } from '../../native/ceph-types.ts'
import type { ParentName } from '../../native/librbd.ts'
import type { Digest } from '../contract/digest.ts'
import { isImageName } from '../contract/image-name.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import type { Origin, OriginExtent, ReadOptions } from '../contract/origin.ts'
import type { FoundParent, ParentFinder, ParentRefusal } from '../contract/parent-finder.ts'
import { CephConnection, type CephConnectionOptions, type CephSession } from './ceph-connection.ts'
import { cephErrnoOf } from './ceph-errors.ts'
import { cephPlaceOf, cephUrlOf } from './ceph-url.ts'
import { rbdDescribedAtOnce } from './limits.ts'
import { RbdHoles } from './rbd-holes.ts'
import { namesOf, parentOf, partsOfName, rbdValidatorOf, versionOf } from './rbd-names.ts'
import { findRbdParent, hasRbdParent } from './rbd-parents.ts'

export interface RbdOptions extends CephConnectionOptions {
  /** Show images as they are now where no snapshot stands for them: they must not be written to. */
  readonly allowMutable: boolean
}

/** The parts of an open image. */
interface Known {
  readonly holes: RbdHoles
  /** Resolves when the version was there after the call. */
  readonly confirmed: NextRun
}

export class RbdOrigin implements Origin, ParentFinder {
  readonly url: string
  readonly #connection: CephConnection
  readonly #namespace: string
  readonly #allowMutable: boolean
  readonly #readers: ReaderTable | null
  readonly #known = new WeakMap<CephImage, Known>()

  /** @throws CacheError invalid-argument */
  constructor(url: string, options: RbdOptions) {
    const place = cephPlaceOf(url)
    this.url = cephUrlOf(place)
    this.#connection = new CephConnection(this.url, place, options)
    this.#namespace = place.namespace
    this.#allowMutable = options.allowMutable
    this.#readers = options.readers
  }

  async list({ signal }: ReadOptions): Promise<readonly string[]> {
    const connection = this.#connection
    return await connection.use(this.url, signal, async ({ pool }) => {
      const images = await connection.answer(this.url, signal, pool.images())
      // A pool that was removed and made anew looks empty, too.
      if (images.length === 0) connection.renew()
      const listed: string[] = []
      const describe = async ({ id, name }: { readonly id: string; readonly name: string }) => {
        if (listed.length > listingNamesMax) return
        // Most images of a pool are clones without snapshots: one quick question tells them from the others.
        const snapshots = await connection.answer(this.url, signal, pool.snapshotIds(id))
        if (snapshots.length === 0 && !this.#allowMutable) return
        const description = await connection.answer(this.url, signal, pool.describeImage(name))
        if (description.id === id) listed.push(...namesOf(name, description, this.#allowMutable))
      }
      const waiting = images.values()
      const work = async () => {
        for (const image of waiting) await describe(image).catch(unlessMissing)
      }
      await Promise.all(Array.from({ length: rbdDescribedAtOnce }, work))
      return listed
    })
  }

  async lookup(key: string, { signal }: ReadOptions): Promise<ImageFacts> {
    throwIfAborted(signal)
    const { image, snapshot } = partsOfName(key)
    const subject = `${this.url}${key}`
    return await this.#connection.use(subject, signal, async ({ pool }) => {
      if (!isImageName(key) || image === '') throw this.#missing(key)
      try {
        const description = await this.#connection.answer(subject, signal, pool.describeImage(image))
        return this.#factsOf(key, snapshot, description)
      } catch (error) {
        throw cephErrnoOf(error) === 'ENOENT' ? this.#missing(key, error) : error
      }
    })
  }

  async read(image: Image, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    const subject = `${this.url}${image.key}`
    await this.#use(image, signal, async (opened, { holes, confirmed }) => {
      if (target.length === 0) return
      const ranges =
        versionOf(image.validator).snapshot === 0n
          ? [{ from: offset, to: offset + target.length }]
          : holes.dataIn(offset, offset + target.length)
      let zerosFrom = offset
      for (const { from, to } of [...ranges, { from: offset + target.length, to: 0 }]) {
        target.fill(0, zerosFrom - offset, from - offset)
        zerosFrom = to
      }
      const reads = ranges.map(({ from, to }) => opened.read(from, target.subarray(from - offset, to - offset)))
      const hasZeros = await this.#connection.answers(subject, signal, reads)
      if (opened.hasParent || hasZeros.includes(true)) await abortable(confirmed.run(), signal)
    })
  }

  async extentAt(image: Image, offset: number, { signal }: ReadOptions): Promise<OriginExtent | null> {
    throwIfAborted(signal)
    if (offset >= image.sizeBytes || versionOf(image.validator).snapshot === 0n) return null
    const subject = `${this.url}${image.key}`
    return await this.#use(image, signal, async (_, { holes }) => {
      return await this.#connection.answer(subject, signal, holes.extentAt(offset))
    })
  }

  /** None: RBD has no place for the digest of a snapshot. */
  async digest(image: Image, { signal }: ReadOptions): Promise<Digest | null> {
    throwIfAborted(signal)
    return await this.#connection.use(`${this.url}${image.key}`, signal, async () => null)
  }

  findParent(name: ParentName, { signal }: ReadOptions): Promise<FoundParent | ParentRefusal | null> {
    return findRbdParent(this.#connection, { url: this.url, namespace: this.#namespace }, name, signal)
  }

  hasParent(name: ParentName, { signal }: ReadOptions): Promise<boolean> {
    return hasRbdParent(this.#connection, this.url, name, signal)
  }

  close(): Promise<void> {
    return this.#connection.close()
  }

  /** Call `work` with the open image of exactly this version. */
  async #use<T>(image: Image, signal: CancelSignal, work: (opened: CephImage, known: Known) => Promise<T>): Promise<T> {
    const subject = `${this.url}${image.key}`
    return await this.#connection.use(subject, signal, async session => {
      try {
        return await session.images.use(
          image.id,
          () => this.#open(image, session),
          async opened => {
            throwIfAborted(signal)
            return await work(opened, this.#known.get(opened)!)
          },
        )
      } catch (error) {
        if (!isCacheError(error, 'image-changed') && !isGone(error)) throw error
        await session.images.drop(image.id)
        throw isCacheError(error) ? error : this.#changed(image, error)
      }
    })
  }

  async #open(image: Image, { pool }: CephSession): Promise<CephImage> {
    const { imageId, snapshot } = versionOf(image.validator)
    const subject = `${this.url}${image.key}`
    const opening = pool.openImage(imageId, snapshot)
    // A waiter may leave: its signal is not ours, because others may wait as well.
    const opened = await this.#connection.answer(subject, new AbortController().signal, opening).catch(error => {
      void opening.then(late => late.close()).catch(() => {}) // Its waiters have left.
      throw error
    })
    if (opened.sizeBytes !== image.sizeBytes) {
      opened.close()
      throw this.#changed(image)
    }
    const confirmed = new NextRun(async () => {
      const ids = await this.#connection.answer(subject, new AbortController().signal, pool.snapshotIds(imageId))
      if (snapshot !== 0n && !ids.includes(snapshot)) throw this.#changed(image)
    })
    if (snapshot !== 0n) this.#readers?.set(image.id, opened.source())
    this.#known.set(opened, { holes: new RbdHoles(opened, () => confirmed.run()), confirmed })
    return opened
  }

  /** @throws CacheError not-found, origin-unsupported */
  #factsOf(key: string, snapshotName: string | null, description: CephImageDescription): ImageFacts {
    const { id, sizeBytes, modifiedMs, snapshots } = description
    if (id === '') {
      const advice = 'an image of the first format has no id, which tells versions apart: copy it to a new one'
      throw new CacheError('origin-unsupported', `${this.url}${key}: ${advice}`)
    }
    const snapshot =
      snapshotName === null ? parentOf(description) : (snapshots.find(({ name }) => name === snapshotName) ?? null)
    if (snapshot !== null) {
      const validator = rbdValidatorOf({ imageId: id, snapshot: snapshot.id }, 0)
      return { origin: this.url, key, sizeBytes: snapshot.sizeBytes, validator, modifiedMs: snapshot.createdMs }
    }
    if (snapshotName !== null) throw this.#missing(key)
    if (!this.#allowMutable) {
      const advice = `it has not one protected snapshot, and parents must not change: open ${key}@SNAPSHOT, protect one, or set allowMutable`
      throw new CacheError('origin-unsupported', `${this.url}${key}: ${advice}`)
    }
    const validator = rbdValidatorOf({ imageId: id, snapshot: 0n }, modifiedMs)
    return { origin: this.url, key, sizeBytes, validator, modifiedMs }
  }

  #missing(key: string, cause?: unknown): CacheError {
    return new CacheError('not-found', `${this.url}: has no image ${JSON.stringify(key)}`, { cause })
  }

  #changed(image: Image, cause?: unknown): CacheError {
    const message = `${this.url}${image.key}: the snapshot or image that was opened is no longer there`
    return new CacheError('image-changed', message, { cause })
  }
}

/** Is it said of something that is no longer there, or no longer as long as it was? */
function isGone(error: unknown): boolean {
  return ['ENOENT', 'ESTALE'].includes(cephErrnoOf(error) ?? '')
}

/** An image that was removed while it was listed is no error. */
function unlessMissing(error: unknown): void {
  if (cephErrnoOf(error) !== 'ENOENT') throw error
}
