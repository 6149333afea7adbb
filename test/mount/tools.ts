/** fio, dd, cmp, mmap and loop devices find in a mount what they find in a directory. */
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, mountDaemon, type Place, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { type FioOptions, readWithFio, writeVerified } from '../fixtures/fio.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { attempt, run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const MiB = 1024 ** 2
const sizeBytes = 24 * MiB + 512
const image = { seed: 11, sizeBytes }

/** One mount of one image, and where both lie. */
async function mountedSample(t: Test): Promise<Place & { readonly source: string; readonly target: string }> {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  await mountDaemon(t, where)
  return { ...where, source: join(where.originDirectory, 'a.raw'), target: join(where.mountpoint, 'a.raw') }
}

t.test('fio verifies what it reads: libaio and io_uring, direct and buffered, 4 jobs of depth 32', options, async t => {
  const where = place(t)
  await writeVerified(join(where.originDirectory, 'v.raw'), 24 * MiB)
  const origin = await spawnHttpOrigin({ directory: where.originDirectory, delayMs: 1 })
  t.teardown(() => origin.close())
  await mountDaemon(t, { ...where, origin: origin.url })
  const ways: FioOptions[] = (['libaio', 'io_uring'] as const).flatMap(engine =>
    [true, false].map(direct => ({ engine, direct, depth: 32, jobs: 4 })),
  )
  ways.push({ engine: 'psync', direct: true, depth: 1, jobs: 4 })
  for (const way of ways) {
    const { code, error, ios, iops, stderr } = await readWithFio(join(where.mountpoint, 'v.raw'), 24 * MiB, way)
    const name = `${way.engine}, ${way.direct ? 'direct' : 'buffered'}: ${ios} reads, ${iops}/s`
    t.match({ code, error, stderr }, { code: 0, error: 0, stderr: '' }, name)
    t.ok(ios >= (24 * MiB) / 4096)
  }
  t.match(await statusOf(where), { origin: { errors: 0 } })
})

t.test('fio finds a block that is not what it was written as', options, async t => {
  const where = place(t)
  const file = join(where.originDirectory, 'v.raw')
  await writeVerified(file, 4 * MiB)
  await run('dd', 'if=/dev/zero', `of=${file}`, 'bs=4096', 'seek=100', 'count=1', 'conv=notrunc', 'status=none')
  await mountDaemon(t, where)
  const way = { engine: 'libaio', direct: true, depth: 8, jobs: 1 } as const
  t.not((await readWithFio(join(where.mountpoint, 'v.raw'), 4 * MiB, way)).error, 0)
})

t.test('cmp, dd and cp read an image whole, buffered and direct', options, async t => {
  const { source, target, top } = await mountedSample(t)
  await run('cmp', source, target)
  for (const blockSize of ['512', '4k', '64k', '1M', '8M']) {
    const copy = join(top, `copy-${blockSize}`)
    await run('dd', `if=${target}`, `of=${copy}`, `bs=${blockSize}`, 'iflag=direct', 'status=none')
    await run('cmp', source, copy)
  }
  for (const sparse of ['auto', 'always', 'never']) {
    await run('cp', `--sparse=${sparse}`, target, join(top, 'copied'))
    await run('cmp', source, join(top, 'copied'))
  }
  t.ok((await run('tail', '-c', '700', target)).equals(sampleBytes(image, sizeBytes - 700, 700)))
})

t.test('a mapped image shows its bytes, cold and in any order', options, async t => {
  const where = place(t)
  await writeVerified(join(where.originDirectory, 'v.raw'), 24 * MiB)
  await mountDaemon(t, where)
  const way = { engine: 'mmap', direct: false, depth: 1, jobs: 1 } as const
  t.match(await readWithFio(join(where.mountpoint, 'v.raw'), 24 * MiB, way), { error: 0, ios: (24 * MiB) / 4096 })
})

t.test('a loop device over an image reads it, buffered and with direct I/O', options, async t => {
  const { source, target } = await mountedSample(t)
  for (const direct of ['off', 'on']) {
    const device = (await run('losetup', '-r', `--direct-io=${direct}`, '--show', '-f', target)).toString().trim()
    const detach = async () => void (await attempt('losetup', '-d', device))
    t.teardown(detach)
    t.same((await run('losetup', '-n', '-O', 'DIO,RO', device)).toString().trim().split(/ +/), [
      direct === 'on' ? '1' : '0',
      '1',
    ])
    t.equal(Number(await run('blockdev', '--getsize64', device)), sizeBytes)
    await run('cmp', source, device)
    t.not((await attempt('dd', 'if=/dev/zero', `of=${device}`, 'bs=512', 'count=1')).code, 0, 'it takes no writes')
    await detach()
    const isDetached = async () => (await run('losetup', '-j', target)).length === 0
    await until(isDetached, patienceMs, `${device} to let go`)
  }
})
