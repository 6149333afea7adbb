/** The filesystem without a wire. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { isDirectory } from '../../../src/fuse/filesystem/attributes.ts'
import { directoryNodeId, nestedNodeId } from '../../../src/fuse/filesystem/backend.ts'
import { FileSystem } from '../../../src/fuse/filesystem/file-system.ts'
import type { DirectoryEntries, DirectoryEntry } from '../../../src/fuse/filesystem/open-directories.ts'
import { startOfDirectory } from '../../../src/fuse/filesystem/open-directories.ts'
import type { StoreFile } from '../../../src/native/addon.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'

const { signal } = new AbortController()
const binder = { bind: () => {}, unbind: () => {} }
const presentation = { uid: 0, gid: 0, mode: 0o444, directoriesModifiedMs: 0 }

function over(backend: FakeBackend): FileSystem {
  return new FileSystem({ backend, presentation, binder, passthrough: null, firstDirectoryHandle: 1n })
}

t.test('names that no file can have are not looked for', async t => {
  const backend = new FakeBackend()
  const fileSystem = over(backend)
  for (const name of ['', '.', '..', 'a/b', 'a\0b']) {
    await t.rejects(fileSystem.lookup(1n, name, { signal }), { code: 'no-such-name' }, name)
  }
  await t.rejects(fileSystem.lookup(1n, 'é'.repeat(128), { signal }), { code: 'name-too-long' }, '256 bytes')
  t.equal(backend.counts.lookups, 0)
  await t.rejects(fileSystem.lookup(1n, 'n'.repeat(255), { signal }), { code: 'not-found' })
  t.equal(backend.counts.lookups, 1)
})

t.test('several origins are a directory each', async t => {
  const backend = new FakeBackend(['one', 'two'])
  const known = backend.add({ name: 'a', sizeBytes: 3, directory: 'two' })
  const fileSystem = over(backend)
  const two = await fileSystem.lookup(1n, 'two', { signal })
  t.equal(two.nodeId, directoryNodeId('two'))
  t.equal((await fileSystem.lookup(two.nodeId, 'a', { signal })).nodeId, known.nodeId)
  await t.rejects(fileSystem.lookup(1n, 'a', { signal }), { code: 'no-such-name' })
  await t.rejects(fileSystem.lookup(directoryNodeId('one'), 'a', { signal }), { code: 'not-found' })
  await t.rejects(fileSystem.lookup(known.nodeId, 'a', { signal }), { code: 'not-a-directory' })
  t.equal(fileSystem.attributes(1n).links, 1, 'not counted: more may come')
  t.equal(fileSystem.attributes(two.nodeId).links, 2)
  const root = await fileSystem.readDirectory(1n, fileSystem.openDirectory(1n), startOfDirectory, { signal })
  t.same(
    shown(root).map(({ name, kind }) => [name, kind]),
    [
      ['.', 'directory'],
      ['..', 'directory'],
      ['one', 'directory'],
      ['two', 'directory'],
    ],
  )
  const inside = await fileSystem.readDirectory(two.nodeId, fileSystem.openDirectory(two.nodeId), startOfDirectory, {
    signal,
  })
  t.same(
    shown(inside).map(({ name, nodeId }) => [name, nodeId]),
    [
      ['.', two.nodeId],
      ['..', 1n],
      ['a', known.nodeId],
    ],
  )
})

t.test('keys with slashes lie in directories, whose node ids outlive the process', async t => {
  const backend = new FakeBackend(['one', 'two'])
  const deep = backend.add({ name: 'a/b/c.img', sizeBytes: 3, directory: 'two' })
  backend.add({ name: 'a/d', sizeBytes: 3, directory: 'two' })
  const fileSystem = over(backend)
  const path = async (names: readonly string[]) => {
    let nodeId = 1n
    for (const name of names) nodeId = (await fileSystem.lookup(nodeId, name, { signal })).nodeId
    return nodeId
  }
  t.equal(await path(['two', 'a', 'b', 'c.img']), deep.nodeId)
  await t.rejects(path(['one', 'a']), { code: 'not-found' })
  await t.rejects(path(['two', 'a', 'c.img']), { code: 'not-found' })
  const [two, a, b] = [await path(['two']), await path(['two', 'a']), await path(['two', 'a', 'b'])]
  t.equal(fileSystem.attributes(two).links, 1, 'not counted: more may come')
  t.ok(isDirectory(fileSystem.attributes(a)))
  t.not(a, nestedNodeId({ directory: 'one', prefix: 'a/' }))
  t.equal(fileSystem.directoryId({ directory: 'two', prefix: 'a/b/' }), b)
  for (const later of [fileSystem, over(backend)]) {
    const entries = await later.readDirectory(a, later.openDirectory(a), startOfDirectory, { signal })
    t.same(
      shown(entries).map(({ name, kind, nodeId }) => [name, kind, nodeId]),
      [
        ['.', 'directory', a],
        ['..', 'directory', two],
        ['b', 'directory', b],
        ['d', 'file', (await later.lookup(a, 'd', { signal })).nodeId],
      ],
    )
    const below = await later.readDirectory(b, later.openDirectory(b), startOfDirectory, { signal })
    t.equal(shown(below)[1]?.nodeId, a)
  }
  for (let k = 0; k < 9; k++) fileSystem.forget(a, 1)
  t.ok(isDirectory(fileSystem.attributes(a)), 'forgotten, it is found again')
  t.throws(() => fileSystem.attributes(nestedNodeId({ directory: 'two', prefix: 'x/' })), { code: 'stale-node' })
})

/** Entries that a listing shows. */
function shown(entries: DirectoryEntries): DirectoryEntry[] {
  return Array.from({ length: entries.length }, (_, k) => entries.at(k)).filter(
    entry => entry !== null && entry !== undefined,
  )
}

t.test('a listing leaves out what the kernel would refuse', async t => {
  const backend = new FakeBackend()
  for (const name of ['good', 'bad\0name', '', '..', 'x'.repeat(256)]) backend.add({ name, sizeBytes: 1 })
  const fileSystem = over(backend)
  const entries = await fileSystem.readDirectory(1n, fileSystem.openDirectory(1n), startOfDirectory, { signal })
  t.same(
    shown(entries).map(({ name }) => name),
    ['.', '..', 'good'],
  )
})

t.test('reads are cut at the end, and whole', async t => {
  const backend = new FakeBackend()
  const { image, nodeId } = backend.add({ name: 'a', sizeBytes: 1000 })
  const fileSystem = over(backend)
  await fileSystem.open(nodeId, 0, { signal: new AbortController().signal })
  t.same(await fileSystem.read({ nodeId, handle: nodeId }, 990, 100, { signal }), backend.bytesOf(image, 990, 10))
  t.same(await fileSystem.read({ nodeId, handle: nodeId }, 3, 5, { signal }), backend.bytesOf(image, 3, 5))
  for (const offset of [1000, 1001, 2 ** 63])
    t.equal((await fileSystem.read({ nodeId, handle: nodeId }, offset, 10, { signal })).length, 0)
  t.equal((await fileSystem.read({ nodeId, handle: nodeId }, 0, 0, { signal })).length, 0)
  t.equal(backend.counts.reads, 2, 'nothing is asked for nothing')
  backend.lieBytes = 1
  await t.rejects(fileSystem.read({ nodeId, handle: nodeId }, 0, 10, { signal }), /9 bytes of 10/)
})

t.test('a read of an image that only a predecessor opened opens it', async t => {
  const backend = new FakeBackend()
  const { image, nodeId } = backend.add({ name: 'a', sizeBytes: 1000 })
  const fileSystem = over(backend)
  t.equal((await fileSystem.read({ nodeId, handle: nodeId }, 0, 10, { signal })).length, 10)
  await fileSystem.read({ nodeId, handle: nodeId }, 0, 10, { signal })
  t.equal(backend.opens.get(image.id), 1)
  await t.rejects(fileSystem.read({ nodeId: 1n, handle: 1n }, 0, 10, { signal }), { code: 'is-a-directory' })
  await t.rejects(fileSystem.read({ nodeId: 99_999_999n, handle: 99_999_999n }, 0, 10, { signal }), {
    code: 'stale-node',
  })
})

t.test('an open file keeps its version when the name gets another', async t => {
  const backend = new FakeBackend()
  const before = backend.add({ name: 'a', sizeBytes: 1000, validator: 'v1' })
  const fileSystem = over(backend)
  t.equal((await fileSystem.lookup(1n, 'a', { signal })).nodeId, before.nodeId)
  await fileSystem.open(before.nodeId, 0, { signal: new AbortController().signal })
  const after = backend.add({ name: 'a', sizeBytes: 2000, validator: 'v2' })
  t.equal((await fileSystem.lookup(1n, 'a', { signal })).nodeId, after.nodeId)
  t.equal(fileSystem.attributes(before.nodeId).sizeBytes, 1000)
  t.same(
    await fileSystem.read({ nodeId: before.nodeId, handle: before.nodeId }, 0, 9, { signal }),
    backend.bytesOf(before.image, 0, 9),
  )
})

t.test('access allows reading, and entering directories', async t => {
  const backend = new FakeBackend()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 1 })
  const fileSystem = over(backend)
  fileSystem.access(nodeId, 0)
  fileSystem.access(nodeId, 4)
  fileSystem.access(1n, 5)
  for (const mask of [1, 2, 6]) t.throws(() => fileSystem.access(nodeId, mask), { code: 'permission-denied' })
  t.throws(() => fileSystem.access(1n, 2), { code: 'permission-denied' })
})

t.test('capacity never shows less than nothing free', async t => {
  const backend = new FakeBackend()
  backend.capacity = () => ({ capacityBytes: 10, usedBytes: 12, images: 1 })
  t.same(over(backend).capacity(), { totalBytes: 10, freeBytes: 0, files: 1 })
})

t.test('an origin that does not answer about a name is not taken for a directory of that name', async t => {
  const backend = new FakeBackend()
  backend.add({ name: 'a/b', sizeBytes: 3 })
  const fileSystem = over(backend)
  t.ok(isDirectory(await fileSystem.lookup(1n, 'a', { signal })))
  backend.failWith = { method: 'lookup', error: new CacheError('origin-unreachable', 'away') }
  await t.rejects(fileSystem.lookup(1n, 'a', { signal }), { code: 'origin-unreachable' })
})

t.test('an image of an old listing that is not known any more is not told', async t => {
  const backend = new FakeBackend()
  const known = backend.add({ name: 'a', sizeBytes: 3 })
  const fileSystem = over(backend)
  t.equal(fileSystem.rememberListed(known)?.nodeId, known.nodeId)
  t.equal(fileSystem.rememberListed({ ...known, nodeId: known.nodeId + 1n }), null)
})

t.test('an image is known while it is open, though its name was looked up by an earlier process', async t => {
  const backend = new FakeBackend()
  backend.file = {} as StoreFile
  const known = backend.add({ name: 'a', sizeBytes: 3 })
  const fileSystem = over(backend)
  t.notOk(fileSystem.knows(known.nodeId))
  const { handle } = await fileSystem.open(known.nodeId, 0, { signal })
  t.ok(fileSystem.knows(known.nodeId))
  fileSystem.release(handle)
  t.notOk(fileSystem.knows(known.nodeId))
})
