/**
 * URLs of images and objects in a Ceph cluster, and the one way to write each. Pure.
 *
 * `rbd://pool/`, `rbd://pool/namespace/`, and with three parts, the last of which may be empty,
 * `rbd://cluster/pool/namespace/`. `rados://pool/prefix`, `rados://pool/namespace/prefix`; the namespace may be empty,
 * so that a prefix can have slashes. `?cluster=NAME` names another cluster than `ceph` there.
 */
import { CacheError } from '../../base/errors.ts'

/** The place of images in a cluster. */
export interface CephPlace {
  readonly scheme: 'rbd' | 'rados'
  /** The name in `/etc/ceph/NAME.conf`. */
  readonly cluster: string
  readonly pool: string
  /** Empty: the default one. */
  readonly namespace: string
  /** The prefix of object names; empty for images. */
  readonly prefix: string
}

/** Settings that may stand in place of parts of the URL; non-text values were judged elsewhere. */
export interface CephBeside {
  readonly cluster?: unknown
  readonly namespace?: unknown
}

const clusterDefault = 'ceph'

/** Is it a URL of ours? */
export function isCephUrl(url: string): boolean {
  return /^(rbd|rados):/i.test(url)
}

/**
 * Parses a URL.
 * @throws CacheError invalid-argument
 */
export function cephPlaceOf(url: string): CephPlace {
  const wrong = (advice: string) => new CacheError('invalid-argument', `${shownUrl(url)}: ${advice}`)
  const images = /^rbd:\/\/([^?#]*)$/i.exec(url)
  const objects = /^rados:\/\/([^?#]*)(?:\?cluster=([^?#&]*))?$/i.exec(url)
  if (images === null && objects === null) throw wrong('write it like rbd://pool/ or rados://pool/prefix')
  const place = images === null ? ofObjects(objects![1]!, objects![2], wrong) : ofImages(images[1]!, wrong)
  const { pool, cluster } = place
  if (pool === '') throw wrong('it names no pool: write it like rbd://pool/')
  if (!/^[\w.-]+$/.test(cluster)) throw wrong('the name of a cluster is made of letters, digits, dots and dashes')
  return place
}

/** The one way to write it. */
export function cephUrlOf({ scheme, cluster, pool, namespace, prefix }: CephPlace): string {
  const written = (...parts: readonly string[]) => `${scheme}://${parts.map(encodeURIComponent).join('/')}`
  const isDefault = cluster === clusterDefault
  if (scheme === 'rbd') {
    if (!isDefault) return `${written(cluster, pool, namespace)}/`
    return namespace === '' ? `${written(pool)}/` : `${written(pool, namespace)}/`
  }
  // Slashes of a prefix stay readable.
  const end = `/${prefix.split('/').map(encodeURIComponent).join('/')}${isDefault ? '' : `?cluster=${cluster}`}`
  return namespace === '' && !prefix.includes('/') ? `${written(pool)}${end}` : `${written(pool, namespace)}${end}`
}

/**
 * The URL with what is said beside it.
 * @throws CacheError invalid-argument, also when both say something else
 */
export function cephUrlWith(url: string, beside: CephBeside): string {
  const place = cephPlaceOf(url)
  const cluster = typeof beside.cluster === 'string' ? beside.cluster : place.cluster
  const namespace = typeof beside.namespace === 'string' ? beside.namespace : place.namespace
  const clashes =
    (place.cluster !== clusterDefault && cluster !== place.cluster) ||
    (place.namespace !== '' && namespace !== place.namespace)
  if (clashes)
    throw new CacheError('invalid-argument', `${shownUrl(url)}: its settings name another place: say it once`)
  return cephUrlOf(cephPlaceOf(cephUrlOf({ ...place, cluster, namespace })))
}

type Wrong = (advice: string) => CacheError

function ofImages(path: string, wrong: Wrong): CephPlace {
  const [first = '', second = '', ...rest] = path.split('/').map(part => decoded(part, wrong))
  const images = { scheme: 'rbd', prefix: '' } as const
  if (rest.at(-1) === '') rest.pop()
  // rbd://cluster/pool// has nothing but its last slash after the empty namespace.
  const hasThree = rest.length > 0 || path.endsWith('//')
  if (rest.length > 1) throw wrong('it has too many parts: write rbd://cluster/pool/namespace/ at most')
  if (hasThree) return { ...images, cluster: first, pool: second, namespace: rest[0] ?? '' }
  return { ...images, cluster: clusterDefault, pool: first, namespace: second }
}

function ofObjects(path: string, cluster: string | undefined, wrong: Wrong): CephPlace {
  const [pool = '', ...rest] = path.split('/').map(part => decoded(part, wrong))
  const objects = { scheme: 'rados', cluster: cluster ?? clusterDefault, pool } as const
  if (rest.length <= 1) return { ...objects, namespace: '', prefix: rest[0] ?? '' }
  return { ...objects, namespace: rest[0]!, prefix: rest.slice(1).join('/') }
}

function decoded(text: string, wrong: Wrong): string {
  try {
    const plain = decodeURIComponent(text)
    if (!/[\0/@]/.test(plain)) return plain
  } catch {}
  throw wrong('a part of it has a character that no name may have')
}

/** Without whatever might be a password in it. */
function shownUrl(url: string): string {
  return url.replace(/[?#].*$/s, '').replace(/\/\/[^/]*@/, '//')
}
