/**
 * The session threads on a real mount: what they answer themselves, what they hand over, and how they end.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { mkdir, mkdtemp, open, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { addLatencies, latencyBuckets } from '../../src/base/latency-histogram.ts'
import { loadAddon, type StoreFile } from '../../src/native/addon.ts'
import { mountTiny, opcodes, type TinyFuse } from '../fixtures/tiny-fuse.ts'
import { patienceMs, until } from '../fixtures/until.ts'
import { writeBlocks } from '../fixtures/write-blocks.ts'

const run = promisify(execFile)
const blockBytes = 65536
const sizeBytes = 9 * 1024 * 1024 + 12345
const image = randomBytes(sizeBytes)
/** Errnos of Linux. */
const noEntry = 2
const noDevice = 19
const mounting = { skip: process.getuid?.() === 0 ? false : 'mounting needs root' }

interface Rig {
  readonly fuse: TinyFuse
  readonly file: StoreFile
  readonly path: string
  readonly dataPath: string
  readonly resident: BigUint64Array<ArrayBuffer>
  readonly generations: Uint32Array<ArrayBuffer>
}

/** A mount with the whole image in its store; nothing is resident yet. */
async function start(t: Test): Promise<Rig> {
  const directory = await mkdtemp(join(tmpdir(), 'parentfs-session-'))
  await mkdir(join(directory, 'mnt'))
  const addon = loadAddon()
  const engine = addon.createEngine({ storeThreads: 4 })
  engine.setTick(77)
  const dataPath = join(directory, 'data')
  const file = await engine.openFile(dataPath, sizeBytes, blockBytes)
  for (let at = 0; at < sizeBytes; at += 64 * blockBytes)
    await writeBlocks(file, at, image.subarray(at, at + 64 * blockBytes))
  const mountpoint = join(directory, 'mnt')
  const onMiss = (offset: number, length: number) => image.subarray(offset, offset + length)
  const fuse = mountTiny({ addon, engine, mountpoint, file, sizeBytes, threads: 4, onMiss })
  t.teardown(async () => {
    await fuse.close()
    file.close()
    await engine.close()
    await rm(directory, { recursive: true })
  })
  const resident = new BigUint64Array(file.table)
  return { fuse, file, path: join(mountpoint, 'image'), dataPath, resident, generations: new Uint32Array(file.table) }
}

function publishAll({ resident }: Rig): void {
  for (let object = 0; object < resident.length / 2; object++) Atomics.store(resident, object * 2, ~0n)
}

t.test('what is not resident comes to JavaScript, and what is does not', mounting, async t => {
  const rig = await start(t)
  const { fuse, path } = rig
  t.ok((await readFile(path)).equals(image), 'cold')
  t.ok(fuse.seen.get(opcodes.read)! > 0)
  t.equal(fuse.session.counters().hits, 0)

  publishAll(rig)
  const missesBefore = fuse.seen.get(opcodes.read)
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECT) // Past the kernel's page cache.
  const target = new Uint8Array(1 << 20)
  const { bytesRead } = await handle.read(target, 0, 1 << 20, 4 << 20)
  await handle.close()
  t.equal(bytesRead, 1 << 20)
  t.ok(Buffer.from(target.buffer).equals(image.subarray(4 << 20, 5 << 20)), 'warm')
  t.equal(fuse.seen.get(opcodes.read), missesBefore)
  // Counted before the answer, and timed when it has gone out.
  const { hits, hitBytes } = fuse.session.counters()
  t.equal(hitBytes, 1 << 20)
  t.ok(hits > 0)
  const { memory, disk } = fuse.session.latencies()
  for (const { counts } of [memory, disk]) t.equal(counts.length, latencyBuckets)
  const timed = () => {
    const { memory, disk } = fuse.session.latencies()
    return addLatencies(memory, disk).counts.reduce((sum, count) => sum + count, 0)
  }
  await until(() => timed() === hits, patienceMs, 'each hit has its time')
  t.equal(new Uint32Array(rig.resident.buffer)[4 + 3], 77, 'lastUse of the object that was read')
  t.equal(new Uint32Array(rig.resident.buffer)[3], 0, 'and of another')
})

t.test('what was evicted comes to JavaScript again', mounting, async t => {
  const rig = await start(t)
  publishAll(rig)
  t.ok((await readFile(rig.path)).equals(image))
  const misses = rig.fuse.seen.get(opcodes.read) ?? 0
  Atomics.store(rig.resident, 2, 0n)
  Atomics.add(rig.generations, 4 + 2, 1)
  t.ok((await readDirect(rig.path)).equals(image))
  t.ok((rig.fuse.seen.get(opcodes.read) ?? 0) > misses)
})

t.test('a hit whose pages are not in memory is answered by a store thread', mounting, async t => {
  const rig = await start(t)
  publishAll(rig)
  await dropPages(rig.dataPath)
  t.ok((await readDirect(rig.path)).equals(image))
  // Counted when the answer has gone out.
  await until(() => rig.fuse.session.counters().hitBytes === sizeBytes, patienceMs, 'the hits are counted')
  const { deferred, hits } = rig.fuse.session.counters()
  t.ok(deferred > 0 && deferred <= hits, `${deferred} of ${hits} hits`)
  t.same(
    rig.file.hits(),
    { hits, hitBytes: sizeBytes },
    'the file counts those that threads answered, and those of the disk',
  )
  t.equal(rig.fuse.seen.get(opcodes.read), undefined)
})

t.test('an unmount ends the session with ENODEV, and stop resolves after it', mounting, async t => {
  const { fuse, path } = await start(t)
  await readFile(path)
  await run('umount', [dirname(path)])
  t.equal(await fuse.ended, noDevice)
  await fuse.session.stop()
  t.not(fuse.session.reply(1n, 0, null), 0)
})

t.test('stop ends threads that wait, says 0, and leaves the descriptor to its owner', mounting, async t => {
  const { fuse, path } = await start(t)
  await readFile(path)
  await Promise.all([fuse.session.stop(), fuse.session.stop()])
  t.equal(await fuse.ended, 0)
  await fuse.session.stop()
  t.equal(fuse.session.reply(99n, 0, null), noEntry, 'it still answers; nobody asked 99')
})

t.test('stop under load loses no request: all are answered or left to the next session', mounting, async t => {
  const rig = await start(t)
  const reading = readDirect(rig.path)
  await until(() => (rig.fuse.seen.get(opcodes.read) ?? 0) > 0, patienceMs, 'reads have begun')
  await rig.fuse.session.stop()
  const next = rig.fuse.resume()
  t.ok((await reading).equals(image))
  await next.stop()
})

/** The image through O_DIRECT: past the kernel's page cache, so that every byte is asked for. */
async function readDirect(path: string): Promise<Buffer> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECT)
  const target = Buffer.alloc(sizeBytes)
  let done = 0
  while (done < sizeBytes) {
    const { bytesRead } = await handle.read(target, done, Math.min(1 << 20, sizeBytes - done), done)
    if (bytesRead === 0) break
    done += bytesRead
  }
  await handle.close()
  return target
}

/** Write the data file back and take its pages out of memory. */
async function dropPages(path: string): Promise<void> {
  await run('dd', [`of=${path}`, 'oflag=nocache', 'conv=notrunc,fdatasync', 'count=0'])
}
