/** The object view without a kernel: names, attributes and reads by node id, also by ids of an earlier worker. */
import t, { type Test } from 'tap'
import { type Image, identify } from '../../src/base/image.ts'
import type { KnownImage } from '../../src/fuse/filesystem/backend.ts'
import { opcodes } from '../../src/fuse/kernel/opcodes.ts'
import { PendingRequest } from '../../src/fuse/kernel/pending-request.ts'
import { RequestReader } from '../../src/fuse/kernel/request-reader.ts'
import { ObjectImages } from '../../src/librbd/object-images.ts'
import { imagePartOf, objectNodeId } from '../../src/librbd/object-node.ts'
import { ObjectView } from '../../src/librbd/object-view.ts'
import { attributesAt, entryAt, nameBody, readBody } from '../fixtures/fuse-bodies.ts'

const sizeBytes = 2 ** 22 + 5
const facts = { origin: 'rbd://images/', key: 'golden@v1', validator: '"4"', modifiedMs: 0 }
const golden: KnownImage = { image: identify({ ...facts, sizeBytes }), nodeId: 0x1234_5678_9abc_def0n }
const part = imagePartOf(golden.nodeId)
const nodeOf = (number: number, image = part) => objectNodeId({ image, order: 22, number })
const nameOf = (nodeId: bigint) => nodeId.toString(16).padStart(16, '0')

/** A worker that knows images, and has none of them open yet. */
function workerWith(known: readonly KnownImage[], answer = (length: number) => Buffer.alloc(length, 7)) {
  const [opened, reads]: [Image[], [number, number][]] = [[], []]
  const images = new ObjectImages({
    open: async image => {
      opened.push(image)
      return null
    },
    release: () => {},
    imageWhere: holds => known.find(({ nodeId }) => holds(nodeId)) ?? null,
    binder: { bind: () => {}, unbind: () => {}, describe: () => {} },
  })
  const view = new ObjectView({
    images,
    presentation: { uid: 1, gid: 2, mode: 0o440, directoriesModifiedMs: 0 },
    read: async (_image, offset, length) => {
      reads.push([offset, length])
      return answer(length)
    },
  })
  const handlers = view.handlers()
  const ask = async (opcode: number, nodeId: bigint, body: Uint8Array = Buffer.alloc(16)) => {
    const call = new PendingRequest({ opcode, unique: 2n, nodeId, pid: 1 })
    return Buffer.from((await handlers.get(opcode)!(call, new RequestReader(body))).bytes ?? [])
  }
  return {
    ...{ view, opened, reads },
    lookup: (name: string, parent = 1n) => ask(opcodes.LOOKUP, parent, nameBody(name)),
    attributes: (nodeId: bigint) => ask(opcodes.GETATTR, nodeId),
    read: (nodeId: bigint, offset: number, length: number) => ask(opcodes.READ, nodeId, readBody(0n, offset, length)),
  }
}

const fails = async (t: Test, code: string, promise: Promise<unknown>) => t.rejects(promise, { code })

t.test('a name is the node id, and the kernel keeps it as long as the attributes', async t => {
  const { view, lookup, attributes } = workerWith([golden])
  const found = entryAt(await lookup(nameOf(nodeOf(1))))
  t.match(found, { nodeId: nodeOf(1), nameSeconds: 86_400n, attributeSeconds: 86_400n, attributes: { size: 5n } })
  t.match(attributesAt(await attributes(nodeOf(1)), 16), { size: 5n, gid: 2, mode: 0o100440 })
  t.match(entryAt(Buffer.from(view.entryOf(part, golden))), { nameSeconds: 86_400n }, 'session threads say the same')
})

t.test('names that are none are absent, and those of no image are not found', async t => {
  const { lookup } = workerWith([golden])
  t.match(entryAt(await lookup('absent')), { nodeId: 0n, nameSeconds: 3600n })
  await fails(t, 'no-such-name', lookup(nameOf(nodeOf(2))))
  await fails(t, 'no-such-name', lookup(nameOf(nodeOf(0, part + 1))))
  await fails(t, 'not-a-directory', lookup(nameOf(nodeOf(0)), nodeOf(0)))
})

t.test('node ids that the kernel has of an earlier worker are read, and their image is opened once', async t => {
  const { read, reads, opened, attributes } = workerWith([golden])
  const [first, second] = await Promise.all([read(nodeOf(0), 4096, 4096), read(nodeOf(1), 0, 4096)])
  t.same([first.length, second.length], [4096, 5])
  t.same(reads, [
    [4096, 4096],
    [2 ** 22, 5],
  ])
  t.equal(opened.length, 1)
  t.match(attributesAt(await attributes(nodeOf(0)), 16), { size: 2n ** 22n })
})

t.test('a node id of an image that has gone is stale: no zeros, no end', async t => {
  const { read, attributes } = workerWith([])
  await fails(t, 'stale-node', read(nodeOf(0), 0, 4096))
  await fails(t, 'stale-node', attributes(nodeOf(0)))
  const { read: readThere } = workerWith([golden])
  await fails(t, 'stale-node', readThere(nodeOf(2), 0, 4096))
  await fails(t, 'malformed', readThere(nodeOf(0), 0, 2 ** 20 + 1))
})

t.test('a read is answered whole or not at all', async t => {
  const { read } = workerWith([golden], length => Buffer.alloc(length - 1))
  await t.rejects(read(nodeOf(0), 0, 4096), /read 4095 bytes of 4096/)
  t.equal((await read(nodeOf(1), 5, 4096)).length, 0, 'at the end there is nothing')
})
