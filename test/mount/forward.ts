/** Mode `forward` on a real mount: the kernel reads the origin's own files, and what it cannot is served as in `proxy`. */
import {
  closeSync,
  constants,
  createReadStream,
  mkdirSync,
  openSync,
  readSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  cannotMount,
  capabilities,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
} from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount || (capabilities.passthrough ? false : 'this transport has no passthrough') }
const MiB = 1024 ** 2
const image = { seed: 61, sizeBytes: 4 * MiB + 513, dataShare: 0.9 }
const bytes = sampleBytes(image, 0, image.sizeBytes)

async function mounted(t: Test, ...more: string[]) {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  await mountDaemon(t, where, ...more)
  const target = join(where.mountpoint, 'a.raw')
  const mode = async (...words: string[]) =>
    t.match(await parentfs('mode', '-m', where.mountpoint, ...words), { code: 0 })
  return { where, target, mode }
}

/** Opens until the kernel is given the origin's file: names are looked up again soon. */
async function openForwarded(t: Test, where: Place, target: string): Promise<FileHandle> {
  const { opens } = (await statusOf(where)).forwarding
  for (const endMs = Date.now() + patienceMs; Date.now() < endMs; ) {
    const handle = await open(target, 'r')
    if ((await statusOf(where)).forwarding.opens > opens) {
      t.teardown(() => handle.close().catch(() => {}))
      return handle
    }
    await handle.close()
  }
  throw new Error(`never forwarded: ${JSON.stringify((await statusOf(where)).forwarding)}`)
}

async function isWhole(handle: FileHandle): Promise<boolean> {
  const read = Buffer.alloc(image.sizeBytes + 1)
  const { bytesRead } = await handle.read(read, 0, read.length, 0)
  return bytesRead === bytes.length && read.subarray(0, bytesRead).equals(bytes)
}

t.test('the kernel reads the file of the origin: nobody asks us, and nothing is kept', options, async t => {
  const { where, target, mode } = await mounted(t)
  const early = await open(target, 'r')
  t.teardown(() => early.close().catch(() => {}))
  await mode('forward')
  const handle = await openForwarded(t, where, target)
  const before = await statusOf(where)
  t.match(before.forwarding, { openNow: 1, refused: 0 })
  t.ok(await isWhole(handle))
  const after = await statusOf(where)
  t.same([after.reads, after.origin.bytes], [before.reads, before.origin.bytes], 'nobody asked us')
  t.equal((await handle.stat()).ino, (await early.stat()).ino, 'it is the same file')
  t.ok(await isWhole(early), 'one that was open before is served')
  // With O_DIRECT, reads come to us: no reader has to know the alignment of the origin's disk.
  const fd = openSync(target, constants.O_RDONLY | constants.O_DIRECT)
  const block = Buffer.alloc(512)
  t.equal(readSync(fd, block, 0, 512, 512), 512)
  t.ok(block.equals(bytes.subarray(512, 1024)))
  closeSync(fd)
  const { images, promotion } = await statusOf(where)
  t.match(images, [{ residentBytes: 0, mode: 'forward' }])
  t.equal(promotion.promotedBytes, 0)
  // Back to promote while it is open: other opens are served, this one goes on.
  await mode('promote')
  const kept = await open(target, 'r')
  t.ok(await isWhole(kept))
  t.ok(await isWhole(handle))
  await kept.close()
  await handle.close()
  await until(async () => (await statusOf(where)).forwarding.openNow === 0, patienceMs, 'the release')
})

t.test('workers that die leave readers alone, and forwarding begins again', options, async t => {
  const { where, target, mode } = await mounted(t)
  await mode('forward')
  const first = await openForwarded(t, where, target)
  const handles = [first]
  for (let death = 0; death < 2; death++) {
    const { pid } = await statusOf(where)
    process.kill(pid, 'SIGKILL')
    await until(async () => (await statusOf(where)).pid !== pid, patienceMs, 'another worker')
    // A second backing file beside that of the first open would be EIO.
    for (let k = 0; k < 20; k++) {
      const opened = await open(target, 'r')
      t.ok(await isWhole(opened))
      await opened.close()
    }
    t.ok(await isWhole(first), 'the reader goes on')
    t.equal((await statusOf(where)).forwarding.openNow, 0)
  }
  await Promise.all(handles.map(handle => handle.close()))
  const again = await openForwarded(t, where, target)
  t.ok(await isWhole(again))
  t.match((await statusOf(where)).forwarding, { openNow: 1 })
})

t.test('a version that is replaced stays with its readers, and the next open has the new one', options, async t => {
  const { where, target, mode } = await mounted(t, '--revalidate', '1s')
  await mode('forward')
  const handle = await openForwarded(t, where, target)
  const next = { seed: 62, sizeBytes: MiB, dataShare: 1 }
  writeSample(join(where.top, 'next.raw'), next)
  renameSync(join(where.top, 'next.raw'), join(where.originDirectory, 'a.raw'))
  const expected = sampleBytes(next, 0, next.sizeBytes)
  const isNew = async () => {
    const chunks: Buffer[] = []
    for await (const chunk of createReadStream(target)) chunks.push(chunk)
    return Buffer.concat(chunks).equals(expected)
  }
  await until(isNew, patienceMs, 'the new version')
  t.ok(await isWhole(handle), 'of the version that was opened')
})

t.test('origins with a rate, or with views, are served as in proxy', options, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const file = join(where.top, 'p.yaml')
  const second = join(where.top, 'second')
  mkdirSync(second)
  writeSample(join(second, 'a.raw'), image)
  writeFileSync(
    file,
    `mountpoint: ${where.mountpoint}
cache: { directory: ${where.cacheDirectory}, capacity: 200MiB, mode: forward }
origins:
  rated: { url: "${where.origin}", bytesPerSecond: 1GiB }
  viewed: { url: "file://${second}", views: [raw] }
`,
  )
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  for (const name of ['rated/a.raw', 'viewed/a.raw']) {
    for (let k = 0; k < 3; k++) {
      const handle = await open(join(where.mountpoint, name), 'r')
      t.ok(await isWhole(handle), name)
      await handle.close()
    }
  }
  const { forwarding, promotion } = await statusOf(where)
  t.match({ forwarding, promotion }, { forwarding: { opens: 0 }, promotion: { promotedBytes: 0 } })
})
