/** Mounts that a file describes. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { cannotMount, isGone, parentfs, place, statusOf } from '../fixtures/daemon.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'

const options = { skip: cannotMount }
const image = { seed: 11, sizeBytes: 3 * 1024 * 1024 + 17 }

t.test('a file mounts what it says', options, async t => {
  const where = place(t)
  writeSample(join(where.originDirectory, 'a.raw'), image)
  const file = join(where.top, 'p.yaml')
  const log = join(where.top, 'log')
  writeFileSync(
    file,
    `
mountpoint: ${where.mountpoint}
origin: { url: "${where.origin}" }
cache: { directory: ${where.cacheDirectory}, capacity: 150MiB, blockSize: 32KiB }
attributes: { mode: "0400" }
log: { level: debug, file: ${log} }
`,
  )
  t.match(await parentfs('mount', '--background', '--config', file), { code: 0, stderr: '' })
  const path = join(where.mountpoint, 'a.raw')
  t.ok(readFileSync(path).equals(sampleBytes(image, 0, image.sizeBytes)))
  const status = await statusOf(where)
  t.match(status, {
    cache: { directory: where.cacheDirectory, blockBytes: 32768, capacityBytes: 150 * 1024 ** 2 },
    origin: { url: where.origin },
  })
  t.match(readFileSync(log, 'utf8'), /"level":20/, 'debug lines')
  t.match(await parentfs('unmount', where.mountpoint), { code: 0 })
  t.ok(await isGone(where, status.pid, status.keeperPid))
})
