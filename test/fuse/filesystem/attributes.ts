/** Attributes that stat shows. */
import t from 'tap'
import { directoryAttributes, imageAttributes, type Presentation } from '../../../src/fuse/filesystem/attributes.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'

const shown: Presentation = { uid: 7, gid: 8, mode: 0o777, directoriesModifiedMs: 5 }

t.test('a file is regular, cannot be written, and claims all its blocks', async t => {
  const backend = new FakeBackend()
  const known = backend.add({ name: 'a', sizeBytes: 513, modifiedMs: 1234 })
  t.match(imageAttributes(known, shown), {
    nodeId: known.nodeId,
    mode: 0o100444,
    links: 1,
    uid: 7,
    gid: 8,
    sizeBytes: 513,
    blocks: 2,
    modifiedMs: 1234,
  })
  t.equal(imageAttributes(backend.add({ name: 'b', sizeBytes: 0 }), shown).blocks, 0)
  t.equal(imageAttributes(backend.add({ name: 'c', sizeBytes: 512 }), shown).blocks, 1)
})

t.test('a directory can be entered by whoever may read', async t => {
  const node = { kind: 'directory', nodeId: 1n, place: { directory: null, prefix: '' } } as const
  t.match(directoryAttributes(node, false, shown), { mode: 0o040555, links: 1, modifiedMs: 5 })
  t.match(directoryAttributes(node, true, { ...shown, mode: 0o440 }), { mode: 0o040550, links: 2 })
})
