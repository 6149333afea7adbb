/** Ranges of blobs that session threads ask for: with the registry's token, or where a redirect led. */
import t, { type Test } from 'tap'
import { identify } from '../../../src/base/image.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { ReaderTable } from '../../../src/origin/contract/native-read-sources.ts'
import { startNativeReads } from '../../fixtures/native-reads.ts'
import { openOci } from '../../fixtures/open-oci.ts'
import { pattern } from '../../fixtures/pattern.ts'
import { waysToReceive } from '../../fixtures/receiving.ts'
import { noRegistry, type RegistryOptions, RegistryServer } from '../../fixtures/registry-server.ts'
import { tarOf } from '../../fixtures/tar.ts'
import { until } from '../../fixtures/until.ts'

const { signal } = new AbortController()
const sizeBytes = 1_000_000
const disk = Buffer.from(pattern(1, 0, sizeBytes))
const addon = loadAddon()
const [plain] = waysToReceive(t)

/** A disk in a registry, read by TypeScript and by a session thread. */
async function open(t: Test, options: RegistryOptions, layer: { readonly bytes: Buffer; readonly mediaType?: string }) {
  const registry = await RegistryServer.start(t, options)
  await registry.push('images/a', 'x', [layer])
  const grant = addon.createGrant(false, false)
  grant.limit(100)
  const readers = new ReaderTable(10, grant)
  const http = { inPlaceBytesMin: 1, receiver: plain!.receiver, readers }
  const origin = openOci(`oci://${registry.host}/images/a`, true, {}, http)
  t.teardown(() => origin.close())
  const native = await startNativeReads(t, t.testdir(), sizeBytes)
  const image = identify(await origin.lookup('x', { signal }))
  readers.onChange = imageId => imageId === image.id && native.use(readers.get(imageId))
  const read = async () => {
    const target = Buffer.alloc(4096)
    await origin.read(image, 4096, target, { signal })
    return target.equals(disk.subarray(4096, 8192))
  }
  /** @returns null: TypeScript has to */
  const readNatively = async () => (await native.read(500_000, 4096))?.equals(disk.subarray(500_000, 504_096)) ?? null
  return { registry, readers, image, read, readNatively }
}

for (const options of [{ auth: 'token' }, { auth: 'token', redirectSeconds: 600 }] as const) {
  t.test(`a blob is read natively: ${JSON.stringify(options)}`, { skip: noRegistry }, async t => {
    const { registry, read, readNatively } = await open(t, options, { bytes: disk })
    await until(async () => (await read()) && (await readNatively()) === true, 30_000, 'a native read')
    const before = registry.requests.length
    t.equal(await readNatively(), true)
    t.equal(registry.requests.length, before, 'where a redirect led, the registry is not asked')
  })
}

t.test('a disk in an archive is never read natively: its bytes lie elsewhere', { skip: noRegistry }, async t => {
  const layer = { bytes: tarOf({ 'disk/a': disk }), mediaType: 'application/vnd.oci.image.layer.v1.tar' }
  const { readers, image, read, readNatively } = await open(t, {}, layer)
  for (let k = 0; k < 5; k++) t.ok(await read())
  t.equal(readers.get(image.id), null)
  t.equal(await readNatively(), null)
})
