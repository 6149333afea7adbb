/**
 * Mounts of images that come from the front alone.
 */
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, isGone, mountArguments, parentfs, place, statusOf } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 * 1024

t.test('a server without ranges: one pass, readers wait, all of it is kept', { skip: cannotMount }, async t => {
  const where = place(t)
  const image = { seed: 31, sizeBytes: 24 * MiB + 513, dataShare: 1 }
  const path = join(where.originDirectory, 'a.raw')
  writeSample(path, image)
  const origin = await spawnHttpOrigin({ directory: where.originDirectory, ranges: 'no', bytesPerSecond: 24 * MiB })
  t.teardown(() => origin.close())
  t.match(await parentfs(...mountArguments({ ...where, origin: origin.url }, '--background')), { code: 0 })
  await origin.reset()
  const file = await open(join(where.mountpoint, 'a.raw'))
  const readRight = async (offset: number, length: number) => {
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, offset)
    return sampleBytes(image, offset, length).equals(buffer)
  }
  t.same(await Promise.all([readRight(20 * MiB, MiB), readRight(100, 4096), readRight(7 * MiB, 65536)]), [
    true,
    true,
    true,
  ])
  await file.close()
  await run('cmp', path, join(where.mountpoint, 'a.raw'))
  const held = async () => (await statusOf(where)).images.find(({ name }) => name === 'a.raw')!
  await until(async () => (await held()).complete, 60_000, 'the whole image')
  const { bytes } = (await statusOf(where)).origin
  t.equal(bytes, image.sizeBytes, 'each byte was fetched once')
  const gets = (await origin.counters()).log.filter(({ method, path }) => method === 'GET' && path === '/a.raw')
  t.equal(gets.filter(({ headers }) => headers.range === undefined).length, 1)
  const { pid, supervisorPid } = await statusOf(where)
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.ok(await isGone(where, pid, supervisorPid))
})

t.test(
  'a worker that dies in a pass: what has landed stays, another pass brings the rest',
  {
    skip: cannotMount,
  },
  async t => {
    const where = place(t)
    const image = { seed: 32, sizeBytes: 16 * MiB, dataShare: 1 }
    const path = join(where.originDirectory, 'a.raw')
    writeSample(path, image)
    const origin = await spawnHttpOrigin({ directory: where.originDirectory, ranges: 'no', bytesPerSecond: 8 * MiB })
    t.teardown(() => origin.close())
    t.match(await parentfs(...mountArguments({ ...where, origin: origin.url }, '--background')), { code: 0 })
    const read = readFile(join(where.mountpoint, 'a.raw'))
    await until(async () => (await statusOf(where)).promotion.promotedBytes > 4 * MiB, 60_000, 'a part of it')
    const { pid, supervisorPid } = await statusOf(where)
    process.kill(pid, 'SIGKILL')
    t.ok((await read).equals(await readFile(path)))
    const after = await statusOf(where)
    t.not(after.pid, pid)
    t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
    t.ok(await isGone(where, after.pid, supervisorPid))
  },
)
