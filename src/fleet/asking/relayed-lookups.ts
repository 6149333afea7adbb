/**
 * Relayed lookups: names asked of an origin by this host, or of a member where this host does not reach it.
 *
 * The origin is asked in any case. Members are asked beside it once it is known to be away or has said nothing for
 * seconds, and when it has failed. What the origin itself answers counts. A lookup for another host asks no member.
 */
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import type { RunAfter } from '../../async/timers.ts'
import { CacheError, isCacheError, mayPass, throwIfAborted } from '../../base/errors.ts'
import { profileSuffix } from '../../origin/contract/image-name.ts'
import type { FoundImage, Origin, ReadOptions } from '../../origin/contract/origin.ts'
import { isForeignOpener } from '../wire/wire.ts'
import { originLookMs, originSilentMs } from './limits.ts'
import type { MemberVersions, SecondHandFacts } from './member-versions.ts'
import type { OriginReach } from './relayed-origin.ts'

export interface RelayedLookupsContext {
  readonly inner: Pick<Origin, 'url' | 'lookup'>
  readonly reach: OriginReach
  readonly versions: Pick<MemberVersions, 'find'>
  readonly after: RunAfter
}

export class RelayedLookups {
  readonly #parts: RelayedLookupsContext

  constructor(parts: RelayedLookupsContext) {
    this.#parts = parts
  }

  /** @throws CacheError what the origin says */
  async lookup(key: string, options: ReadOptions): Promise<FoundImage> {
    const { inner, reach, versions, after } = this.#parts
    // A boot profile beside an image is asked of the group as one.
    if (isForeignOpener(options.opener) || key.endsWith(profileSuffix)) return await inner.lookup(key, options)
    const own = new LightAbortSignal(options.signal)
    const beside = new LightAbortSignal(options.signal)
    let telling: Promise<SecondHandFacts | null> | null = null
    const tell = () => {
      telling ??= versions.find(inner.url, key, beside)
      return telling
    }
    const cancel = after(reach.isAway() ? originLookMs : originSilentMs, () => {
      void tell().then(told => {
        if (!told || beside.aborted) return
        if (!reach.isAway()) reach.failed(new CacheError('origin-timeout', 'a member answered, and the origin did not'))
        own.abort()
      })
    })
    try {
      return await inner.lookup(key, { ...options, signal: own })
    } catch (error) {
      throwIfAborted(options.signal)
      const isAway = mayPass(error) || isCacheError(error, 'origin-away')
      const told = own.aborted || isAway ? await tell() : null
      throwIfAborted(options.signal)
      if (!told) throw error
      return told
    } finally {
      cancel()
      for (const signal of [own, beside]) {
        signal.abort()
        signal.end()
      }
    }
  }
}
