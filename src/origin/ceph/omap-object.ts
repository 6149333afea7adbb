/**
 * An object of a pool whose omap keeps small values by key, and its notices: as a registry uses it.
 *
 * Calls end in the time of the connection. A watch lives with the connection, and is made anew after its end.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { CephPool, CephWatch } from '../../native/ceph-types.ts'
import { CephConnection, type CephConnectionOptions } from './ceph-connection.ts'
import type { CephPlace } from './ceph-url.ts'
import { notifyMsMax } from './limits.ts'

export class OmapObject {
  readonly place: string
  readonly #object: string
  readonly #connection: CephConnection
  readonly #stop = new LightAbortSignal()
  #watch: CephWatch | null = null

  constructor(
    pool: Pick<CephPlace, 'cluster' | 'pool'>,
    object: string,
    options: Omit<CephConnectionOptions, 'readers'>,
  ) {
    const { cluster, pool: name } = pool
    this.place = `${name}/${object}`
    this.#object = object
    const place = { scheme: 'rados', cluster, pool: name, namespace: '', prefix: object } as const
    this.#connection = new CephConnection(`rados://${this.place}`, place, { ...options, readers: null })
  }

  /** Entries whose keys begin with `prefix`. @throws CacheError closed, access-denied, origin-* */
  async entries(prefix: string, countMax: number): Promise<readonly (readonly [key: string, value: string])[]> {
    const flat = await this.#call(pool => pool.omapEntries(this.#object, prefix, countMax))
    return Array.from({ length: flat.length / 2 }, (_, k) => [flat[2 * k]!, flat[2 * k + 1]!] as const)
  }

  /** @throws CacheError closed, access-denied, origin-* */
  set(key: string, value: string): Promise<void> {
    return this.#call(pool => pool.setOmapEntry(this.#object, key, value))
  }

  /** @throws CacheError closed, access-denied, origin-* */
  remove(key: string): Promise<void> {
    return this.#call(pool => pool.removeOmapEntry(this.#object, key))
  }

  /** Tell all that watch. @throws CacheError closed, access-denied, origin-* */
  notify(): Promise<void> {
    return this.#call(pool => pool.notifyWatchers(this.#object, notifyMsMax))
  }

  /** Resolves with the next notice. @throws CacheError what keeps it from watching, also the end of the watch */
  async noticed(): Promise<void> {
    this.#watch ??= await this.#call(pool => pool.watch(this.#object))
    const watch = this.#watch
    if (this.#stop.aborted) return this.#endWatch()
    try {
      await watch.next()
    } catch (error) {
      this.#endWatch()
      throw new CacheError('origin-failed', `${this.place}: ${messageOf(error)}`, { cause: error })
    }
  }

  /** Idempotent; ends in its time. */
  async close(): Promise<void> {
    this.#stop.abort()
    this.#endWatch()
    await this.#connection.close()
  }

  #endWatch(): void {
    this.#watch?.close()
    this.#watch = null
  }

  #call<T>(work: (pool: CephPool) => Promise<T>): Promise<T> {
    const signal = new LightAbortSignal()
    return this.#connection.use(this.place, signal, ({ pool }) =>
      this.#connection.answer(this.place, signal, work(pool)),
    )
  }
}
