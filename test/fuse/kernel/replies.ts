/** Structures of replies, read back by offsets from the kernel's header. */
import t from 'tap'
import type { Attributes } from '../../../src/fuse/filesystem/attributes.ts'
import * as replies from '../../../src/fuse/kernel/replies.ts'
import { attributesAt, entryAt } from '../../fixtures/fuse-bodies.ts'

const attributes: Attributes = {
  nodeId: 2n ** 62n + 1n,
  inode: 2n ** 61n + 1n,
  mode: 0o100444,
  links: 1,
  uid: 1000,
  gid: 1001,
  sizeBytes: 3 * 2 ** 40 + 5,
  blocks: 6 * 2 ** 30 + 1,
  preferredBytes: 1048576,
  modifiedMs: 1_700_000_000_123.456,
}
const read = {
  ino: attributes.inode,
  size: BigInt(attributes.sizeBytes),
  blocks: BigInt(attributes.blocks),
  mtime: 1_700_000_000n,
  mode: 0o100444,
  nlink: 1,
  uid: 1000,
  gid: 1001,
  blksize: 1048576,
}

t.test('attributes and entries', async t => {
  const alone = replies.attributesReply(attributes)
  t.equal(alone.length, 104)
  t.equal(Buffer.from(alone).readBigUInt64LE(0), 86_400n)
  t.match(attributesAt(alone, 16), read)
  t.ok(Math.abs(attributesAt(alone, 16).mtimeNs - 123_456_000) < 1000, 'nanoseconds')
  const entry = replies.entryReply(attributes)
  t.equal(entry.length, 128)
  t.match(entryAt(entry), {
    nodeId: attributes.nodeId,
    generation: 0n,
    nameSeconds: 1n,
    attributeSeconds: 86_400n,
    attributes: read,
  })
})

t.test('statx says the same, and no time of birth', async t => {
  const bytes = Buffer.from(replies.statxReply(attributes))
  t.equal(bytes.length, 288)
  const at = 32
  t.equal(bytes.readUInt32LE(at), 0x7ff, 'mask')
  t.equal(bytes.readUInt32LE(at + 4), 1048576, 'blksize')
  t.equal(bytes.readUInt32LE(at + 16), 1, 'nlink')
  t.equal(bytes.readUInt32LE(at + 20), 1000, 'uid')
  t.equal(bytes.readUInt32LE(at + 24), 1001, 'gid')
  t.equal(bytes.readUInt16LE(at + 28), 0o100444, 'mode')
  t.equal(bytes.readBigUInt64LE(at + 32), read.ino)
  t.equal(bytes.readBigUInt64LE(at + 40), read.size)
  t.equal(bytes.readBigUInt64LE(at + 48), read.blocks)
  t.equal(bytes.readBigUInt64LE(at + 56), 0n, 'attributes_mask')
  const times = [64, 80, 96, 112].map(offset => bytes.readBigInt64LE(at + offset))
  t.same(times, [read.mtime, 0n, read.mtime, read.mtime], 'atime, btime, ctime, mtime')
})

t.test('times before 1970 and whole seconds', async t => {
  const before = attributesAt(replies.attributesReply({ ...attributes, modifiedMs: -1 }), 16)
  t.equal(before.mtime, -1n)
  t.equal(before.mtimeNs, 999_000_000)
  const almost = attributesAt(replies.attributesReply({ ...attributes, modifiedMs: 999.99999999 }), 16)
  t.equal(almost.mtime, 0n)
  t.ok(almost.mtimeNs < 1e9)
})

t.test('the small ones', async t => {
  const opened = Buffer.from(replies.openReply({ handle: 77n, backingId: null, isServed: true }))
  t.same(
    [opened.length, opened.readBigUInt64LE(0), opened.readUInt32LE(8), opened.readUInt32LE(12)],
    [16, 77n, 2 + 32, 0],
  )
  const passed = Buffer.from(replies.openReply({ handle: 79n, backingId: 5, isServed: false }))
  // FOPEN_KEEP_CACHE with it, or a backing id that is not the fourth word, makes the kernel fail the open.
  t.same(
    [passed.length, passed.readBigUInt64LE(0), passed.readUInt32LE(8), passed.readUInt32LE(12)],
    [16, 79n, 128 + 32, 5],
  )
  const served = Buffer.from(replies.openReply({ handle: 79n, backingId: 5, isServed: true }))
  t.same([served.readUInt32LE(8), served.readUInt32LE(12)], [128 + 32 + 1, 5])
  const directory = Buffer.from(replies.openDirectoryReply(78n))
  t.same([directory.length, directory.readBigUInt64LE(0), directory.readUInt32LE(8)], [16, 78n, 0])
  t.equal(Buffer.from(replies.valueBytesReply(9)).readUInt32LE(0), 9)
  t.equal(Buffer.from(replies.seekReply(2 ** 41)).readBigUInt64LE(0), 2n ** 41n)
  const statfs = Buffer.from(replies.statfsReply({ totalBytes: 40960, freeBytes: 8191, files: 3 }))
  t.equal(statfs.length, 80)
  t.same(
    [0, 8, 16, 24, 32].map(at => statfs.readBigUInt64LE(at)),
    [10n, 1n, 1n, 3n, 0n],
  )
  t.same(
    [40, 44, 48].map(at => statfs.readUInt32LE(at)),
    [4096, 255, 4096],
  )
})
