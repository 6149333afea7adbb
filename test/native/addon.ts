/**
 * The boundary to the addon: data files, their shared tables, system calls, and how everything lets go.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readdirSync, readlinkSync } from 'node:fs'
import { mkdtemp, open, rmdir, truncate } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { type Engine, loadAddon, type StoreFile } from '../../src/native/addon.ts'
import { patienceMs, until } from '../fixtures/until.ts'
import { writeBlocks } from '../fixtures/write-blocks.ts'

const run = promisify(execFile)
const addon = loadAddon()
const blockBytes = 4096
const objectBytes = 64 * blockBytes

interface Rig {
  readonly engine: Engine
  readonly file: StoreFile
  readonly path: string
}

async function start(t: Test, sizeBytes: number): Promise<Rig> {
  const engine = addon.createEngine({ storeThreads: 4 })
  const path = join(t.testdir(), 'data')
  const file = await engine.openFile(path, sizeBytes, blockBytes)
  t.teardown(async () => {
    file.close()
    await engine.close()
  })
  return { engine, file, path }
}

/** Descriptors of this process that are open on `path`. */
function descriptorsOf(path: string): number {
  return readdirSync('/proc/self/fd').filter(fd => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`) === path
    } catch {
      return false // The one that readdir itself had open.
    }
  }).length
}

t.test('crc32c is the one of RFC 3720', async t => {
  t.equal(addon.crc32c(Buffer.from('123456789')), 0xe3069283)
  t.equal(addon.crc32c(new Uint8Array(0)), 0)
  t.equal(addon.crc32c(Buffer.alloc(32)), 0x8a9136aa)
})

t.test('what landed is read back where the table says so, and nowhere else', async t => {
  const sizeBytes = 2 * objectBytes + 1000
  const { engine, file } = await start(t, sizeBytes)
  const image = randomBytes(sizeBytes)
  image.fill(0, 3 * blockBytes, 5 * blockBytes)
  const landed = await writeBlocks(file, 0, image.subarray(0, objectBytes))
  t.equal(landed.zero, 0b11000n)
  t.same(
    [...landed.sums].slice(0, 6),
    [0, 1, 2, 3, 4, 5].map(k => addon.crc32c(block(image, k))),
  )
  await writeBlocks(file, objectBytes, image.subarray(objectBytes, 2 * objectBytes))
  const tail = await writeBlocks(file, 2 * objectBytes, image.subarray(2 * objectBytes))
  t.same([...tail.sums], [addon.crc32c(image.subarray(2 * objectBytes))])

  const whole = new Uint8Array(sizeBytes)
  t.equal(await file.read(0, whole), false, 'nothing is resident yet')
  const resident = new BigUint64Array(file.table)
  const words = new Uint32Array(file.table)
  t.equal(file.table.byteLength, 3 * 16)
  for (const object of [0, 1, 2]) Atomics.store(resident, object * 2, ~0n)
  engine.setTick(9)
  t.equal(await file.read(0, whole), true)
  t.ok(image.equals(whole))
  t.same([words[3], words[7], words[11]], [9, 9, 9], 'lastUse')
  t.equal(await file.read(sizeBytes - 5, new Uint8Array(6)), false, 'past the end')
  t.equal(await file.read(sizeBytes, new Uint8Array(0)), true)
  Atomics.and(resident, 2, ~(1n << 63n))
  t.equal(await file.read(2 * objectBytes - 1, new Uint8Array(1)), false)
  t.equal(await file.read(2 * objectBytes - blockBytes - 1, new Uint8Array(1)), true)
})

t.test('verification names the blocks that are right', async t => {
  const { file, path } = await start(t, objectBytes + 10)
  const image = randomBytes(objectBytes + 10)
  const { sums } = await writeBlocks(file, 0, image.subarray(0, objectBytes))
  t.same(await file.verify(0, ~0n & 0xffff_ffff_ffff_ffffn, sums, false), { good: 0xffff_ffff_ffff_ffffn, unread: 0n })
  t.same(await file.verify(0, 0b1010n, sums, false), { good: 0b1010n, unread: 0n })
  const handle = await open(path, 'r+')
  await handle.write(Buffer.from('x'), 0, 1, 3 * blockBytes + 7)
  await handle.close()
  t.same(await file.verify(0, 0b1010n, sums, false), { good: 0b0010n, unread: 0n }, 'a byte that changed')
  const tail = new Uint32Array(64)
  tail[0] = (await writeBlocks(file, objectBytes, image.subarray(objectBytes))).sums[0]!
  const last = await file.verify(1, ~0n & 0xffff_ffff_ffff_ffffn, tail, false)
  t.same(last, { good: 1n, unread: 0n }, 'the last block, and none behind it')
  t.same(await file.verify(2, 1n, tail, false), { good: 0n, unread: 0n }, 'no such object')
})

t.test('holes are punched and found, whole blocks also past the end', async t => {
  const sizeBytes = 2 * objectBytes + 100
  const { file } = await start(t, sizeBytes)
  t.equal(await file.seekData(0), -1)
  await writeBlocks(file, objectBytes, randomBytes(objectBytes))
  await writeBlocks(file, 2 * objectBytes, randomBytes(100))
  await file.sync()
  t.equal(await file.seekData(0), objectBytes)
  t.same(file.usage(), { sizeBytes, allocatedBytes: objectBytes + blockBytes })
  await file.punch(objectBytes, objectBytes + blockBytes)
  t.same(file.usage(), { sizeBytes, allocatedBytes: 0 })
  t.equal(await file.seekData(objectBytes), -1)
  await file.punch(0, 0)
})

t.test('an empty image has an empty table; one of 3 TiB is read at its far end', async t => {
  const empty = await start(t, 0)
  t.equal(empty.file.table.byteLength, 0)
  t.equal(await empty.file.read(0, new Uint8Array(0)), true)
  t.equal(await empty.file.read(0, new Uint8Array(1)), false)
  empty.file.close()

  const sizeBytes = 3 * 2 ** 40
  const huge = await empty.engine.openFile(join(t.testdir(), 'huge'), sizeBytes, blockBytes)
  const bytes = randomBytes(blockBytes)
  await writeBlocks(huge, sizeBytes - blockBytes, bytes)
  const resident = new BigUint64Array(huge.table)
  t.equal(resident.length, 2 * (sizeBytes / objectBytes))
  Atomics.store(resident, resident.length - 2, 1n << 63n)
  const target = new Uint8Array(10)
  t.equal(await huge.read(sizeBytes - 10, target), true)
  t.ok(bytes.subarray(-10).equals(target))
  huge.close()
})

t.test('extents are written in order, up to the first that fails', async t => {
  const { file } = await start(t, objectBytes)
  const [one, two] = [randomBytes(blockBytes), new Uint8Array(2 * blockBytes)]
  const { sums, zeros, error } = await file.writeBlocks([4 * blockBytes, 0, 1, 8 * blockBytes], [two, one, one, one])
  t.same(
    [...sums],
    [addon.crc32c(new Uint8Array(blockBytes)), addon.crc32c(new Uint8Array(blockBytes)), addon.crc32c(one)],
  )
  t.same([...zeros], [0b11n, 0n])
  t.match(error, { code: 'EINVAL', syscall: 'write' })
  t.equal(await file.seekData(blockBytes), -1, 'nothing behind it')
  t.throws(() => file.writeBlocks([0], [one, one]), { name: 'TypeError' })
  t.same((await file.writeBlocks([], [])).error, null)
})

t.test('a system call that fails says its name, its errno and the call', async t => {
  const { engine, file, path } = await start(t, 10 * blockBytes)
  await t.rejects(engine.openFile(path, 9 * blockBytes, blockBytes), { code: 'EFBIG', errno: 27, syscall: 'open' })
  await t.rejects(engine.openFile(join(path, 'no'), 1, blockBytes), { code: 'ENOTDIR', syscall: 'open' })
  await t.rejects(engine.openFile(path, 1, 5000), { code: 'EINVAL' })
  await t.rejects(writeBlocks(file, 1, new Uint8Array(blockBytes)), { code: 'EINVAL', syscall: 'write' })
  await t.rejects(writeBlocks(file, 0, new Uint8Array(10)), { code: 'EINVAL' })
  await t.rejects(writeBlocks(file, 10 * blockBytes, new Uint8Array(blockBytes)), { code: 'EINVAL' })
  t.throws(() => addon.unmount('/proc/nowhere', false), { code: 'ENOENT', syscall: 'umount2' })
  t.throws(() => addon.closeFd(1_000_000), { code: 'EBADF' })
  await truncate(path, blockBytes)
  new BigUint64Array(file.table)[0] = ~0n
  t.equal(await file.read(blockBytes - 1, new Uint8Array(2)), false, 'a file that lost its end is a miss')
})

t.test(
  'a full file system rejects a landing with ENOSPC',
  {
    skip: process.getuid?.() === 0 ? false : 'mounting a small file system needs root',
  },
  async t => {
    const { engine } = await start(t, 0)
    const small = await mkdtemp(join(tmpdir(), 'parentfs-small-'))
    await run('mount', ['-t', 'tmpfs', '-o', 'size=1m', 'small', small])
    t.teardown(async () => {
      await run('umount', ['-l', small])
      await rmdir(small)
    })
    const file = await engine.openFile(join(small, 'data'), 8 * objectBytes, blockBytes)
    const landings = Array.from({ length: 8 }, (_, k) => writeBlocks(file, k * objectBytes, randomBytes(objectBytes)))
    const settled = await Promise.allSettled(landings)
    const refused = settled.filter(each => each.status === 'rejected')
    t.ok(refused.length >= 4, `${refused.length} refused`)
    t.ok(refused.every(each => each.reason.code === 'ENOSPC'))
    file.close()
  },
)

t.test('arguments of the wrong kind are refused before anything happens', async t => {
  const { engine, file } = await start(t, objectBytes)
  const wrong = (call: unknown) => call as never
  t.throws(() => file.read(wrong('0'), new Uint8Array(1)), TypeError)
  t.throws(() => file.read(-1, new Uint8Array(1)), RangeError)
  t.throws(() => file.read(0.5, new Uint8Array(1)), RangeError)
  t.throws(() => file.read(2 ** 53, new Uint8Array(1)), RangeError)
  t.throws(() => file.read(0, wrong(new Uint16Array(1))), TypeError)
  t.throws(() => file.verify(0, -1n, new Uint32Array(64), false), RangeError)
  t.throws(() => file.verify(0, 1n, new Uint32Array(63), false), TypeError)
  t.throws(() => addon.createEngine({ storeThreads: 0 }), RangeError)
  t.throws(() => addon.lockFile('a\0b'), TypeError)
  t.throws(() => new (file.constructor as new () => StoreFile)(), TypeError)
  t.throws(
    () => engine.startSession(0, { threads: 1, onRequests: wrong(null), onReports: () => {}, onEnd: () => {} }),
    TypeError,
  )
})

t.test('closing lets go of the descriptor, and of nothing that is still in use', async t => {
  const { file, path } = await start(t, 100 * objectBytes)
  const bytes = randomBytes(objectBytes)
  t.equal(descriptorsOf(path), 1)
  const pending = Array.from({ length: 20 }, (_, k) => writeBlocks(file, k * objectBytes, bytes))
  file.close()
  file.close()
  const landed = await Promise.all(pending)
  t.ok(landed.every(each => each.sums.length === 64))
  await until(() => descriptorsOf(path) === 0, patienceMs, 'the descriptor is closed')
  t.equal(new BigUint64Array(file.table)[0], 0n, 'the table is there as long as JavaScript has it')
  await t.rejects(file.read(0, bytes), { code: 'EBADF' })
  await t.rejects(file.sync(), { code: 'EBADF' })
  t.throws(() => file.usage(), { code: 'EBADF' })
})

t.test('a closed engine has done its work, and takes no more', async t => {
  const engine = addon.createEngine({ storeThreads: 2 })
  const file = await engine.openFile(join(t.testdir(), 'data'), 50 * objectBytes, blockBytes)
  let landed = 0
  for (let k = 0; k < 50; k++)
    void file.writeBlocks([k * objectBytes], [new Uint8Array(objectBytes).fill(k)]).then(() => landed++)
  await engine.close()
  t.equal(landed, 50)
  await t.rejects(file.sync(), { code: 'ECANCELED' })
  await engine.close()
  file.close()
})

t.test('a lock has one holder', async t => {
  const path = join(t.testdir(), 'lock')
  const fd = addon.lockFile(path)
  t.throws(() => addon.lockFile(path), { code: 'EWOULDBLOCK', syscall: 'flock' })
  addon.closeFd(fd)
  addon.closeFd(addon.lockFile(path))
})

t.test('a descriptor travels over a socket', async t => {
  const path = join(t.testdir({ file: 'x'.repeat(77) }), 'file')
  const handle = await open(path)
  const [here, there] = addon.socketPair()
  addon.sendFd(here, handle.fd)
  await handle.close()
  const received = addon.receiveFd(there)
  t.same(addon.extentAt(received, 5), { hole: false, end: 77 })
  addon.closeFd(here)
  t.throws(() => addon.receiveFd(there), { code: 'ECONNRESET' })
  addon.closeFd(there)
  addon.closeFd(received)
})

t.test('extents of a plain file', async t => {
  const { file, path } = await start(t, 1_000_000)
  await writeBlocks(file, 65536, randomBytes(65536))
  const handle = await open(path)
  t.same(addon.extentAt(handle.fd, 10), { hole: true, end: 65536 })
  t.same(addon.extentAt(handle.fd, 65536), { hole: false, end: 131072 })
  t.same(addon.extentAt(handle.fd, 999_999), { hole: true, end: 1_000_000 })
  t.throws(() => addon.extentAt(handle.fd, 1_000_000), { code: 'ENXIO', syscall: 'lseek' })
  await handle.close()
})

function block(image: Uint8Array, k: number): Uint8Array {
  return image.subarray(k * blockBytes, (k + 1) * blockBytes)
}
