/** Every operation, from the bytes of its request to the bytes of its reply. */
import { constants } from 'node:os'
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { reservedNodeIds } from '../../../src/fuse/filesystem/backend.ts'
import { opcodes } from '../../../src/fuse/kernel/opcodes.ts'
import type { StoreFile } from '../../../src/native/addon.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { fakeTransport } from '../../fixtures/fake-transport.ts'
import * as bodies from '../../fixtures/fuse-bodies.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const errno = constants.errno

t.test('LOOKUP finds an image, and FORGET takes it back', async t => {
  const { backend, session, transport } = fakeTransport()
  const known = backend.add({ name: 'é', sizeBytes: 513 })
  const lookup = (body: Uint8Array, nodeId = 1n) => session.ask({ opcode: opcodes.LOOKUP, nodeId, body })
  const found = await lookup(bodies.nameBody('é'))
  t.match(bodies.entryAt(found.bytes), {
    nodeId: known.nodeId,
    attributes: { ino: known.nodeId, size: 513n, mode: 0o100444, uid: 10, gid: 20 },
  })
  await lookup(bodies.nameBody('é'))
  t.equal(transport.gauges().nodes, 1)
  session.send({ opcode: opcodes.FORGET, nodeId: known.nodeId, body: bodies.bytesFrom(['u64', 1]) })
  t.equal(transport.gauges().nodes, 1)
  const one = bodies.bytesFrom(['u32', 1], ['u32', 0], ['u64', known.nodeId], ['u64', 1])
  session.send({ opcode: opcodes.BATCH_FORGET, nodeId: 0n, body: one })
  await until(() => transport.gauges().nodes === 0, patienceMs, 'both forgets')
  t.equal(session.replies.length, 2, 'forgets get no reply')
  t.equal((await lookup(bodies.nameBody('other'))).errno, errno.ENOENT)
  backend.absentForMs = 1250
  const absent = Buffer.from((await lookup(bodies.nameBody('other'))).bytes)
  const [nodeId, seconds, nanoseconds] = [
    absent.readBigUInt64LE(0),
    absent.readBigUInt64LE(16),
    absent.readUInt32LE(32),
  ]
  t.same([nodeId, seconds, nanoseconds, absent.length], [0n, 1n, 250e6, 128], 'absent for that long')
  t.equal(transport.gauges().nodes, 0)
  backend.failWith = { method: 'lookup', error: new CacheError('origin-timeout', 'no') }
  t.equal((await lookup(bodies.nameBody('other'))).errno, errno.EIO, 'of others nothing is known')
  backend.failWith = null
  t.equal((await lookup(bodies.nameBody('n'.repeat(256)))).errno, errno.ENAMETOOLONG)
  t.equal((await lookup(Buffer.from([0xff, 0]))).errno, errno.ENOENT, 'not UTF-8')
  t.equal((await lookup(Buffer.from('unended'))).errno, errno.EIO)
  t.equal((await lookup(bodies.nameBody('x'), known.nodeId)).errno, errno.ENOTDIR)
  t.equal(transport.gauges().malformed, 1)
})

t.test('GETATTR, STATX, ACCESS and STATFS', async t => {
  const { backend, session } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 1 })
  const ask = async (opcode: number, nodeId: bigint, body: Uint8Array) => session.ask({ opcode, nodeId, body })
  const attributes = await ask(opcodes.GETATTR, nodeId, Buffer.alloc(16))
  t.equal(bodies.attributesAt(attributes.bytes, 16).ino, nodeId)
  t.equal(bodies.attributesAt((await ask(opcodes.GETATTR, 1n, Buffer.alloc(16))).bytes, 16).mode, 0o040555)
  t.equal((await ask(opcodes.GETATTR, 2n, Buffer.alloc(16))).errno, errno.ESTALE)
  t.equal((await ask(opcodes.STATX, nodeId, Buffer.alloc(24))).bytes.length, 288)
  t.equal((await ask(opcodes.ACCESS, nodeId, bodies.bytesFrom(['u32', 4], ['u32', 0]))).errno, 0)
  t.equal((await ask(opcodes.ACCESS, nodeId, bodies.bytesFrom(['u32', 2], ['u32', 0]))).errno, errno.EACCES)
  t.equal((await ask(opcodes.STATFS, 1n, Buffer.alloc(0))).bytes.length, 80)
})

t.test('OPEN binds under the node id, READ is cut at the end, RELEASE unbinds', async t => {
  const { backend, session } = fakeTransport()
  backend.file = {} as StoreFile
  const { nodeId, image } = backend.add({ name: 'a', sizeBytes: 1000 })
  const opened = await session.ask({ opcode: opcodes.OPEN, nodeId, body: bodies.openBody(0o40000) })
  t.equal(Buffer.from(opened.bytes).readBigUInt64LE(0), nodeId)
  t.equal(Buffer.from(opened.bytes).readUInt32LE(8), 2 + 32, 'FOPEN_KEEP_CACHE, FOPEN_NOFLUSH')
  t.equal(session.bound.get(nodeId), backend.file)
  const read = (offset: number | bigint, length: number) =>
    session.ask({ opcode: opcodes.READ, nodeId, body: bodies.readBody(nodeId, offset, length) })
  t.same((await read(900, 4096)).bytes, backend.bytesOf(image, 900, 100))
  t.same(await read(2n ** 63n, 4096).then(({ errno, bytes }) => [errno, bytes.length]), [0, 0])
  t.equal((await read(0, 2 ** 20 + 1)).errno, errno.EIO, 'one byte more than the longest READ')
  t.equal((await session.ask({ opcode: opcodes.RELEASE, nodeId, body: bodies.releaseBody(nodeId) })).errno, 0)
  await until(() => !session.bound.has(nodeId), patienceMs, 'unbound')
  t.equal((await session.ask({ opcode: opcodes.OPEN, nodeId: 1n, body: bodies.openBody(0) })).errno, errno.EISDIR)
  t.equal((await session.ask({ opcode: opcodes.OPEN, nodeId: 2n, body: bodies.openBody(0) })).errno, errno.ESTALE)
})

t.test('OPEN for writing or truncation is refused', async t => {
  const { backend, session } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 10 })
  for (const flags of [1, 2, 0o1000]) {
    t.equal((await session.ask({ opcode: opcodes.OPEN, nodeId, body: bodies.openBody(flags) })).errno, errno.EROFS)
  }
  t.equal(backend.counts.opens, 0)
})

t.test('LSEEK finds data and holes', async t => {
  const { backend, session } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 100, holes: [[10, 30]] })
  const seek = async (offset: number | bigint, whence: number) => {
    const reply = await session.ask({ opcode: opcodes.LSEEK, nodeId, body: bodies.seekBody(nodeId, offset, whence) })
    return reply.errno === 0 ? Buffer.from(reply.bytes).readBigUInt64LE(0) : reply.errno
  }
  t.equal(await seek(0, 4), 10n)
  t.equal(await seek(10, 3), 30n)
  t.equal(await seek(30, 4), 100n)
  t.equal(await seek(100, 4), errno.ENXIO)
  t.equal(await seek(-1n, 3), errno.ENXIO)
  t.equal(await seek(0, 2), errno.EIO, 'SEEK_END is the kernel’s own')
})

t.test('READDIR and READDIRPLUS page through a directory that changes meanwhile', async t => {
  for (const plus of [false, true]) {
    const { backend, session, transport } = fakeTransport()
    const names = Array.from({ length: 300 }, (_, k) => `image-${k}`)
    for (const [k, name] of names.entries()) backend.add({ name, sizeBytes: k, known: k % 2 === 0 })
    const opened = await session.ask({ opcode: opcodes.OPENDIR, body: bodies.openBody(0) })
    const handle = Buffer.from(opened.bytes).readBigUInt64LE(0)
    const seen: string[] = []
    for (let cookie = 0n; ; ) {
      const opcode = plus ? opcodes.READDIRPLUS : opcodes.READDIR
      const page = await session.ask({ opcode, body: bodies.readBody(handle, cookie, 4096) })
      const dirents = bodies.direntsOf(page.bytes, plus)
      if (dirents.length === 0) break
      seen.push(...dirents.map(({ name }) => name))
      cookie = dirents.at(-1)!.cookie
      backend.add({ name: `late-${cookie}`, sizeBytes: 1 })
    }
    t.same(seen, ['.', '..', ...names])
    t.equal(backend.counts.lists, 1)
    t.equal(transport.gauges().nodes, plus ? 150 : 0, 'told of the known ones, if at all')
    const again = await session.ask({ opcode: opcodes.READDIR, body: bodies.readBody(handle, 0, 1 << 20) })
    t.ok(bodies.direntsOf(again.bytes, false).length > 302, 'read from the start, it is taken anew')
    const closed = await session.ask({ opcode: opcodes.RELEASEDIR, body: bodies.releaseBody(handle) })
    t.equal(closed.errno, 0)
    t.equal(transport.gauges().openDirectories, 0)
  }
})

t.test('directories are not files, and files not directories', async t => {
  const { backend, session } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 10 })
  t.equal((await session.ask({ opcode: opcodes.OPENDIR, nodeId, body: bodies.openBody(0) })).errno, errno.ENOTDIR)
  const body = bodies.readBody(1n, 0, 4096)
  t.equal((await session.ask({ opcode: opcodes.READDIR, nodeId, body })).errno, errno.ENOTDIR)
  t.equal((await session.ask({ opcode: opcodes.READ, nodeId: 1n, body })).errno, errno.EISDIR)
})

t.test('GETXATTR and LISTXATTR tell sizes first', async t => {
  const { backend, session } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 10, validator: 'v12345' })
  const get = (bytesMax: number, name: string | null, of = nodeId) =>
    session.ask({
      opcode: name === null ? opcodes.LISTXATTR : opcodes.GETXATTR,
      nodeId: of,
      body: bodies.valueBody(bytesMax, name),
    })
  t.equal(Buffer.from((await get(0, 'user.parentfs.validator')).bytes).readUInt32LE(0), 6)
  t.equal(Buffer.from((await get(6, 'user.parentfs.validator')).bytes).toString(), 'v12345')
  t.equal((await get(5, 'user.parentfs.validator')).errno, errno.ERANGE)
  t.equal((await get(100, 'user.other')).errno, errno.ENODATA)
  t.equal((await get(100, 'user.parentfs.validator', 1n)).errno, errno.ENODATA, 'directories have none')
  const bytes = Buffer.from((await get(0, null)).bytes).readUInt32LE(0)
  const names = Buffer.from((await get(bytes, null)).bytes)
    .toString()
    .split('\0')
  t.same(names, [
    'user.parentfs.origin',
    'user.parentfs.validator',
    'user.parentfs.resident_bytes',
    'user.parentfs.complete',
    'user.parentfs.mode',
    '',
  ])
  t.equal((await get(bytes - 1, null)).errno, errno.ERANGE)
  t.equal((await get(10, null, 1n)).bytes.length, 0)
})

t.test('what would change something is EROFS, what is unknown ENOSYS', async t => {
  const { backend, session } = fakeTransport()
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 10 })
  const expected: Record<string, number> = {}
  for (const name of ['SETATTR', 'SYMLINK', 'MKNOD', 'MKDIR', 'UNLINK', 'RMDIR', 'RENAME', 'RENAME2', 'LINK']) {
    expected[name] = errno.EROFS
  }
  for (const name of ['CREATE', 'TMPFILE', 'WRITE', 'SETXATTR', 'REMOVEXATTR', 'FALLOCATE', 'COPY_FILE_RANGE']) {
    expected[name] = errno.EROFS
  }
  for (const name of ['FLUSH', 'GETLK', 'SETLK', 'SETLKW', 'BMAP', 'POLL', 'READLINK', 'SETUPMAPPING']) {
    expected[name] = errno.ENOSYS
  }
  for (const name of ['FSYNC', 'FSYNCDIR', 'SYNCFS', 'DESTROY']) expected[name] = 0
  expected.IOCTL = errno.ENOTTY
  for (const [name, wanted] of Object.entries(expected)) {
    const opcode = opcodes[name as keyof typeof opcodes]
    t.equal((await session.ask({ opcode, nodeId, body: Buffer.alloc(64) })).errno, wanted, name)
  }
  for (const opcode of [0, 7, 999, 0xffffffff]) {
    t.equal((await session.ask({ opcode, nodeId: reservedNodeIds })).errno, errno.ENOSYS, String(opcode))
  }
})

t.test('requests shorter than their structures are input/output errors', async t => {
  const { backend, session, transport } = fakeTransport(new FakeBackend())
  const { nodeId } = backend.add({ name: 'a', sizeBytes: 10 })
  const { LOOKUP, GETATTR, STATX, ACCESS, OPEN, READ, RELEASE, LSEEK, OPENDIR, READDIR, READDIRPLUS, RELEASEDIR } =
    opcodes
  const { GETXATTR, LISTXATTR, INIT } = opcodes
  const all = [LOOKUP, GETATTR, STATX, ACCESS, OPEN, READ, RELEASE, LSEEK, OPENDIR, READDIR, READDIRPLUS, RELEASEDIR]
  for (const opcode of [...all, GETXATTR, LISTXATTR, INIT]) {
    const { errno: got } = await session.ask({ opcode, nodeId, body: Buffer.alloc(0) })
    t.equal(got, errno.EIO, String(opcode))
  }
  t.equal(transport.gauges().malformed, 15)
})
