/**
 * Parents in a pool, by the names that librbd has for them: the id of the image is in the name of its objects.
 *
 * Objects are those of the snapshot only if it is still there after all was read: librbd takes objects that have gone
 * for zeros.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import type { CephImage, CephLayout } from '../../native/ceph-types.ts'
import type { ParentName } from '../../native/librbd.ts'
import type { FoundParent, ParentRefusal } from '../contract/parent-finder.ts'
import type { CephConnection } from './ceph-connection.ts'
import { cephErrnoOf } from './ceph-errors.ts'
import { parentObjectsMax } from './limits.ts'
import { parentOf, rbdValidatorOf } from './rbd-names.ts'

/** An image and, where its objects lie in another pool, the pool that has the image. */
export interface ParentPrefix {
  readonly imageId: string
  readonly poolId: bigint | null
}

/** Source: Ceph src/librbd/image/CreateRequest.cc, `rbd_data.ID` and `rbd_data.POOL.ID`. */
export function partsOfPrefix(prefix: string): ParentPrefix | null {
  const [, poolId, imageId] = /^rbd_data\.(?:(\d{1,19})\.)?([0-9a-f]{1,64})$/.exec(prefix) ?? []
  return imageId === undefined ? null : { imageId, poolId: poolId === undefined ? null : BigInt(poolId) }
}

/** Bytes at the front that tell encryption. */
const headBytes = 4096

/**
 * The first bytes of an encrypted image. Source: Ceph src/librbd/crypto/luks/Magic.cc: LUKS, and RBDL in a clone that
 * was formatted by itself.
 */
const magics = ['LUKS\xba\xbe', 'RBDL\xba\xbe']

export interface RbdParentPlace {
  readonly url: string
  readonly namespace: string
}

/** @returns null when it is of another pool or namespace. @throws CacheError origin-*, aborted */
export function findRbdParent(
  connection: CephConnection,
  { url, namespace }: RbdParentPlace,
  name: ParentName,
  signal: CancelSignal,
): Promise<FoundParent | ParentRefusal | null> {
  const prefix = partsOfPrefix(name.prefix)
  if (prefix === null) return Promise.resolve('unsupported')
  if (name.namespace !== namespace) return Promise.resolve(null)
  const subject = `${url}${name.prefix}@${name.snapshotId}`
  return connection.use(subject, signal, async ({ pool }) => {
    if ((prefix.poolId ?? name.poolId) !== BigInt(pool.id)) return null
    const exists = () => hasRbdParent(connection, url, name, signal)
    if (!(await exists())) return 'gone'
    const image = await connection.answer(subject, signal, pool.openImage(prefix.imageId, name.snapshotId))
    try {
      const layout = await connection.answer(subject, signal, image.layout())
      const refusal = refusalOf(layout, image, name)
      if (refusal !== null) return refusal
      const head = new Uint8Array(Math.min(headBytes, image.sizeBytes))
      await connection.answers(subject, signal, [image.read(0, head)])
      const start = Buffer.from(head).toString('latin1')
      if (magics.some(magic => start.startsWith(magic))) return 'encrypted'
      const { snapshots } = await connection.answer(subject, signal, pool.describeImage(layout.name))
      const snapshot = snapshots.find(({ id }) => id === name.snapshotId)
      // Deleted, and kept for its clones alone: it has no name by which it could be opened.
      if (snapshot === undefined) return 'gone'
      const existing = await connection.answer(subject, signal, existingObjects(image, layout))
      if (!(await exists())) return 'gone'
      const keys = [`${layout.name}@${snapshot.name}`]
      if (parentOf({ snapshots })?.id === snapshot.id) keys.push(layout.name)
      const validator = rbdValidatorOf({ imageId: prefix.imageId, snapshot: snapshot.id }, 0)
      return { keys, validator, sizeBytes: image.sizeBytes, objectBytes: layout.objectBytes, existing }
    } finally {
      image.close()
    }
  })
}

/** Is the snapshot still there? @throws CacheError origin-*, aborted */
export async function hasRbdParent(
  connection: CephConnection,
  url: string,
  { prefix, snapshotId }: ParentName,
  signal: CancelSignal,
): Promise<boolean> {
  const imageId = partsOfPrefix(prefix)?.imageId ?? ''
  const subject = `${url}${prefix}@${snapshotId}`
  return await connection.use(subject, signal, async ({ pool }) => {
    try {
      return (await connection.answer(subject, signal, pool.snapshotIds(imageId))).includes(snapshotId)
    } catch (error) {
      if (cephErrnoOf(error) === 'ENOENT') return false
      throw error
    }
  })
}

function refusalOf(layout: CephLayout, image: CephImage, name: ParentName): ParentRefusal | null {
  if (layout.isMigrating) return 'migrating'
  if (layout.stripeCount !== 1) return 'striped'
  if (layout.prefix !== name.prefix || layout.dataPoolId !== name.poolId) return 'unsupported'
  return image.sizeBytes / layout.objectBytes > parentObjectsMax || image.sizeBytes === 0 ? 'unsupported' : null
}

/** Only an object map tells quickly. */
async function existingObjects(image: CephImage, { objectBytes }: CephLayout): Promise<Uint8Array | null> {
  if (!image.hasObjectMap) return null
  return bitsOf(await image.data(0, image.sizeBytes, false), image.sizeBytes, objectBytes)
}

/** One bit an object that a stretch of data touches; stretches as {@link CephImage.data} has them. */
export function bitsOf(data: Float64Array, sizeBytes: number, objectBytes: number): Uint8Array {
  const bits = new Uint8Array(Math.ceil(Math.ceil(sizeBytes / objectBytes) / 8))
  for (let at = 0; at + 1 < data.length; at += 2) {
    const last = Math.ceil(data[at + 1]! / objectBytes)
    for (let k = Math.floor(data[at]! / objectBytes); k < last; k++) bits[k >> 3]! |= 1 << (k & 7)
  }
  return bits
}
