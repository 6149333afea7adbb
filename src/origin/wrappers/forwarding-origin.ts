/**
 * Forwarding origin: the base of a wrapper, whose calls go on to the Origin inside. A wrapper overrides {@link
 * ForwardingOrigin.forward}, which all calls but `close` pass through, or single calls that need more.
 */

import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Digest } from '../contract/digest.ts'
import type { FoundImage, Origin, OriginExtent, OwnFile, ReadOptions, TakeBytes } from '../contract/origin.ts'

type Untold = 'url' | 'isHierarchical' | 'hasOwnFiles' | 'openFile' | 'publicUrlOf' | 'describe' | 'close'

export type OriginOperation = Exclude<keyof Origin, Untold>

/** One call of any operation, on an origin that a wrapper chooses and with options that it may change. */
export type OriginCall<T> = (origin: Origin, options: ReadOptions) => Promise<T>

export abstract class ForwardingOrigin implements Origin {
  readonly url: string
  /** Calls go to this one. */
  protected inner: Origin

  constructor(inner: Origin) {
    this.url = inner.url
    this.inner = inner
  }

  get isHierarchical(): boolean {
    return this.inner.isHierarchical === true
  }

  get hasOwnFiles(): boolean {
    return this.inner.hasOwnFiles === true
  }

  list(options: ReadOptions): Promise<readonly string[] | null> {
    return this.forward('list', (origin, options) => origin.list(options), options)
  }

  lookup(key: string, options: ReadOptions): Promise<FoundImage> {
    return this.forward('lookup', (origin, options) => origin.lookup(key, options), options)
  }

  read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    return this.forward('read', (origin, options) => origin.read(image, offset, target, options), options)
  }

  readWhole(image: Image, take: TakeBytes, options: ReadOptions): Promise<void> {
    return this.forward('readWhole', (origin, options) => readWholeOf(origin, image, take, options), options)
  }

  extentAt(image: Image, offset: number, options: ReadOptions): Promise<OriginExtent | null> {
    return this.forward('extentAt', (origin, options) => origin.extentAt(image, offset, options), options)
  }

  digest(image: Image, options: ReadOptions): Promise<Digest | null> {
    return this.forward('digest', (origin, options) => origin.digest(image, options), options)
  }

  /** It counts as a lookup: that is the work that the origin has with it. */
  openFile(image: Image, options: ReadOptions): Promise<OwnFile | null> {
    return this.forward('lookup', async (origin, own) => (await origin.openFile?.(image, own)) ?? null, options)
  }

  publicUrlOf(image: Image): string | null {
    return this.inner.publicUrlOf?.(image) ?? null
  }

  describe(image: Image): Readonly<Record<string, string>> | null {
    return this.inner.describe?.(image) ?? null
  }

  close(): Promise<void> {
    return this.inner.close()
  }

  /** Make one call. What throws at once in here is no rejection: an override sees to that. */
  protected forward<T>(_operation: OriginOperation, call: OriginCall<T>, options: ReadOptions): Promise<T> {
    return call(this.inner, options)
  }
}

/** {@link Origin.readWhole} of an origin that may lack it. @throws CacheError origin-unsupported */
export async function readWholeOf(origin: Origin, image: Image, take: TakeBytes, options: ReadOptions): Promise<void> {
  if (origin.readWhole) return await origin.readWhole(image, take, options)
  throw new CacheError('origin-unsupported', `${origin.url}: ${image.key} can only be read by ranges`)
}
