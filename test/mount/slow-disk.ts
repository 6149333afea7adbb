/** A cache disk that is slower than the origin costs promotions, not time. */
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, mountDaemon, place, readingAhead, statusOf } from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { writeSample } from '../fixtures/images.ts'
import { run } from '../fixtures/run.ts'

const MiB = 1024 ** 2
const image = { seed: 21, sizeBytes: 96 * MiB, dataShare: 1 }
/** Of a write; 12 threads get 6 MiB a second into the store at most then, and the queue of promotions is soon full. */
const rule = 'write stall 2000'

t.test(
  'a sequential reader does not wait for a disk that is slower than the origin',
  { skip: cannotMount },
  async t => {
    const seconds: number[] = []
    for (const rules of ['', rule]) {
      const where = place(t)
      const source = join(where.originDirectory, 'a.raw')
      writeSample(source, image)
      const origin = await spawnHttpOrigin({
        directory: where.originDirectory,
        delayMs: 10,
        bytesPerSecond: 50 * MiB,
      })
      t.teardown(() => origin.close())
      const faults = join(where.top, 'faults')
      await run('sh', '-c', 'echo "$1" > "$0"', faults, rules)
      process.env.PARENTFS_FAULTS = faults
      await mountDaemon(t, { ...where, origin: origin.url }, ...readingAhead)
      const startedMs = performance.now()
      await run('cmp', source, join(where.mountpoint, 'a.raw'))
      seconds.push((performance.now() - startedMs) / 1000)
      const { promotion, health } = await statusOf(where)
      const { bytes } = await origin.counters()
      t.comment(`"${rules}": ${seconds.at(-1)!.toFixed(2)} s, ${bytes} bytes fetched, ${promotion.dropped} dropped`)
      t.equal(health.state, 'healthy', 'slow is not sick')
      if (rules) t.ok(promotion.dropped > 0)
      t.ok(bytes < 1.1 * image.sizeBytes)
      await run('sh', '-c', ': > "$0"', faults)
    }
    const [healthy, slow] = seconds as [number, number]
    t.ok(slow < 1.4 * healthy, `${slow.toFixed(2)} s beside ${healthy.toFixed(2)} s, aim as much`)
  },
)
