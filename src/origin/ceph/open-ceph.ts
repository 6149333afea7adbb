/** Opens the origin of a URL in a Ceph cluster: images of a pool, or plain objects. */
import { CacheError, messageOf } from '../../base/errors.ts'
import type { CephAddon } from '../../native/ceph-types.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import type { Origin } from '../contract/origin.ts'
import type { ParentFinder } from '../contract/parent-finder.ts'
import { cephPlaceOf, cephUrlOf } from './ceph-url.ts'
import { RadosOrigin } from './rados.ts'
import { type RbdOptions, RbdOrigin } from './rbd.ts'

export type CephOriginOptions = Pick<RbdOptions, 'id' | 'configurationFile' | 'keyring' | 'allowMutable'>

const optionsDefault: CephOriginOptions = { id: null, configurationFile: null, keyring: null, allowMutable: false }

export interface CephOriginContext {
  /** @throws Error saying what is missing */
  readonly loadCeph: () => CephAddon
  readonly readers: ReaderTable | null
  /** Takes what finds the parents of clones, of images of a pool. */
  readonly onParentFinder: (finder: ParentFinder) => void
  readonly ceph: Partial<CephOriginOptions>
  /** The time that one read may take, all tries together. */
  readonly missMsMax: number
}

/** @throws CacheError invalid-argument when a library of Ceph's is missing */
export function cephOriginOf(
  url: string,
  { loadCeph, readers, onParentFinder, ...options }: CephOriginContext,
): Origin {
  const place = cephPlaceOf(url)
  let addon: CephAddon
  try {
    addon = loadCeph()
  } catch (cause) {
    throw new CacheError('invalid-argument', `${cephUrlOf(place)}: ${messageOf(cause)}`, { cause })
  }
  // As with a web server: several tries in the time of a read.
  const callMsMax = Math.ceil(options.missMsMax / 3)
  const given = { ...optionsDefault, ...options.ceph, addon, callMsMax, readers }
  if (place.scheme === 'rados') return new RadosOrigin(url, given)
  const origin = new RbdOrigin(url, given)
  onParentFinder(origin)
  return origin
}
