/**
 * Images of an image service that are read from their store, without the service: the contract of an origin, a restart,
 * a deletion. For the stores that the service sends no ranges of.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import type { OriginDependencies } from '../../../src/origin/open-origin.ts'
import { type ImageStoreOptions, openOrigin } from '../../../src/origin/open-origin.ts'
import { MirroringOrigin } from '../../fixtures/ceph/mirror.ts'
import { noHoles } from '../../fixtures/extents.ts'
import type { GlanceServer, GlanceStore } from '../../fixtures/glance-server.ts'
import { originContract } from '../origin.ts'

const signal = new AbortController().signal
const large = Buffer.alloc(9_000_001, createHash('sha512').update('large').digest())

export interface KnownStore {
  readonly server: GlanceServer
  readonly imageStores: readonly ImageStoreOptions[]
  readonly loadCeph?: OriginDependencies['loadCeph']
}

export function knownStore(store: GlanceStore, subject: () => Promise<KnownStore>): void {
  const open = ({ server, imageStores, loadCeph }: KnownStore) =>
    openOrigin(server.url, { addon: noHoles, ...(loadCeph && { loadCeph }), options: { imageStores } })

  originContract(
    `images read from their store (${store})`,
    async directory => {
      const known = await subject()
      const { server } = known
      for (const { id } of await server.images()) await server.delete(id)
      const ids = new Map<string, string>()
      return new MirroringOrigin(open(known), directory, {
        put: async (name, path) => void ids.set(name, await server.put({ name, bytes: readFileSync(path), store })),
        remove: name => server.delete(ids.get(name) ?? ''),
      })
    },
    { digests: 'given' },
  )

  t.test(`a store is read without the service (${store})`, async t => {
    const known = await subject()
    const { server } = known
    const opened = () => {
      const origin = open(known)
      t.teardown(() => origin.close())
      return origin
    }
    const origin = opened()
    const id = await server.put({ name: 'kept', bytes: large, store })
    const found = await origin.lookup('kept', { signal })
    t.notOk('isSequential' in found, 'it has ranges, although the service sends none')
    const image = identify(found)
    const target = Buffer.alloc(100_000)
    await origin.read(image, 5_000_000, target, { signal })
    t.ok(target.equals(large.subarray(5_000_000, 5_100_000)))
    // After a restart: nobody has looked it up.
    const again = opened()
    await again.read(image, 8_999_990, target.subarray(0, 11), { signal })
    t.ok(target.subarray(0, 11).equals(large.subarray(8_999_990)))
    // A file of the service's own, which no store here has.
    const own = identify(await origin.lookup(await server.put({ name: 'own', bytes: large }), { signal }))
    await origin.read(own, 7, target.subarray(0, 100), { signal })
    t.ok(target.subarray(0, 100).equals(large.subarray(7, 107)))
    await server.delete(id)
    for (const each of [origin, again, opened()]) {
      await t.rejects(each.read(image, 0, target, { signal }), { code: 'image-changed' })
    }
  })
}
