/** Modes on a real mount: what is served, fetched and kept in each, how they are said, and that restarts keep them. */
import { execFile } from 'node:child_process'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { type Test } from 'tap'
import { cannotMount, type Place, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const MiB = 1024 * 1024
const image = { seed: 31, sizeBytes: 4 * MiB + 17 }
const bytes = sampleBytes(image, 0, image.sizeBytes)
const run = promisify(execFile)

/** A mount of its own, without passthrough: every read comes to the worker, or is a native hit. */
async function mounted(t: Test) {
  const where = place(t)
  for (const name of ['a.raw', 'b.raw']) writeSample(join(where.originDirectory, name), image)
  const more = ['--capacity', '200MiB', '--no-passthrough', '--background']
  const mount = async () => {
    const ran = await parentfs('mount', where.origin, where.mountpoint, '--cache-dir', where.cacheDirectory, ...more)
    t.match(ran, { code: 0, stderr: '' })
  }
  await mount()
  return { where, mount, mode: (...words: string[]) => parentfs('mode', '-m', where.mountpoint, ...words) }
}

/** Read all of an image past the page cache, and compare it. */
function readAll(t: Test, where: Place, name: string): void {
  const fd = openSync(join(where.mountpoint, name), constants.O_RDONLY | constants.O_DIRECT)
  const buffer = Buffer.alloc(image.sizeBytes)
  try {
    for (let at = 0; at < buffer.length; ) at += readSync(fd, buffer, at, Math.min(MiB, buffer.length - at), at)
  } finally {
    closeSync(fd)
  }
  t.ok(buffer.equals(bytes), `${name} has its bytes`)
}

async function imageOf(where: Place, name: string) {
  const { images } = await statusOf(where)
  return images.find(known => known.name === name)!
}

async function atRest(where: Place) {
  const rest = async () => {
    const { gauges, promotion } = await statusOf(where)
    return gauges.inflightFetches === 0 && promotion.queuedBytes === 0
  }
  await until(rest, patienceMs, 'the promotions')
  return statusOf(where)
}

t.test('each mode serves and keeps what it says, from one word to the next, over a restart', options, async t => {
  const { where, mount, mode } = await mounted(t)
  t.match(await mode('proxy'), { code: 0, stdout: /mount +- +proxy +operator/ })
  readAll(t, where, 'a.raw')
  let status = await atRest(where)
  t.equal((await imageOf(where, 'a.raw')).residentBytes, 0, 'proxy: nothing is kept')
  t.match(status, { promotion: { promotedBytes: 0, dropped: 0 }, origins: [{ mode: 'proxy' }] })
  t.ok(status.promotion.withheldBytes >= image.sizeBytes - 65536)
  t.match(await parentfs('promote', join(where.mountpoint, 'a.raw')), { code: 1, stderr: /mode is proxy/ })
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  await mount()
  t.match(await mode(), { code: 0, stdout: /mount +- +proxy +operator\norigin +file:\S+ +proxy +inherited/ })
  t.match(await mode('promote', 'a.raw'), { code: 0, stdout: /image +a\.raw +promote +operator/ })
  for (const name of ['a.raw', 'b.raw']) readAll(t, where, name)
  await atRest(where)
  t.match(await imageOf(where, 'a.raw'), { complete: true, mode: 'promote' })
  t.match(await imageOf(where, 'b.raw'), { residentBytes: 0, mode: 'proxy' })
  const attribute = 'import os,sys; print(os.getxattr(sys.argv[1], "user.parentfs.mode").decode())'
  const { stdout } = await run('python3', ['-c', attribute, join(where.mountpoint, 'b.raw')])
  t.equal(stdout, 'proxy\n')
  t.match(await mode('proxy', 'a.raw'), { code: 0 })
  const before = await statusOf(where)
  readAll(t, where, 'a.raw')
  status = await statusOf(where)
  t.equal(status.origin.bytes, before.origin.bytes, 'proxy: hits are served')
  // Open while the word changes: session threads stop to answer, and begin again.
  const fd = openSync(join(where.mountpoint, 'a.raw'), constants.O_RDONLY | constants.O_DIRECT)
  t.teardown(() => closeSync(fd))
  const block = Buffer.alloc(65536)
  const readBlock = () => readSync(fd, block, 0, block.length, 0) === 65536 && block.equals(bytes.subarray(0, 65536))
  t.match(await mode('none', 'a.raw'), { code: 0 })
  t.ok(readBlock())
  t.equal((await statusOf(where)).reads.hits, status.reads.hits, 'none: the cache is not asked')
  t.ok((await statusOf(where)).origin.bytes > status.origin.bytes)
  const explained = await parentfs('explain', join(where.mountpoint, 'a.raw'), '0')
  t.match(explained, { stdout: /answered by +origin: its mode is none.*\n(.*\n)*.*mode none\n/ })
  t.match(await mode('configured', 'a.raw'), { code: 0 })
  t.ok(readBlock())
  t.ok((await statusOf(where)).reads.hits > status.reads.hits, 'a hit again')
  t.match((await parentfs('metrics', where.mountpoint)).stdout.toString(), /parentfs_origin_mode\{.*mode="proxy"\} 1\n/)
})

t.test('a mode of what is not there is a plain error, and nothing changes', options, async t => {
  const { mode } = await mounted(t)
  t.match(await mode('proxy', 'gone.raw'), { code: 1, stderr: /^parentfs: there is no image "gone\.raw".*\n$/ })
  t.match(await mode('configured', 'a.raw'), { code: 1, stderr: /a\.raw has no mode of its own/ })
  t.match(await mode('proxy', '--origin', 'far'), { code: 1, stderr: /there is no origin "far": there is file:/ })
  t.match(await mode('proxy', 'a.raw', '--origin', 'far'), { code: 1, stderr: /do not go together/ })
  t.match(await mode('readforward'), { code: 2, stderr: /promote, proxy, forward, none, configured/ })
  const listed = JSON.parse((await mode('--json')).stdout.toString())
  t.match(listed, [{ scope: 'mount', name: null, mode: 'promote', by: 'configuration' }, { scope: 'origin' }])
})
