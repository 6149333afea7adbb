/**
 * One connection to a pool of a Ceph cluster: made when it is first needed, made anew when the cluster has shut it out.
 *
 * Whatever the library does, every call ends in its time: what hangs is left to the connection's own threads.
 */

import { abortable } from '../../async/abortable.ts'
import { OpenDescriptors } from '../../async/open-descriptors.ts'
import { withTimeout } from '../../async/with-timeout.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, throwIfAborted } from '../../base/errors.ts'
import { originDescriptorsMax } from '../../base/limits.ts'
import type { CephAddon, CephCluster, CephImage, CephOptions, CephPool, CephRead } from '../../native/ceph-types.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import { cephErrnoOf, cephError, connectError } from './ceph-errors.ts'
import type { CephPlace } from './ceph-url.ts'
import { cephCallsWaitingMax, cephCloseMsMax, cephThreads } from './limits.ts'

export interface CephConnectionOptions {
  readonly addon: CephAddon
  /** `client.ID`; null is `admin`, as everywhere in Ceph. */
  readonly id: string | null
  /** null: where Ceph looks by default. */
  readonly configurationFile: string | null
  readonly keyring: string | null
  /** The time that one call may take. */
  readonly callMsMax: number
  /** Takes the readers for native threads; null for none. */
  readonly readers: ReaderTable | null
}

/** The parts of a connection, as long as it lasts. */
export interface CephSession {
  readonly pool: CephPool
  /** Open images, by version. */
  readonly images: OpenDescriptors<CephImage>
}

interface OpenSession extends CephSession {
  readonly cluster: CephCluster
}

export class CephConnection {
  readonly #url: string
  readonly #place: CephPlace
  readonly #options: CephConnectionOptions
  #session: Promise<OpenSession> | null = null
  #closing: Promise<void> | null = null

  /** @param url for messages */
  constructor(url: string, place: CephPlace, options: CephConnectionOptions) {
    this.#url = url
    this.#place = place
    this.#options = options
  }

  /**
   * Call `work` with the session, which is made if there is none.
   * @throws CacheError aborted, closed, access-denied, origin-*, or what `work` throws, in our words
   */
  async use<T>(subject: string, signal: CancelSignal, work: (session: CephSession) => Promise<T>): Promise<T> {
    throwIfAborted(signal)
    if (this.#closing !== null) throw new CacheError('closed', `${this.#url}: has been closed`)
    const opening = this.#session ?? this.#begin()
    const session = await abortable(opening, signal)
    try {
      return await work(session)
    } catch (cause) {
      // A client that was shut out stays so: only another one is let in.
      if (cephErrnoOf(cause) === 'ESHUTDOWN') this.#forget(opening)
      throw withThreads(cephError(subject, cause), session.cluster.running())
    }
  }

  /** The answer of a call, as long as it is waited for and comes in time. */
  async answer<T>(subject: string, signal: CancelSignal, call: Promise<T>): Promise<T> {
    const ms = this.#options.callMsMax
    const late = () => new CacheError('origin-timeout', `${subject}: the cluster did not answer in ${ms} ms`)
    return await abortable(withTimeout(ms, call, late), signal)
  }

  /** The same for reads: none of them touches its target when this has settled. */
  async answers<T>(subject: string, signal: CancelSignal, reads: readonly CephRead<T>[]): Promise<T[]> {
    try {
      return await this.answer(subject, signal, Promise.all(reads.map(({ done }) => done)))
    } catch (error) {
      for (const read of reads) read.leave()
      throw error
    }
  }

  /** The pool is not what it was: ask for it by name again, next time. */
  renew(): void {
    if (this.#session !== null) this.#forget(this.#session)
  }

  /** Idempotent; ends in its time. */
  close(): Promise<void> {
    this.#closing ??= this.#session === null ? Promise.resolve() : end(this.#session)
    return this.#closing
  }

  #begin(): Promise<OpenSession> {
    const opening = this.#connect()
    this.#session = opening
    opening.catch(() => {
      if (this.#session === opening) this.#session = null
    })
    return opening
  }

  #forget(opening: Promise<OpenSession>): void {
    if (this.#session !== opening) return
    this.#session = null
    void end(opening) // Never rejects.
  }

  async #connect(): Promise<OpenSession> {
    const { addon, callMsMax, configurationFile } = this.#options
    const { cluster: name, pool: poolName, namespace } = this.#place
    const late = () => new CacheError('origin-unreachable', `${this.#url}: no connection in ${callMsMax} ms`)
    const connecting = addon.connect(this.#clusterOptions()).then(async cluster => {
      try {
        const pool = await cluster.openPool(poolName, namespace)
        return { cluster, pool, images: new OpenDescriptors<CephImage>(originDescriptorsMax) }
      } catch (error) {
        void cluster.close() // It is not waited for, and gives no errors.
        throw error
      }
    })
    try {
      return await withTimeout(callMsMax, connecting, late)
    } catch (cause) {
      // One that comes late is of no use; its failure is the one that is thrown here.
      void connecting.then(session => end(Promise.resolve(session))).catch(() => {})
      throw connectError(this.#url, configurationFile ?? `/etc/ceph/${name}.conf`, cause)
    }
  }

  #clusterOptions(): CephOptions {
    const { id, configurationFile, keyring, callMsMax } = this.#options
    const seconds = String(Math.max(1, Math.ceil(callMsMax / 1000)))
    const options = {
      // So that calls end of themselves, and their threads come back.
      client_mount_timeout: seconds,
      rados_mon_op_timeout: seconds,
      rados_osd_op_timeout: seconds,
      ...mapOptions(callMsMax),
      // We cache and read ahead ourselves.
      rbd_cache: 'false',
      rbd_readahead_max_bytes: '0',
      // Reads are sent by a thread that may wait: another one of the library's own in between is one too many.
      rbd_non_blocking_aio: 'false',
      // Failures come back as errors.
      log_to_stderr: 'false',
      err_to_stderr: 'false',
      ...(keyring === null ? {} : { keyring }),
    }
    return {
      cluster: this.#place.cluster,
      user: `client.${id ?? 'admin'}`,
      configurationFile,
      options: Object.entries(options).flat(),
      threads: cephThreads,
      waitingMax: cephCallsWaitingMax,
    }
  }
}

/** End a connection, or leave it to its threads when that takes too long. Never rejects. */
async function end(opening: Promise<OpenSession>): Promise<void> {
  const ended = opening.then(async ({ cluster, pool, images }) => {
    await images.close()
    pool.close()
    await cluster.close()
  })
  await withTimeout(cephCloseMsMax, ended, () => new Error('late')).catch(() => {})
}

/**
 * The library asks for the cluster's map where a call is late to it, at a look now and then. Our calls end before its
 * own times for that: an OSD that comes back at another address would stay unknown.
 * Source: Ceph src/osdc/Objecter.cc, tick; src/common/options.cc: objecter_timeout (10 s), objecter_tick_interval
 * (5 s).
 */
function mapOptions(callMsMax: number): Record<string, string> {
  const seconds = callMsMax / 1000
  return { objecter_timeout: String(seconds / 2), objecter_tick_interval: String(seconds / 4) }
}

/** Adds the number of calls that the library has not come back from to the error of a late one. */
function withThreads(error: CacheError, running: number): CacheError {
  if (error.code !== 'origin-timeout' || running === 0) return error
  const message = `${error.message}; ${running} of ${cephThreads} threads wait for the library`
  return new CacheError(error.code, message, { cause: error })
}
