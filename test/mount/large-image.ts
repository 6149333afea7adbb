/**
 * Images that are larger than any may be: refused by name, beside others that are served, and dropped from a cache that
 * knows one.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { cannotMount, mountDaemon, place, statusOf, stop } from '../fixtures/daemon.ts'
import { fillCache } from '../fixtures/filled-cache.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { makeLoopDisk } from '../fixtures/loop-disk.ts'
import { seed } from '../fixtures/seeded.ts'

const options = { skip: cannotMount }
const MiB = 1024 ** 2
const small = { seed, sizeBytes: 3 * MiB + 5, dataShare: 1 }

/** A directory of images on an XFS of its own, or in memory; and one for a cache, which XFS alone has. */
async function directories(t: Test): Promise<Record<'xfs' | 'tmpfs' | 'cache', string>> {
  const { mountpoint } = await makeLoopDisk(t, 'xfs', 512 * MiB)
  const tmpfs = mkdtempSync('/dev/shm/parentfs-large-')
  t.teardown(() => rmSync(tmpfs, { recursive: true, force: true }))
  const [xfs, cache] = [join(mountpoint, 'origin'), join(mountpoint, 'cache')]
  mkdirSync(xfs)
  return { xfs, tmpfs, cache }
}

t.test(
  'images of 2^51 and 2^53 - 1 bytes are EFBIG, and so they stay after a start with a record of one',
  options,
  async t => {
    const { xfs, tmpfs, cache } = await directories(t)
    const cases = [
      { originDirectory: xfs, sizeBytes: 2 ** 51 },
      { originDirectory: tmpfs, sizeBytes: 2 ** 53 - 1 },
    ]
    for (const [k, { originDirectory, sizeBytes }] of cases.entries()) {
      const where = {
        ...place(t),
        originDirectory,
        origin: `file://${originDirectory}`,
        cacheDirectory: `${cache}-${k}`,
      }
      writeFileSync(join(originDirectory, 'huge.raw'), '')
      truncateSync(join(originDirectory, 'huge.raw'), sizeBytes)
      t.equal(statSync(join(originDirectory, 'huge.raw')).size, sizeBytes)
      writeSample(join(originDirectory, 'small.raw'), small)
      // As a version left it that had no such limit.
      const facts = { origin: `${where.origin}/`, key: 'huge.raw', sizeBytes, validator: '1', modifiedMs: 1 }
      await fillCache({ directory: where.cacheDirectory, blockBytes: 65_536, facts, objects: [0], blocks: 1n })
      for (const start of ['first', 'second']) {
        const daemon = await mountDaemon(t, where)
        const huge = join(where.mountpoint, 'huge.raw')
        await t.rejects(stat(huge), { code: 'EFBIG' }, `${sizeBytes}: ${start} start`)
        await t.rejects(open(huge), { code: 'EFBIG' })
        t.match((await statusOf(where)).origin.unsupported, /huge\.raw has \d+ bytes/)
        t.same((await readdir(where.mountpoint)).sort(), ['huge.raw', 'small.raw'])
        const bytes = await readFile(join(where.mountpoint, 'small.raw'))
        t.ok(bytes.equals(sampleBytes(small, 0, small.sizeBytes)), 'the other one is right')
        const { images } = await statusOf(where)
        t.same(
          images.map(({ name }) => name),
          ['small.raw'],
        )
        t.equal(await stop(daemon), 0)
        t.notMatch(daemon.log(), /died|unverified cache/, 'one worker served all of it')
      }
    }
  },
)
