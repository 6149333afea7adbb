/**
 * Replay of a recorded trace of block reads on a file: verifies each byte, and prints times and bytes.
 *
 *   node build/bench/replay.js TRACE FILE --image IMAGE [--real-time] [--buffered] [--stall-ms 2]
 *
 * FILE is on any mount; IMAGE has the same bytes on the local disk. Where FILE lies on parentfs, fetched bytes and the
 * share of hits come from its status. A read is stalled when it took longer than `--stall-ms`.
 */
import { realpath } from 'node:fs/promises'
import { dirname } from 'node:path'
import { parseArgs } from 'node:util'
import type { Status } from '../src/admin/status.ts'
import { parentfs } from './demo/command.ts'
import { percentile, play } from './replay/player.ts'
import { readReplay } from './replay/trace.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    image: { type: 'string' },
    'real-time': { type: 'boolean', default: false },
    buffered: { type: 'boolean', default: false },
    'stall-ms': { type: 'string', default: '2' },
  },
})
const [tracePath, path] = positionals
if (!tracePath || !path || !values.image) {
  console.error('usage: replay TRACE FILE --image IMAGE [--real-time] [--buffered] [--stall-ms 2]')
  process.exit(2)
}
const stallMs = Number(values['stall-ms'])
const reads = await readReplay(tracePath)
const before = await statusOf(path)
const played = await play(reads, {
  path,
  imagePath: values.image,
  realTime: values['real-time'],
  direct: !values.buffered,
})
const after = await statusOf(path)
const { latenciesMs, seconds, bytes, wrong } = played
const stalled = latenciesMs.filter(ms => ms > stallMs).length
console.log(`${reads.length} reads, ${bytes} bytes, ${seconds.toFixed(2)} s; ${wrong} wrong`)
console.log(`${stalled} stalled (over ${stallMs} ms)`)
const shown = [0.5, 0.9, 0.99, 1].map(share => `p${share * 100} ${percentile(latenciesMs, share).toFixed(3)} ms`)
console.log(shown.join(', '))
if (before && after) {
  const [hits, misses] = [after.reads.hits - before.reads.hits, after.reads.misses - before.reads.misses]
  const fetched = after.origin.bytes - before.origin.bytes
  console.log(`${((100 * hits) / Math.max(1, hits + misses)).toFixed(1)} % hits; ${fetched} bytes fetched`)
}
process.exitCode = wrong === 0 ? 0 : 1

/** Of the parentfs that shows the file; null where another file system does. */
async function statusOf(file: string): Promise<Status | null> {
  for (let at = dirname(await realpath(file)); at !== '/'; at = dirname(at)) {
    try {
      return JSON.parse(await parentfs('status', at, '--json')) as Status
    } catch {
      // Not a mountpoint of parentfs.
    }
  }
  return null
}
