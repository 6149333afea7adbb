/**
 * Boots replayed against the policy of read-ahead alone: reads that wait for the origin, and the bytes that it costs.
 * Bytes fetched ahead are there at the next read; a native hit is not seen, as in the daemon.
 */
import t from 'tap'
import { AccessPredictor } from '../../src/cache/prefetch/access-predictor.ts'
import { seed, seeded } from '../fixtures/seeded.ts'
import { readTrace, type TracedRead } from '../fixtures/traces.ts'

const blockBytes = 64 * 1024
const limits = { runMin: 8, windowMin: 2, windowMax: 256 }
/** Blocks of one request of a stream, of which the first is a witness. */
const pieceBlocks = 8

interface Outcome {
  /** Reads that waited for the origin. */
  readonly stalled: number
  /** Bytes fetched for each byte that was read, pages read twice counted once. */
  readonly ratio: number
}

function replay(reads: readonly TracedRead[], imageBytes: number, isForesighted = true): Outcome {
  const foresight = new AccessPredictor(imageBytes / blockBytes, blockBytes)
  const [held, seenNoMore, pages] = [new Set<number>(), new Set<number>(), new Set<number>()]
  let stalled = 0
  for (const { offset, length } of reads) {
    for (let page = Math.floor(offset / 4096); page * 4096 < offset + length; page++) pages.add(page)
    const from = Math.floor(offset / blockBytes)
    const to = Math.ceil((offset + length) / blockBytes)
    const blocks = Array.from({ length: to - from }, (_, k) => from + k)
    const missed = blocks.some(block => !held.has(block))
    const isSeen = blocks.some(block => !seenNoMore.has(block))
    for (const block of blocks) {
      held.add(block)
      seenNoMore.add(block)
    }
    if (missed) stalled++
    if (!isSeen || !isForesighted) continue
    const wish = foresight.observe({ from, to, stalled: missed, missed }, limits)
    for (const span of wish?.spans ?? []) {
      for (let block = Math.max(0, span.from); block < span.to; block++) {
        const isWitness = !wish?.stream || block % pieceBlocks === 0 || block === span.from
        if (!held.has(block) && !isWitness) seenNoMore.add(block)
        held.add(block)
      }
    }
  }
  return { stalled, ratio: (held.size * blockBytes) / (pages.size * 4096) }
}

// The limits were tuned to the first; of the others the last reads three times as much as a boot.
for (const { name, stalledMax, ratioMax } of [
  { name: 'debian-12-ext4', stalledMax: 300, ratioMax: 2.1 },
  { name: 'debian-12-xfs', stalledMax: 300, ratioMax: 2.1 },
  { name: 'debian-12-ext4-programs', stalledMax: 430, ratioMax: 1.9 },
]) {
  t.test(`${name}: at most ${stalledMax} reads wait, for ${ratioMax} times the bytes`, async t => {
    const reads = readTrace(name)
    const alone = replay(reads, 3 * 1024 ** 3, false)
    const { stalled, ratio } = replay(reads, 3 * 1024 ** 3)
    t.comment(`${reads.length} reads: ${stalled} wait, ${ratio.toFixed(2)} times the bytes`)
    t.comment(`covering blocks alone: ${alone.stalled} wait, ${alone.ratio.toFixed(2)} times the bytes`)
    t.ok(stalled <= stalledMax, `${stalled}`)
    t.ok(ratio <= ratioMax, `${ratio}`)
    t.ok(alone.stalled > 1.9 * stalled)
  })
}

t.test(`uniformly random reads set nothing off, also over a small image (SEED=${seed})`, async t => {
  for (const imageBytes of [256 * 1024 ** 2, 1024 ** 3, 10 * 1024 ** 3]) {
    const random = seeded(seed)
    const reads = Array.from({ length: 3000 }, () => {
      return { offset: Math.floor((random() * imageBytes) / 4096) * 4096, length: 4096 }
    })
    const alone = replay(reads, imageBytes, false)
    const { ratio } = replay(reads, imageBytes)
    t.ok(ratio <= 1.02 * alone.ratio, `${imageBytes}: ${ratio} times, ${alone.ratio} alone`)
  }
})

t.test('reads that are uniformly random within a part of an image are a cluster', async t => {
  const random = seeded(seed)
  const reads = Array.from({ length: 200 }, () => ({ offset: Math.floor(random() * 2000) * 16_384, length: 4096 }))
  t.ok(replay(reads, 100 * 1024 ** 3).stalled < 0.6 * replay(reads, 100 * 1024 ** 3, false).stalled)
})
