/**
 * `node build/bench/miss.js [--reads 8000] [--readers 64]`: main-thread time and V8 heap of a miss that TypeScript
 * answers.
 *
 * The kernel is left out: requests are handed in as a session does. An origin in another process answers after 5 ms;
 * the bytes are promoted and recorded. Each read is 4 KiB at random of an image of which nothing is resident. Half as
 * many reads go before, so that the code is compiled. Times depend on other work of the machine, bytes hardly do.
 */
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { GCProfiler } from 'node:v8'
import { silentLogger } from '../src/base/logger.ts'
import { KernelTransport } from '../src/fuse/kernel/kernel-transport.ts'
import { opcodes } from '../src/fuse/kernel/opcodes.ts'
import { loadAddon } from '../src/native/addon.ts'
import { openOrigin } from '../src/origin/open-origin.ts'
import { CircuitState } from '../src/origin/wrappers/circuit-state.ts'
import { FakeSession, queued, rawRequest } from '../test/fixtures/fake-session.ts'
import { readBody } from '../test/fixtures/fuse-bodies.ts'
import { spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { openRooms } from '../test/fixtures/rooms.ts'
import { between, seeded } from '../test/fixtures/seeded.ts'

const { values } = parseArgs({
  options: { reads: { type: 'string', default: '8000' }, readers: { type: 'string', default: '64' } },
})
const [reads, readers] = [Number(values.reads), Number(values.readers)]
const imageBytes = 64 * 2 ** 30
const readBytes = 4096

/** Requests in, the errno of each answer out. */
class Session extends FakeSession {
  readonly #waiting = new Map<bigint, (errno: number) => void>()

  request(opcode: number, nodeId: bigint, body: Uint8Array): Promise<number> {
    const unique = this.nextUnique()
    const answered = new Promise<number>(resolve => this.#waiting.set(unique, resolve))
    this.sendRaw(queued(rawRequest({ opcode, nodeId, unique, pid: process.pid, body })))
    return answered
  }

  override reply(unique: bigint, errno: number): number {
    this.#waiting.get(unique)?.(errno)
    this.#waiting.delete(unique)
    return 0
  }
}

const home = await mkdtemp(join(tmpdir(), 'parentfs-miss-'))
const files = join(home, 'images')
await mkdir(files)
await writeFile(join(files, 'cold.raw'), '')
await truncate(join(files, 'cold.raw'), imageBytes)
const server = await spawnHttpOrigin({ directory: files, etag: 'none', lastModified: true, delayMs: 5 })
const availability = new CircuitState(server.url)
const origin = openOrigin(server.url, { addon: loadAddon(), availability })
const rooms = await openRooms({
  directory: join(home, 'cache'),
  origin: [{ directory: null, origin, patience: { missMs: 30_000, onOutage: 'fail', availability } }],
  capacityBytes: 40 * 2 ** 30,
  blockBytes: 64 * 1024,
  readAheadBytesMax: 48 * 2 ** 20,
})
let session: Session | undefined
const transport = KernelTransport.start({
  startSession: handlers => (session = new Session(handlers)),
  writeAside: async () => {},
  backend: rooms.cache,
  logger: silentLogger,
  negotiated: { minor: 45, flags: 0, flags2: 0, maxReadaheadBytes: 131072 },
})
try {
  const { nodeId } = await rooms.cache.lookup(null, 'cold.raw', { signal: new AbortController().signal })
  await session!.request(opcodes.OPEN, nodeId, new Uint8Array(8))
  const random = seeded(20_261)
  const run = async (count: number) => {
    let left = count
    const reader = async () => {
      while (left-- > 0) {
        const offset = between(random, 0, imageBytes / readBytes) * readBytes
        const errno = await session!.request(opcodes.READ, nodeId, readBody(nodeId, offset, readBytes))
        if (errno !== 0) throw new Error(`a read of ${readBytes} bytes at ${offset} failed with errno ${errno}`)
      }
    }
    await Promise.all(Array.from({ length: readers }, reader))
    await sleep(600) // What follows: promotions, and their records.
  }
  await run(Math.ceil(reads / 2))
  const garbage = new GCProfiler()
  garbage.start()
  const [cpuNs, heapBytes] = [ownCpuNs(), process.memoryUsage().heapUsed]
  await run(reads)
  const [usedNs, leftBytes] = [ownCpuNs() - cpuNs, process.memoryUsage().heapUsed]
  const { statistics } = garbage.stop()
  let [bytes, before] = [0, heapBytes]
  for (const { beforeGC, afterGC } of statistics) {
    bytes += beforeGC.heapStatistics.usedHeapSize - before
    before = afterGC.heapStatistics.usedHeapSize
  }
  bytes += leftBytes - before
  const [us, kib] = [(usedNs / 1000 / reads).toFixed(0), (bytes / 1024 / reads).toFixed(1)]
  console.log(`${reads} misses of ${readers} readers: ${us} us and ${kib} KiB each, ${statistics.length} collections`)
} finally {
  await transport.stop()
  await rooms.close()
  await origin.close()
  await server.close()
  await rm(home, { recursive: true, force: true })
}

/** Processor time of this thread. Source: Linux Documentation/scheduler/sched-stats.rst, /proc/<pid>/schedstat. */
function ownCpuNs(): number {
  return Number(readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'latin1').split(' ')[0])
}
