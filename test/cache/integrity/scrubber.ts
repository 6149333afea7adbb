import { join } from 'node:path'
import t, { type Test } from 'tap'
import { pause } from '../../../src/async/pause.ts'
import type { CancelSignal } from '../../../src/base/cancel-signal.ts'
import { sickLookMs } from '../../../src/cache/integrity/limits.ts'
import { piecesOf, type ScrubberOptions } from '../../../src/cache/integrity/scrubber.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'
import { damage } from '../../fixtures/damage.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever, openRooms } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const KiB = 1024
const sizeBytes = 3000 * KiB + 5

/** A cache that holds all of an image, opened again: nothing is published. */
async function restarted(t: Test, scrub: { bytesPerSecond: number; intervalMs: number } & Partial<ScrubberOptions>) {
  const origin = new MemoryOrigin()
  origin.put('a', sizeBytes, 7, [[1024 * KiB, 2048 * KiB]])
  const directory = t.testdir()
  const first = await openRooms({ directory, origin })
  const { image } = await first.cache.lookup(null, 'a', { signal: forever })
  await first.cache.read(image, 0, sizeBytes, { signal: forever })
  await first.close()
  const rooms = await openRooms({ directory, origin, scrub })
  const stored = rooms.store.find(image.id)!
  t.teardown(() => rooms.close())
  const isPublished = () => [...stored.heldObjects()].every(at => stored.residency.resident(at) === stored.held(at))
  return { origin, rooms, image, stored, isPublished, path: join(directory, 'images', image.id) }
}

t.test('after a boot the scrub publishes everything, so that first reads are hits; damage is dropped', async t => {
  const { origin, rooms, stored, isPublished, path } = await restarted(t, { bytesPerSecond: 1e9, intervalMs: 60_000 })
  const requests = origin.requests.length
  damage(path, 300 * KiB)
  t.notOk(isPublished())
  rooms.cache.startBackground()
  await until(() => isPublished() && !stored.complete, patienceMs, 'publication')
  const { scrub } = rooms.cache.counters
  t.equal(scrub.corruptBlocks, 1)
  t.ok(scrub.verifiedBytes >= sizeBytes)
  t.equal(origin.requests.length, requests, 'nothing is fetched before somebody wants it')
  await rooms.close()
})

t.test('the scrub goes on, round after round, and finds damage in published blocks', async t => {
  const { origin, rooms, image, stored, path } = await restarted(t, { bytesPerSecond: 1e9, intervalMs: 0 })
  rooms.cache.startBackground()
  const { counters } = rooms.cache
  t.equal(counters.scrub.rounds, 0)
  for (const block of [3, 700, 732]) {
    const { rounds } = rooms.cache.counters.scrub
    await until(() => rooms.cache.counters.scrub.rounds > rounds && stored.complete, patienceMs, 'a round')
    damage(path, block * 4 * KiB)
    await until(() => !stored.complete, patienceMs, 'the finding')
    t.ok(origin.bytes('a', 0, sizeBytes).equals(await rooms.cache.read(image, 0, sizeBytes, { signal: forever })))
    await until(() => stored.complete, patienceMs, 'the refetch')
  }
  t.equal(rooms.cache.counters.scrub.corruptBlocks, 3)
  await rooms.close()
})

t.test('the scrub keeps its pace', async t => {
  // 733 blocks of 4 KiB in pieces of at most 64: 12 pieces of 256 KiB at most.
  const { rooms } = await restarted(t, { bytesPerSecond: 12 * 1024 * KiB, intervalMs: 60_000 })
  const startedMs = performance.now()
  rooms.cache.startBackground()
  await until(() => rooms.cache.counters.scrub.verifiedBytes >= sizeBytes, patienceMs, 'the end')
  const tookMs = performance.now() - startedMs
  t.ok(tookMs > 200, `${Math.round(tookMs)} ms for 3 MB at 12 MB/s`)
  await rooms.close()
})

/** Waits take no time but by the clock, until it has come to `endMs`: then they last until the scrubber is stopped. */
function quickTime(endMs: number) {
  const clock = { nowMs: 0 }
  const wait = async (ms: number, signal: CancelSignal) => {
    await new Promise(resolve => setImmediate(resolve))
    if (signal.aborted) return
    if (clock.nowMs < endMs) clock.nowMs += Math.max(0, ms)
    else await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
  }
  return { clock, scrub: { now: () => clock.nowMs, wait } }
}

/** The moments at which the scrub has read pieces, in order. */
function momentsOf(stored: StoredImage, clock: { readonly nowMs: number }): number[] {
  const moments: number[] = []
  const { scrub } = stored
  stored.scrub = (...piece) => {
    moments.push(clock.nowMs)
    return scrub.apply(stored, piece)
  }
  return moments
}

t.test('what a start finds is compared at once, and a round of all of it takes the interval, evenly', async t => {
  const hour = 3_600_000
  const { clock, scrub } = quickTime(3 * hour)
  const { rooms, stored } = await restarted(t, { bytesPerSecond: 1e9, intervalMs: hour, ...scrub })
  const moments = momentsOf(stored, clock)
  rooms.cache.startBackground()
  await until(() => clock.nowMs >= 3 * hour, patienceMs, 'three rounds')
  await rooms.close()
  const pieces = 12
  t.ok(moments[pieces - 1]! < 100, 'the first pass rests only as the pace says')
  const round = moments.slice(pieces, 2 * pieces)
  const gaps = round.slice(1).map((at, k) => at - round[k]!)
  t.ok(Math.min(...gaps) > hour / pieces / 2 && Math.max(...gaps) < (2 * hour) / pieces, `gaps of ${gaps} ms`)
  const [start, next] = [moments[pieces]!, moments[2 * pieces]!]
  t.ok(next - start >= hour && next - start < hour + 1000, 'the next round begins when the interval is over')
})

t.test('the pace bounds a round whose interval is too short for it', async t => {
  const { clock, scrub } = quickTime(60_000)
  const { rooms, stored } = await restarted(t, { bytesPerSecond: 300 * KiB, intervalMs: 10, ...scrub })
  const moments = momentsOf(stored, clock)
  rooms.cache.startBackground()
  await until(() => clock.nowMs >= 60_000, patienceMs, 'some rounds')
  await rooms.close()
  t.ok(moments[24]! - moments[12]! >= 9_900, '3 MB at 300 KB/s')
})

t.test('the scrub waits for busy readers, a tenth of the interval at most; another interval holds at once', async t => {
  const intervalMs = 100_000 // A short one: it is looked ten times a second.
  const { clock, scrub } = quickTime(10 * intervalMs)
  let isBusy = false
  const busy = { isBusy: () => isBusy, ...scrub }
  const { rooms, stored } = await restarted(t, { bytesPerSecond: 1e9, intervalMs, ...busy })
  const moments = momentsOf(stored, clock)
  const { scrub: read } = stored
  const limits = { mode: 'promote' as const, origins: [], fetchBytesMax: 1, readAheadBytesMax: 0, promotionBytesMax: 1 }
  stored.scrub = (...piece) => {
    isBusy = moments.length >= 11
    const pace = { bytesPerSecond: 1e9, intervalMs: 2 * intervalMs }
    if (moments.length === 24) rooms.cache.reconfigure({ ...limits, scrub: pace })
    return read(...piece)
  }
  rooms.cache.startBackground()
  await until(() => clock.nowMs >= 10 * intervalMs, patienceMs, 'some rounds')
  await rooms.close()
  const [end, first, last] = [moments[11]!, moments[12]!, moments[23]!]
  t.ok(first - end >= intervalMs * 0.1 && first - end < intervalMs * 0.12, `late by ${first - end} ms`)
  t.ok(last - end < intervalMs * 1.1, 'and it does not add up')
  t.ok(moments[36]! - moments[25]! > 1.5 * intervalMs)
})

t.test('the scrub pauses while the disk is sick, and ends at once with the cache', async t => {
  let longest = ''
  const wait = (ms: number, signal: CancelSignal) => {
    if (ms <= sickLookMs) return pause(ms, signal)
    longest = 'begun'
    return new Promise<void>(resolve =>
      signal.addEventListener('abort', () => {
        longest = 'broken off'
        resolve()
      }),
    )
  }
  const { rooms, stored, isPublished } = await restarted(t, { bytesPerSecond: 1e9, intervalMs: 60_000, wait })
  rooms.store.health.stalled('read', 1)
  t.equal(rooms.store.health.state, 'bypass')
  rooms.cache.startBackground()
  await new Promise(resolve => setImmediate(resolve))
  t.equal(rooms.cache.counters.scrub.verifiedBytes, 0)
  t.equal(stored.residency.resident(0), 0n)
  await until(() => rooms.store.health.state === 'healthy', patienceMs, 'recovery')
  await until(isPublished, patienceMs, 'publication')
  await until(() => longest === 'begun', patienceMs, 'the pause before the next piece')
  await rooms.close()
  t.equal(longest, 'broken off', 'a pause that lasts until it is')
})

t.test('pieces cover a mask, one lock each, and never more than a megabyte', t => {
  const all = 0xffff_ffff_ffff_ffffn
  t.same([...piecesOf(0n, 65536)], [])
  t.same([...piecesOf(all, 4096)], [all])
  t.same([...piecesOf(all, 65536)], [0xffffn, 0xffff_0000n, 0xffff_0000_0000n, 0xffff_0000_0000_0000n])
  t.equal([...piecesOf(all, 1024 * KiB)].length, 64)
  t.same([...piecesOf((1n << 63n) | 1n, 65536)], [1n, 1n << 63n])
  t.end()
})
