/** A cache disk that is slower than the origin costs promotions, not time. */
import { join } from 'node:path'
import t from 'tap'
import { readaheadBufferMsMax } from '../../src/cache/fetch/limits.ts'
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
      const seconds = (performance.now() - startedMs) / 1000
      const { promotion, health, prefetch, origin: asked } = await statusOf(where)
      const { stream, around } = prefetch.purposes
      const unreadBytes = stream.unreadBytes + around.unreadBytes
      t.comment(`"${rules}": ${seconds.toFixed(2)} s, ${asked.bytes} bytes fetched, ${promotion.dropped} dropped`)
      t.equal(health.state, 'healthy', 'slow is not sick')
      if (rules) t.ok(promotion.dropped > 0, 'where the disk has no turn, nobody waits for one')
      t.ok(stream.readBytes > 0.8 * image.sizeBytes, `${stream.readBytes} bytes were there before they were asked for`)
      // Blocks that the store did not take are fetched once all the same, unless it waits too long for a reader (in
      // memory), or reads are kept from a disk that is too busy for them: on a machine that slow.
      const isSlow = seconds * 1000 > 3 * readaheadBufferMsMax || health.busyTimes > 0
      if (isSlow) t.comment(`too slow to count by: ${unreadBytes} bytes unread, busy ${health.busyTimes} times`)
      else t.equal(asked.bytes, image.sizeBytes, 'each byte was fetched once')
      await run('sh', '-c', ': > "$0"', faults)
    }
  },
)
