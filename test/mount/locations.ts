/** A mount whose images have further locations: real web servers, one that is stopped, one that differs. */
import { copyFileSync, mkdirSync, openSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import type { ImageLocation } from '../../src/origin/locations/image-location.ts'
import { cannotMount, isGone, parentfs, patienceMs, place, statusOf } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const image = { seed: 23, sizeBytes: 12 * 1024 * 1024 + 5 }

t.test('the nearer location is read, and one that differs is named and never read', { skip: cannotMount }, async t => {
  const where = place(t)
  const [near, other] = [join(where.top, 'near'), join(where.top, 'other')]
  for (const directory of [near, other]) mkdirSync(directory)
  const original = join(where.originDirectory, 'a.raw')
  writeSample(original, image)
  for (const directory of [near, other]) copyFileSync(original, join(directory, 'a.raw'))
  // One byte in the last block.
  writeSync(openSync(join(other, 'a.raw'), 'r+'), Buffer.from([255, 254]), 0, 2, image.sizeBytes - 3)
  const far = await spawnHttpOrigin({ directory: where.originDirectory, delayMs: 50 })
  const nearby = await spawnHttpOrigin({ directory: near })
  const wrong = await spawnHttpOrigin({ directory: other })
  t.teardown(() => Promise.all([far.close(), nearby.close(), wrong.close()]))
  const file = join(where.top, 'p.yaml')
  const lines = [
    `mountpoint: ${where.mountpoint}`,
    `origin: { url: "${far.url}", locations: ["${nearby.url}", "${wrong.url}"] }`,
    `cache: { directory: ${where.cacheDirectory}, capacity: 150MiB, readAhead: 0 }`,
  ]
  writeFileSync(file, lines.join('\n'))
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  const { pid, supervisorPid } = await statusOf(where)
  const path = join(where.mountpoint, 'a.raw')
  // Past the page cache of the kernel.
  const copy = join(where.top, 'copy')
  const read = (...more: string[]) => run('dd', `if=${path}`, `of=${copy}`, 'bs=64K', 'iflag=direct', ...more)
  const readsRight = async (...more: string[]) => {
    await read(...more)
    const bytes = readFileSync(copy)
    return bytes.equals(sampleBytes(image, 0, bytes.length))
  }
  await read('count=1')
  const locations = async () => {
    const { stdout } = await parentfs('locations', 'a.raw', '-m', where.mountpoint, '--json')
    return JSON.parse(stdout.toString()) as ImageLocation[]
  }
  const isSettled = async () => {
    const [, good, bad] = await locations()
    return good?.state === 'good' && good.isRead && bad?.state === 'quarantined'
  }
  await until(isSettled, patienceMs, 'the comparison')
  t.match((await parentfs('locations', 'a.raw', '-m', where.mountpoint)).stdout.toString(), /quarantined/)
  const before = (await locations())[1]!.bytes
  t.ok(await readsRight())
  t.ok((await locations())[1]!.bytes > before, 'of the nearer one')
  const verified = await parentfs('verify', '--locations', 'a.raw', '-m', where.mountpoint)
  t.equal(verified.code, 1)
  t.match(verified.stdout.toString(), new RegExp(`${nearby.url}: the same`))
  t.match(verified.stdout.toString(), new RegExp(`${wrong.url}: DIFFERS in 1 blocks, at 12582912`))
  // The nearer one goes away in the middle.
  t.match(await parentfs('evict', 'a.raw', '-m', where.mountpoint), { code: 0 })
  await nearby.close()
  t.ok(await readsRight('count=16'))
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.ok(await isGone(where, pid, supervisorPid))
})
