/** Names, and the versions that the kernel is told of. */
import t from 'tap'
import { isDirectory } from '../../../src/fuse/filesystem/attributes.ts'
import { FileSystem } from '../../../src/fuse/filesystem/file-system.ts'
import { pinnedNamesMax } from '../../../src/fuse/fuse-native/limits.ts'
import { VersionPins } from '../../../src/fuse/fuse-native/version-pins.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'

const options = { signal: new AbortController().signal }
const presentation = { uid: 0, gid: 0, mode: 0o444, directoriesModifiedMs: 0 }

function over(backend: FakeBackend, namesMax = 10): { names: VersionPins; fileSystem: FileSystem } {
  const binder = { bind: () => {}, unbind: () => {} }
  const fileSystem = new FileSystem({ backend, presentation, binder, passthrough: null, firstDirectoryHandle: 1n })
  return { names: new VersionPins(fileSystem, namesMax), fileSystem }
}

t.test('another version is told after one "stale", and counted once', async t => {
  const backend = new FakeBackend()
  const before = backend.add({ name: 'a', sizeBytes: 1, validator: 'v1' })
  const { names, fileSystem } = over(backend)
  for (let k = 0; k < 3; k++) t.equal((await names.tell('/a', options)).nodeId, before.nodeId)
  const after = backend.add({ name: 'a', sizeBytes: 2, validator: 'v2' })
  await t.rejects(names.tell('/a', options), { code: 'stale-node' })
  t.match(await names.tell('/a', options), { nodeId: after.nodeId, sizeBytes: 2 })
  t.equal(fileSystem.gauges().nodes, 1)
})

t.test('what is opened is what was told, whatever the name is meanwhile', async t => {
  const backend = new FakeBackend()
  const before = backend.add({ name: 'a', sizeBytes: 1, validator: 'v1' })
  const { names } = over(backend)
  await names.tell('/a', options)
  const after = backend.add({ name: 'a', sizeBytes: 2, validator: 'v2' })
  const first = await names.open('/a', 0, options)
  const second = await names.open('/a', 0, options)
  t.same([first, second], [before.nodeId, before.nodeId])
  const { lookups } = backend.counts
  t.equal((await names.tell('/a', options)).nodeId, before.nodeId)
  t.equal(backend.counts.lookups, lookups, 'nobody is asked')
  names.release('/a', first)
  t.equal((await names.tell('/a', options)).nodeId, before.nodeId, 'one has it open still')
  names.release('/a', second)
  await t.rejects(names.tell('/a', options), { code: 'stale-node' })
  t.equal(await names.open('/a', 0, options), after.nodeId)
})

t.test('a version that is opened while another is being looked up stays', async t => {
  const backend = new FakeBackend()
  const before = backend.add({ name: 'a', sizeBytes: 1, validator: 'v1' })
  const { names, fileSystem } = over(backend)
  await names.tell('/a', options)
  backend.add({ name: 'a', sizeBytes: 2, validator: 'v2' })
  const telling = names.tell('/a', options)
  const opening = names.open('/a', 0, options)
  t.equal((await telling).nodeId, before.nodeId)
  t.equal(await opening, before.nodeId)
  t.equal(fileSystem.gauges().nodes, 1)
})

t.test('an open that fails keeps nothing, and one for writing is refused', async t => {
  const backend = new FakeBackend()
  backend.add({ name: 'a', sizeBytes: 1, validator: 'v1' })
  const { names } = over(backend)
  await t.rejects(names.open('/a', 1, options), { code: 'read-only' })
  await t.rejects(names.open('/', 0, options), { code: 'is-a-directory' })
  await t.rejects(names.open('/b', 0, options), { code: 'not-found' })
  const after = backend.add({ name: 'a', sizeBytes: 2, validator: 'v2' })
  await t.rejects(names.tell('/a', options), { code: 'stale-node' }, 'the name is free')
  t.equal((await names.tell('/a', options)).nodeId, after.nodeId)
})

t.test('one name more than may be remembered forgets the oldest that nobody has open', async t => {
  const backend = new FakeBackend()
  const images = ['a', 'b', 'c', 'd'].map(name => backend.add({ name, sizeBytes: 1 }))
  const { names, fileSystem } = over(backend, 2)
  for (const name of ['a', 'b']) await names.tell(`/${name}`, options)
  t.equal(await names.open('/a', 0, options), images[0]!.nodeId)
  await names.tell('/c', options)
  t.equal(names.count, 2)
  backend.add({ name: 'b', sizeBytes: 2, validator: 'v2' })
  t.equal((await names.tell('/b', options)).sizeBytes, 2, 'forgotten: told at once')
  backend.add({ name: 'a', sizeBytes: 2, validator: 'v2' })
  t.equal((await names.tell('/a', options)).sizeBytes, 1, 'open: kept')
  t.equal(fileSystem.gauges().nodes, 2)
})

t.test('as many names are remembered as may be, and no more', async t => {
  const backend = new FakeBackend()
  const { names, fileSystem } = over(backend, pinnedNamesMax)
  for (let k = 0; k <= pinnedNamesMax; k++) {
    backend.add({ name: `${k}`, sizeBytes: 1 })
    await names.tell(`/${k}`, options)
    if (k === pinnedNamesMax - 1) t.equal(names.count, pinnedNamesMax)
  }
  t.equal(names.count, pinnedNamesMax)
  t.equal(fileSystem.gauges().nodes, pinnedNamesMax, 'the kernel is asked to keep no more either')
})

t.test('directories of several origins are names too', async t => {
  const backend = new FakeBackend(['one', 'two'])
  const known = backend.add({ name: 'a', sizeBytes: 3, directory: 'two' })
  const { names } = over(backend)
  t.equal((await names.tell('/', options)).nodeId, 1n)
  t.ok(isDirectory(await names.tell('/two', options)))
  t.equal((await names.tell('/two/a', options)).nodeId, known.nodeId)
  await t.rejects(names.tell('/one/a', options), { code: 'not-found' })
  t.equal(names.count, 1)
})
