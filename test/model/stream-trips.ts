/**
 * Streams over a path of whole trips: all that is asked for in one trip comes at its end, and no clock but the test's
 * runs. So bytes in flight by trip show how soon a stream fills a link, whatever the load of this machine.
 */
import t, { type Test } from 'tap'
import { nextIteration } from '../fixtures/deferred.ts'
import { MemoryOrigin } from '../fixtures/memory-origin.ts'
import { forever, openRooms } from '../fixtures/rooms.ts'
import { patienceMs } from '../fixtures/until.ts'

const [KiB, MiB] = [1024, 1024 ** 2]
const tripMs = 10
/** Iterations of the loop in which all that follows from a read is asked for: it waits for no disk. */
const settlingIterations = 50

/** One trip that a reader waited for. */
interface Trip {
  /** Bytes read when it began. */
  readonly come: number
  /** Bytes asked for and not here, and the requests that they are. */
  readonly inFlight: number
  readonly requests: number
}

/** A reader of the first 32 MiB of an image that takes no time by itself. @returns the trips that it waited for */
async function tripsOf(t: Test, readBytes: number): Promise<readonly Trip[]> {
  const origin = new MemoryOrigin()
  origin.put('a', 64 * MiB)
  const held = new Map<() => void, { readonly from: number; readonly to: number }>()
  let nowMs = 1000
  const rooms = await openRooms({
    ...{ directory: t.testdir(), origin, blockBytes: 64 * KiB, capacityBytes: 1024 * MiB, readAheadBytesMax: 32 * MiB },
    now: () => nowMs,
  })
  try {
    const { image } = await rooms.cache.lookup(null, 'a', { signal: forever })
    origin.gate = (_, offset) => {
      const bytes = Number(origin.requests.at(-1)!.split(' ')[3])
      return new Promise(resolve => held.set(resolve, { from: offset, to: offset + bytes }))
    }
    const trips: Trip[] = []
    for (let at = 0; at < 32 * MiB; at += readBytes) {
      let isHere = false
      const reading = rooms.cache.read(image, at, readBytes, { signal: forever }).then(() => void (isHere = true))
      const waits = () => [...held.values()].some(({ from, to }) => from < at + readBytes && to > at)
      while (!isHere) {
        const untilMs = performance.now() + patienceMs
        while (!isHere && !waits() && performance.now() < untilMs) await nextIteration()
        for (let k = 0; k < settlingIterations && !isHere; k++) await nextIteration()
        if (isHere) break
        if (!waits()) throw new Error(`the read at ${at} asks for nothing`)
        const inFlight = [...held.values()].reduce((bytes, { from, to }) => bytes + to - from, 0)
        trips.push({ come: at, inFlight, requests: held.size })
        nowMs += tripMs
        const [arrived] = [[...held.keys()], held.clear()]
        for (const arrive of arrived) arrive()
      }
      await reading
    }
    return trips
  } finally {
    for (const arrive of held.keys()) arrive()
    origin.gate = async () => {}
    await rooms.close()
  }
}

for (const readBytes of [128 * KiB, 1 * MiB]) {
  t.test(`after four trips a stream of ${readBytes / KiB} KiB reads fills 10 Gbit/s of 10 ms`, async t => {
    const trips = await tripsOf(t, readBytes)
    for (const { come, inFlight, requests } of trips) {
      const [read, under] = [come / MiB, inFlight / MiB]
      t.comment(`${read} MiB have come, ${under} MiB are in flight in ${requests} requests`)
      t.ok(inFlight <= 2 * (come + readBytes) + readBytes, 'the read, and no more than twice the run ahead of it')
      t.ok(requests <= 10)
    }
    const full = trips.findIndex(({ inFlight }) => inFlight >= (10e9 / 8) * (tripMs / 1000))
    t.ok(full >= 0 && full <= 4, `trip ${full}`)
    t.ok(trips[full]!.come <= 16 * MiB, `${trips[full]!.come} bytes have come by then`)
    t.ok(trips.length <= 7, `${trips.length} trips for 32 MiB`)
  })
}
