/** Complete images that the kernel reads by itself: by which opens, how far, and the changes that this prevents. */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import {
  cannotMount,
  capabilities,
  makeComplete,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
} from '../fixtures/daemon.ts'
import { damage } from '../fixtures/damage.ts'
import { type FioOptions, readWithFio, writeVerified } from '../fixtures/fio.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { openPassed } from '../fixtures/passed.ts'
import { attempt, run, start } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount || (capabilities.passthrough ? false : 'this transport has no passthrough') }
const MiB = 1024 ** 2
const image = { seed: 21, sizeBytes: 8 * MiB + 512, dataShare: 0.9 }

/** One mount of one image that is complete, and that the next open is given. */
async function mountComplete(t: Test, ...more: string[]): Promise<Place & { readonly target: string }> {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  await mountDaemon(t, where, ...more)
  await makeComplete(where, 'a.raw')
  return { ...where, target: join(where.mountpoint, 'a.raw') }
}

/** Bytes that a descriptor reads past every page cache but the data file's own. */
async function hashOf(handle: FileHandle): Promise<string> {
  const bytes = Buffer.alloc(image.sizeBytes)
  const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0)
  return createHash('sha256').update(bytes.subarray(0, bytesRead)).digest('hex')
}

const wanted = sampleBytes(image, 0, image.sizeBytes)
const wantedHash = createHash('sha256').update(wanted).digest('hex')
/**
 * Maps the file, closes it (the module mmap would keep it open), says so, and hashes what is mapped when it hears a
 * line.
 */
const mapper = `import ctypes,hashlib,os,sys
libc=ctypes.CDLL(None); libc.mmap.restype=ctypes.c_void_p
libc.mmap.argtypes=[ctypes.c_void_p,ctypes.c_size_t,ctypes.c_int,ctypes.c_int,ctypes.c_int,ctypes.c_long]
fd=os.open(sys.argv[1],os.O_RDONLY); size=os.fstat(fd).st_size; at=libc.mmap(None,size,1,1,fd,0); os.close(fd)
print("mapped",flush=True); sys.stdin.readline(); print(hashlib.sha256(ctypes.string_at(at,size)).hexdigest())`

t.test('a complete image is read by the kernel alone, by every kind of read', options, async t => {
  const where = await mountComplete(t, '--passthrough', 'always')
  const { ino } = statSync(where.target)
  const handle = await openPassed(t, where, 'a.raw')
  const before = await statusOf(where)
  t.match(before.passthrough, { off: '', openNow: 1, images: 1, refused: 0 })
  t.ok(before.passthrough.heldBytes > 0 && before.passthrough.heldBytes <= image.sizeBytes)
  t.equal((await handle.stat()).ino, ino, 'it is the same file')
  t.ok((await handle.readFile()).equals(wanted), 'read(2)')
  await run('cmp', where.target, join(where.originDirectory, 'a.raw'))
  for (const flags of ['direct', 'fullblock']) {
    await run('dd', `if=${where.target}`, `of=${where.top}/${flags}`, 'bs=60k', `iflag=${flags}`, 'status=none')
    t.ok(readFileSync(join(where.top, flags)).equals(wanted), flags)
  }
  // Asks for holes with lseek, which comes to us.
  await run('cp', '--sparse=always', where.target, join(where.top, 'copy'))
  t.ok(readFileSync(join(where.top, 'copy')).equals(wanted), 'lseek')
  await run(
    'qemu-img',
    'convert',
    '-f',
    'raw',
    '-O',
    'raw',
    '-t',
    'none',
    '-T',
    'none',
    where.target,
    `${where.top}/raw`,
  )
  t.ok(
    readFileSync(join(where.top, 'raw')).equals(Buffer.concat([wanted], Math.ceil(wanted.length / 512) * 512)),
    'qemu',
  )
  t.equal((await handle.read(Buffer.alloc(4096), 0, 4096, image.sizeBytes)).bytesRead, 0, 'nothing past the end')
  const after = await statusOf(where)
  t.equal(after.reads.hits + after.reads.misses, before.reads.hits + before.reads.misses, 'nobody asked us')
  await handle.close()
  await until(async () => (await statusOf(where)).passthrough.openNow === 0, patienceMs, 'the release')
  t.match(await statusOf(where), { passthrough: { images: 0, heldBytes: 0 }, gauges: { openImages: 0 } })
})

t.test('fio verifies what the kernel reads: direct, buffered and mapped, 4 jobs', options, async t => {
  const where = place(t)
  await writeVerified(join(where.originDirectory, 'a.raw'), 8 * MiB)
  await mountDaemon(t, where, '--passthrough', 'always')
  await makeComplete(where, 'a.raw')
  const target = join(where.mountpoint, 'a.raw')
  const handle = await openPassed(t, where, 'a.raw')
  const ways: FioOptions[] = [
    { engine: 'libaio', direct: true, depth: 32, jobs: 4 },
    { engine: 'io_uring', direct: true, depth: 32, jobs: 4 },
    { engine: 'io_uring', direct: false, depth: 8, jobs: 4 },
    { engine: 'mmap', direct: false, depth: 1, jobs: 4 },
  ]
  const { reads } = await statusOf(where)
  for (const way of ways) {
    const { code, error, stderr } = await readWithFio(target, 8 * MiB, way)
    t.match({ code, error, stderr }, { code: 0, error: 0, stderr: '' }, `${way.engine}, direct: ${way.direct}`)
  }
  t.same((await statusOf(where)).reads, reads, 'nobody asked us')
  await handle.close()
})

t.test('what is open so, or mapped, is not evicted; afterwards it is', options, async t => {
  const where = await mountComplete(t)
  const evict = async () => {
    const stdout = `${(await parentfs('evict', where.target)).stdout}`
    const { residentBytes } = (await statusOf(where)).images[0]!
    t.equal(/ stays, as the kernel reads the file by itself/.test(stdout), residentBytes > 0, stdout)
    return residentBytes
  }
  const handle = await openPassed(t, where, 'a.raw')
  t.equal(await evict(), image.sizeBytes, 'open')
  t.equal(await hashOf(handle), wantedHash)
  const { child, ended } = start('python3', ['-c', mapper, where.target], { stdin: 'pipe' })
  let said = ''
  child.stdout!.on('data', chunk => {
    said += chunk
  })
  await until(() => said.includes('mapped'), patienceMs, 'the mapping')
  await handle.close()
  await until(async () => (await statusOf(where)).passthrough.openNow === 0, patienceMs, 'the release')
  t.match((await statusOf(where)).passthrough, { openNow: 0, images: 1 }, 'a mapping outlives its open')
  t.equal(await evict(), image.sizeBytes, 'mapped')
  child.stdin!.end('\n')
  t.equal((await ended).stdout.toString().trim().split('\n').at(-1), wantedHash)
  t.equal(await evict(), 0, 'neither')
  await run('cmp', where.target, join(where.originDirectory, 'a.raw'))
})

t.test('a block that rots under who reads it is written again, and never punched', options, async t => {
  const where = await mountComplete(t)
  const handle = await openPassed(t, where, 'a.raw')
  const directory = join(where.cacheDirectory, 'images')
  const [name] = readdirSync(directory)
  damage(join(directory, name!), 3 * MiB + 100)
  t.not(await hashOf(handle), wantedHash, 'damaged')
  await parentfs('verify', where.mountpoint)
  await until(async () => (await statusOf(where)).passthrough.repairedBlocks === 1, patienceMs, 'the block')
  t.equal(await hashOf(handle), wantedHash, 'mended')
  t.match(await statusOf(where), { scrub: { corruptBlocks: 1 }, images: [{ complete: true }] })
  t.match(await parentfs('verify', where.mountpoint), { code: 0, stdout: /no damaged block/ })
})

t.test('reads go on while workers are killed, and nothing is held of them in the end', options, async t => {
  const where = await mountComplete(t)
  const handles = [await openPassed(t, where, 'a.raw')]
  t.teardown(() => Promise.all(handles.map(handle => handle.close().catch(() => {}))))
  let isOver = false
  const seen = { reads: 0, wrong: 0 }
  const reading = (async () => {
    while (!isOver) {
      if ((await hashOf(handles[0]!)) !== wantedHash) seen.wrong++
      seen.reads++
    }
  })()
  for (let kill = 0; kill < 3; kill++) {
    const { pid } = await statusOf(where)
    const readBefore = seen.reads
    process.kill(pid, 'SIGKILL')
    await until(async () => (await statusOf(where)).pid !== pid, patienceMs, 'another worker')
    // Its backing file would be another one than that of the present opens: it is read through the daemon.
    const opened = await open(where.target, 'r')
    handles.push(opened)
    t.equal(await hashOf(opened), wantedHash, 'a new open')
    await until(() => seen.reads > readBefore, patienceMs, 'the reader goes on')
  }
  isOver = true
  await reading
  t.equal(seen.wrong, 0, `${seen.reads} reads of the whole image`)
  for (const handle of handles) await handle.close()
  const again = await openPassed(t, where, 'a.raw')
  t.equal(await hashOf(again), wantedHash, 'by the kernel alone once more')
  await again.close()
  // A backing file that was forgotten would hold the data file.
  const isEvicted = async () => {
    await parentfs('evict', where.target)
    return (await statusOf(where)).images[0]!.residentBytes === 0
  }
  await until(isEvicted, patienceMs, 'the eviction of what nobody holds')
  t.match((await statusOf(where)).passthrough, { openNow: 0, images: 0, heldBytes: 0 })
  await run('cmp', where.target, join(where.originDirectory, 'a.raw'))
})

t.test('what is too much to be held, or not wanted, is read through us', options, async t => {
  // Over half of the capacity: eviction could not make room for anything else.
  const small = await mountComplete(t, '--block-size', '4KiB', '--capacity', '13MiB')
  const handle = await open(small.target, 'r')
  await until(async () => (await statusOf(small)).images[0]!.digest === 'none', patienceMs, 'that there is no digest')
  const isRefused = async () => {
    await attempt('cat', small.target)
    return (await statusOf(small)).passthrough.refused > 0
  }
  await until(isRefused, patienceMs, 'a refusal')
  t.match((await statusOf(small)).passthrough, { off: '', opens: 0, heldBytes: 0 })
  await handle.close()
  const without = await mountComplete(t, '--no-passthrough')
  await run('cmp', without.target, join(without.originDirectory, 'a.raw'))
  t.match((await statusOf(without)).passthrough, { off: 'the configuration says so', opens: 0 })
})
