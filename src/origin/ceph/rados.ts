/**
 * Plain objects of a Ceph pool as an origin: `rados://pool/prefix`, each object whose name begins with the prefix is an
 * image.
 *
 * A version is the object's own, which the cluster counts up at every write and compares with ours in the same
 * operation that reads. Pools have ids that are never used again.
 */
import { CacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import { listingNamesMax } from '../../base/limits.ts'
import type { Digest } from '../contract/digest.ts'
import { digestBesideObject } from '../contract/digest-beside.ts'
import { isImageName } from '../contract/image-name.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import type { Origin, OriginExtent, ReadOptions } from '../contract/origin.ts'
import { CephConnection, type CephConnectionOptions } from './ceph-connection.ts'
import { cephErrnoOf } from './ceph-errors.ts'
import { type CephPlace, cephPlaceOf, cephUrlOf } from './ceph-url.ts'

export class RadosOrigin implements Origin {
  readonly url: string
  readonly #place: CephPlace
  readonly #connection: CephConnection
  readonly #readers: ReaderTable | null

  /** @throws CacheError invalid-argument */
  constructor(url: string, options: CephConnectionOptions) {
    this.#place = cephPlaceOf(url)
    this.url = cephUrlOf(this.#place)
    this.#connection = new CephConnection(this.url, this.#place, options)
    this.#readers = options.readers
  }

  async list({ signal }: ReadOptions): Promise<readonly string[]> {
    return await this.#connection.use(this.url, signal, async ({ pool }) => {
      const listing = pool.objects(this.#place.prefix, listingNamesMax + 1)
      const names = await this.#connection.answer(this.url, signal, listing)
      // A pool that was removed and made anew looks empty, too.
      if (names.length === 0) this.#connection.renew()
      return names.filter(isImageName)
    })
  }

  async lookup(key: string, { signal }: ReadOptions): Promise<ImageFacts> {
    return await this.#connection.use(this.#subject(key), signal, async ({ pool }) => {
      if (!isImageName(key)) throw this.#missing(key)
      try {
        const asked = pool.statObject(this.#place.prefix + key)
        const { sizeBytes, modifiedMs, version } = await this.#connection.answer(this.#subject(key), signal, asked)
        return { origin: this.url, key, sizeBytes, modifiedMs, validator: [pool.id, version, modifiedMs].join('-') }
      } catch (error) {
        throw cephErrnoOf(error) === 'ENOENT' ? this.#missing(key, error) : error
      }
    })
  }

  async read(image: Image, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    await this.#connection.use(this.#subject(image.key), signal, async ({ pool }) => {
      if (target.length === 0) return
      const [poolId, version = ''] = image.validator.split('-')
      if (poolId !== String(pool.id)) throw this.#changed(image)
      const name = this.#place.prefix + image.key
      const read = pool.readObject(name, BigInt(version), offset, target)
      try {
        await this.#connection.answers(this.#subject(image.key), signal, [read])
        this.#readers?.offer(image.id, pool, () => pool.source(name, BigInt(version)))
      } catch (error) {
        throw isAnother(error) ? this.#changed(image, error) : error
      }
    })
  }

  /** Not known: the C interface says nothing of the holes in an object. */
  async extentAt(_image: Image, _offset: number, { signal }: ReadOptions): Promise<OriginExtent | null> {
    throwIfAborted(signal)
    return null
  }

  digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    return digestBesideObject(this, image, options)
  }

  close(): Promise<void> {
    return this.#connection.close()
  }

  #subject(key: string): string {
    return `${this.url} ${key}`
  }

  #missing(key: string, cause?: unknown): CacheError {
    return new CacheError('not-found', `${this.url}: has no image ${JSON.stringify(key)}`, { cause })
  }

  #changed(image: Image, cause?: unknown): CacheError {
    const message = `${this.#subject(image.key)}: is no longer the version that was opened`
    return new CacheError('image-changed', message, { cause })
  }
}

/** Does the cluster say that the object has another version, is shorter, or is none? */
function isAnother(error: unknown): boolean {
  return ['EOVERFLOW', 'ERANGE', 'ESTALE', 'ENOENT'].includes(cephErrnoOf(error) ?? '')
}
