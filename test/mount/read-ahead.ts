/** Prefetch on a real mount: streams, and the boot profile from its learning to its import. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseProfileFile } from '../../src/cache/prefetch/profile-file.ts'
import {
  cannotMount,
  mountDaemon,
  parentfs,
  patienceMs,
  place,
  readingAhead,
  statusOf,
  stop,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'
import { until } from '../fixtures/until.ts'

const MiB = 1024 ** 2

t.test(
  'a sequential reader waits for few of its reads, and what was read is known the next time',
  {
    skip: cannotMount,
  },
  async t => {
    const where = place(t)
    const source = join(where.originDirectory, 'a.raw')
    const target = join(where.mountpoint, 'a.raw')
    writeSample(source, { seed: 9, sizeBytes: 48 * MiB + 777, dataShare: 1 })
    const origin = await spawnHttpOrigin({ directory: where.originDirectory, delayMs: 10 })
    t.teardown(() => origin.close())
    const overHttp = { ...where, origin: origin.url }
    const first = await mountDaemon(t, overHttp, ...readingAhead)
    await run('cmp', source, target)
    const isSettled = async () => (await statusOf(where)).gauges.inflightFetches === 0
    await until(isSettled, patienceMs, 'the end of all fetches')
    const { reads, prefetch } = await statusOf(where)
    t.ok(
      prefetch.purposes.stream.fetchedBytes > 40 * MiB,
      `${prefetch.purposes.stream.fetchedBytes} bytes were fetched ahead`,
    )
    t.ok(reads.misses < (reads.hits + reads.misses) / 2, `${reads.misses} reads waited, ${reads.hits} did not`)
    const { bytes } = await origin.counters()
    t.ok(bytes < 49.5 * MiB, `each byte was fetched once: ${bytes}`)
    t.match(await parentfs('profile', 'show', target), { code: 1, stderr: /no boot profile/ })
    await stop(first)

    const second = await mountDaemon(t, overHttp, ...readingAhead)
    t.match(await parentfs('profile', 'show', target), { code: 0, stdout: /^a\.raw: 4[0-9.]+ MiB in \d+ steps/ })
    const exported = await parentfs('profile', 'export', target)
    t.equal(exported.code, 0)
    t.equal(parseProfileFile(exported.stdout.toString()).sizeBytes, 48 * MiB + 777)
    const file = join(where.top, 'profile.json')
    writeFileSync(file, exported.stdout)
    t.match(await parentfs('profile', 'import', target, file), { code: 0 })
    writeFileSync(file, '{"runs": "none"}')
    t.equal((await parentfs('profile', 'import', target, file)).code, 1)
    writeFileSync(file, 'no JSON')
    t.equal((await parentfs('profile', 'import', target, file)).code, 1)
    await stop(second)
  },
)
