/**
 * The ceiling on file systems of its own, by what files take and by what the file system itself counts, through churn.
 * CHURN=n sets how many times the capacity is promoted; from 10 on, 1 MiB blocks have the least capacity that a mount
 * with them takes, 2 GiB.
 */
import { join } from 'node:path'
import t from 'tap'
import { makeLoopDisk } from '../fixtures/loop-disk.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../fixtures/rooms.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'
import { describePauses, startSampler } from '../fixtures/usage-sampler.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const churn = Number(process.env.CHURN ?? 0)
const skip = process.getuid?.() === 0 ? false : 'loop devices need root'

interface Case {
  readonly blockBytes: number
  readonly capacityBytes: number
  /** Times the capacity, when CHURN says nothing. */
  readonly churn: number
}
const cases: Case[] = [
  { blockBytes: 4 * KiB, capacityBytes: 8 * MiB, churn: 4 },
  { blockBytes: 64 * KiB, capacityBytes: 128 * MiB, churn: 2 },
  { blockBytes: MiB, capacityBytes: (churn < 10 ? 512 : 2048) * MiB, churn: 1.5 },
]

for (const type of ['ext4', 'xfs'] as const) {
  for (const { blockBytes, capacityBytes, churn: usual } of cases) {
    const times = churn || usual
    t.test(`${type}, blocks of ${blockBytes / KiB} KiB, ${times} times the capacity`, { skip }, async t => {
      const random = seeded(seed)
      const disk = await makeLoopDisk(t, type, Math.max(400 * MiB, capacityBytes * 1.5))
      const directory = join(disk.mountpoint, 'cache')
      const origin = new MemoryOrigin()
      const sizeBytes = capacityBytes * 3 + 777
      // As a network would: without a turn of the event loop in each fetch, readers starve the promotions.
      origin.gate = () => new Promise(resolve => setImmediate(resolve))
      for (const name of ['a', 'b']) origin.put(name, sizeBytes, name.charCodeAt(0))
      const emptyBytes = disk.takenBytes()
      const rooms = await openRooms({ directory, origin, blockBytes, capacityBytes })
      const sampler = await startSampler(t, directory, { ceilingBytes: capacityBytes, emptyBytes })
      const reads = { a: 0, b: 0 }
      // Two readers, each of an image three times as large as the cache.
      const read = async (name: 'a' | 'b') => {
        const { image } = await rooms.cache.lookup(null, name, { signal })
        while (rooms.cache.counters.promotion.promotedBytes < times * capacityBytes) {
          const length = between(random, 1, 8 * blockBytes)
          const offset = between(random, 0, sizeBytes - length)
          const bytes = await rooms.cache.read(image, offset, length, { signal })
          if (!origin.bytes(name, offset, length).equals(bytes)) throw new Error(`wrong bytes of ${name} at ${offset}`)
          reads[name]++
        }
      }
      await Promise.all((['a', 'b', 'a', 'b'] as const).map(read))
      const { eviction, promotion } = rooms.cache.counters
      await rooms.close()
      const sample = await sampler.stop()
      const [{ highestBytes }, { highestBytes: taken }] = [sample.files, sample.fileSystem]
      const share = (bytes: number) => `${((100 * bytes) / capacityBytes).toFixed(2)} %`
      t.comment(
        `${describePauses(sample)}: files at most ${share(highestBytes)}, file system at most ${share(taken)} of capacity`,
      )
      t.comment(JSON.stringify({ eviction, promotion, reads }))
      t.ok(highestBytes <= capacityBytes, `${highestBytes} <= ${capacityBytes}`)
      t.ok(taken <= capacityBytes, `${taken} <= ${capacityBytes}`)
      t.ok(highestBytes > 0.6 * capacityBytes, 'the capacity was used')
      const hundredths = (100 * promotion.promotedBytes) / capacityBytes
      t.ok(sample.samples > hundredths, `${sample.samples} looks at ${hundredths.toFixed()} hundredths of the capacity`)
      t.ok(eviction.bytes > (times - 1) * capacityBytes * 0.8)
      t.ok(Math.min(reads.a, reads.b) > Math.max(reads.a, reads.b) / 2, `both get on: ${JSON.stringify(reads)}`)
    })
  }
}
