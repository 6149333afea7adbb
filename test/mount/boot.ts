/**
 * A recorded boot, read on a mount one read after the other: reads that wait for the origin, and the bytes that it
 * costs. Each read comes once nothing is on its way any more: what was fetched ahead is there, however busy the
 * machine.
 */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { readReplay, writeTouched } from '../../bench/replay/trace.ts'
import { fetchStatus } from '../../src/admin/admin-client.ts'
import { socketPath, trustedRuntimeDirectory } from '../../src/admin/socket-path.ts'
import {
  cannotMount,
  mountDaemon,
  patienceMs,
  place,
  readingAhead,
  statusOf,
  stop,
  transport,
} from '../fixtures/daemon.ts'
import { spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { MountedFile } from '../fixtures/mounted-file.ts'
import { until } from '../fixtures/until.ts'

const pageBytes = 4096

t.test(
  'of the first boot less than a quarter of the reads wait, within the bytes that `balanced` may cost',
  { skip: cannotMount || (transport === 'kernel' ? false : 'it is the same policy over fuse-native') },
  async t => {
    const where = place(t)
    const reads = await readReplay(join('bench', 'traces', 'debian-12-xfs.txt.gz'))
    const source = join(where.originDirectory, 'boot.raw')
    await writeTouched(source, reads)
    const origin = await spawnHttpOrigin({ directory: where.originDirectory, delayMs: 10 })
    t.teardown(() => origin.close())
    const daemon = await mountDaemon(t, { ...where, origin: origin.url }, ...readingAhead)
    const image = await MountedFile.open(t, where.mountpoint, 'boot.raw')
    const truth = await open(source)
    t.teardown(() => truth.close())
    const socket = socketPath(where.mountpoint, trustedRuntimeDirectory())
    const isAtRest = async () => (await fetchStatus(socket))?.gauges.inflightFetches === 0
    const pages = new Set<number>()
    await origin.reset()
    let wrong = 0
    for (const { offset, length } of reads) {
      for (let page = Math.floor(offset / pageBytes); page * pageBytes < offset + length; page++) pages.add(page)
      const { buffer } = await truth.read(Buffer.alloc(length), 0, length, offset)
      if (!(await image.read({ offset, length }, 'direct')).equals(buffer)) wrong++
      await until(isAtRest, patienceMs, 'what is fetched ahead')
    }
    t.equal(wrong, 0)
    const { misses } = (await statusOf(where)).reads
    const { bytes } = await origin.counters()
    const ratio = bytes / (pages.size * pageBytes)
    t.comment(`${misses} of ${reads.length} reads waited; ${ratio.toFixed(2)} times the bytes`)
    t.ok(misses < reads.length / 4, `${misses} reads waited`)
    t.ok(ratio < 3.7, `${ratio}`)
    await image.close()
    t.equal(await stop(daemon), 0)
  },
)
