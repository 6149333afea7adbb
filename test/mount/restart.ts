/** A mount that is read from its beginning to its end, and once more after it: right bytes, and right numbers. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runtimeDirectory, runtimeSurroundings, socketPath } from '../../src/admin/socket-path.ts'
import {
  cannotMount,
  isGone,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
  transport,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { until } from '../fixtures/until.ts'

const image = { seed: 7, sizeBytes: 9 * 1024 * 1024 + 4321 }
const bytes = sampleBytes(image, 0, image.sizeBytes)

/** New directories with one image. */
function placeWithImage(test: Pick<Test, 'teardown'>): Place {
  const where = place(test)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  return where
}

const options = { skip: cannotMount }

t.test('mount, read, status, unmount: right bytes, right numbers, nothing left', options, async t => {
  const where = placeWithImage(t)
  const daemon = await mountDaemon(t, where)
  t.ok(readFileSync(join(where.mountpoint, 'a.raw')).equals(bytes))
  const status = await statusOf(where)
  t.match(status, {
    mountpoint: where.mountpoint,
    transport,
    state: 'ready',
    supervisorPid: daemon.supervisorPid,
    cache: { directory: where.cacheDirectory, blockBytes: 65536, capacityBytes: 200 * 1024 ** 2 },
    origin: { url: where.origin, errors: 0 },
    images: [{ name: 'a.raw', sizeBytes: image.sizeBytes }],
  })
  t.equal(status.reads.hitBytes + status.reads.missBytes, image.sizeBytes)
  const all = JSON.parse((await parentfs('status', '--json')).stdout.toString()) as { mountpoint: string }[]
  t.ok(all.some(({ mountpoint }) => mountpoint === where.mountpoint))
  t.match((await parentfs('status', where.mountpoint)).stdout.toString(), /a\.raw/)
  t.match((await parentfs('status')).stdout.toString(), where.mountpoint)
  const unmounted = await parentfs('unmount', where.mountpoint)
  t.match(unmounted, { code: 0, stderr: '' })
  t.ok(await isGone(where, daemon.supervisorPid, status.pid), 'everything has gone when the command returns')
  t.equal((await daemon.exited).code, 0)
  t.notOk(existsSync(socketPath(where.mountpoint, runtimeDirectory(runtimeSurroundings()))))
})

t.test('after a restart everything that was read is there, and the origin is asked nothing', options, async t => {
  const where = placeWithImage(t)
  const origin = await spawnHttpOrigin({ directory: where.originDirectory })
  t.teardown(() => origin.close())
  const remote = { ...where, origin: origin.url }
  const read = () => readFileSync(join(where.mountpoint, 'a.raw')).equals(bytes)
  const first = await mountDaemon(t, remote)
  t.ok(read())
  await until(async () => (await statusOf(where)).images[0]!.complete, patienceMs, 'promotion')
  first.child.kill('SIGTERM')
  await first.exited
  // The kernel would read by itself what the scrub has verified by then.
  const second = await mountDaemon(t, remote, '--passthrough', 'never')
  t.ok(read())
  t.match(await statusOf(where), { origin: { requests: 0, bytes: 0 }, reads: { misses: 0, hitBytes: image.sizeBytes } })
  second.child.kill('SIGTERM')
  await second.exited
  await origin.close()
  const third = await mountDaemon(t, remote)
  t.ok(read(), 'also when the origin is away')
  third.child.kill('SIGTERM')
  t.equal((await third.exited).code, 0)
})
