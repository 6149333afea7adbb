/**
 * Bytes of RBD images are those of `rbd export`, whatever their shape: holes, stripes, a data pool of their own,
 * clones.
 *
 * READS=n reads so many places of each at random; the seed is printed.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type Image, identify } from '../../../src/base/image.ts'
import { loadCephAddon } from '../../../src/native/ceph-addon.ts'
import { type RbdOptions, RbdOrigin } from '../../../src/origin/ceph/rbd.ts'
import type { CephTestCluster } from '../../fixtures/ceph/cluster.ts'
import { randomFrom, type SampleImage, writeSample } from '../../fixtures/images.ts'

const sample: SampleImage = { seed: 8, sizeBytes: 6 * 1024 * 1024 + 777 }
const reads = Number(process.env.READS ?? 300)
const signal = new AbortController().signal

export function rbdBytes(cluster: () => CephTestCluster): void {
  t.test('images of every shape are read as rbd exports them', async t => {
    const file = join(t.testdir(), 'sample')
    writeSample(file, sample)
    const tool = (...args: readonly string[]) => cluster().tool('rbd', ...args)
    await tool('namespace', 'create', 'rbd/bytes')
    await cluster().createPool('data')
    const spec = (name: string) => `rbd/bytes/${name}`
    const snapshot = async (name: string) => {
      await tool('snap', 'create', '--no-progress', `${spec(name)}@s`)
      await tool('snap', 'protect', `${spec(name)}@s`)
    }
    const made = async (name: string, ...shape: readonly string[]) => {
      await tool('import', '--no-progress', ...shape, file, spec(name))
      await snapshot(name)
    }
    const striped = ['--stripe-unit', '32K', '--stripe-count', '2', '--data-pool', 'data']
    await made('mapped', '--object-size', '64K')
    await made('unmapped', '--object-size', '64K', '--image-feature', 'layering')
    await made(
      'striped',
      '--object-size',
      '128K',
      '--image-feature',
      'layering',
      '--image-feature',
      'striping',
      ...striped,
    )
    await tool('clone', `${spec('mapped')}@s`, spec('clone'))
    const random = ['--io-size', '4K', '--io-pattern', 'rand', '--io-total', '400K']
    await tool('bench', '--io-type', 'write', ...random, spec('clone'))
    await tool('resize', '--no-progress', '--size', '8M', spec('clone'))
    await snapshot('clone')
    // Later writes are not in the snapshot.
    await tool('bench', '--io-type', 'write', ...random, spec('mapped'))

    const options: RbdOptions = {
      addon: loadCephAddon(),
      id: null,
      keyring: null,
      configurationFile: cluster().configuration,
      callMsMax: 30_000,
      allowMutable: false,
      readers: null,
    }
    const origin = new RbdOrigin('rbd://rbd/bytes/', options)
    t.teardown(() => origin.close())
    for (const name of ['mapped', 'unmapped', 'striped', 'clone']) {
      await t.test(name, async t => {
        const exported = join(t.testdir(), 'exported')
        await tool('export', '--no-progress', `${spec(name)}@s`, exported)
        const image = identify(await origin.lookup(`${name}@s`, { signal }))
        await mustBe(t, readFileSync(exported), image, origin)
      })
    }
    await t.test('a listing has each snapshot, and the names of those that are protected', async t => {
      const names = ['clone', 'mapped', 'striped', 'unmapped'].flatMap(name => [name, `${name}@s`])
      t.same([...(await origin.list({ signal }))].sort(), names.sort())
    })
    await tool('import', '--no-progress', file, spec('now'))
    await t.test('an image without a snapshot is refused, unless it is said that nobody writes to it', async t => {
      await unsnapshotted(t, options, readFileSync(file))
    })
  })
}

async function unsnapshotted(t: Test, options: RbdOptions, bytes: Buffer): Promise<void> {
  const origin = new RbdOrigin('rbd://rbd/bytes/', options)
  t.teardown(() => origin.close())
  await t.rejects(origin.lookup('now', { signal }), { code: 'origin-unsupported' })
  await t.rejects(origin.lookup('now@s', { signal }), { code: 'not-found' })
  const mutable = new RbdOrigin('rbd://rbd/bytes/', { ...options, allowMutable: true })
  t.teardown(() => mutable.close())
  const image = identify(await mutable.lookup('now', { signal }))
  const whole = Buffer.alloc(image.sizeBytes, 0xa5)
  await mutable.read(image, 0, whole, { signal })
  t.ok(whole.equals(bytes))
  t.equal(await mutable.extentAt(image, 0, { signal }), null, 'its holes may be gone tomorrow')
  t.equal(
    (await mutable.lookup('mapped', { signal })).validator,
    (await origin.lookup('mapped@s', { signal })).validator,
  )
  t.ok((await mutable.list({ signal })).includes('now'))
}

async function mustBe(t: Test, bytes: Buffer, image: Image, origin: RbdOrigin): Promise<void> {
  t.equal(image.sizeBytes, bytes.length)
  const whole = Buffer.alloc(bytes.length, 0xa5)
  await origin.read(image, 0, whole, { signal })
  t.ok(whole.equals(bytes), 'before its holes are known')
  let holeBytes = 0
  for (let at = 0; at < bytes.length; ) {
    const extent = (await origin.extentAt(image, at, { signal }))!
    if (extent.hole) {
      holeBytes += extent.end - at
      if (!bytes.subarray(at, extent.end).every(byte => byte === 0)) t.fail(`no hole: ${at} to ${extent.end}`)
    }
    at = extent.end
  }
  t.ok(holeBytes > 0, `${holeBytes} of ${bytes.length} bytes are in holes`)
  const seed = Number(process.env.SEED ?? 4711)
  const random = randomFrom(seed)
  for (let k = 0; k < reads; k++) {
    const offset = Math.floor(random() * bytes.length)
    const length = 1 + Math.floor(random() ** 4 * (bytes.length - offset - 1))
    const target = Buffer.alloc(length, 0xa5)
    await origin.read(image, offset, target, { signal: new AbortController().signal })
    if (!target.equals(bytes.subarray(offset, offset + length))) t.fail(`seed ${seed}: ${length} bytes at ${offset}`)
  }
  t.pass(`${reads} reads, seed ${seed}`)
}
