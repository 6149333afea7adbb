/**
 * The price of sampling and of hit sets in a warm hit: one mount in this process, with both and without them in
 * alternating rounds.
 *
 *   node build/bench/hit-sampling.js [--rounds 12] [--seconds 2]
 *
 * With: every object is sampled (64 of them: the sampler thins out from 8,192 on), samples are taken as the daemon
 * takes them, and one walk in each round enters the uses into the hit sets; the daemon walks once a minute. Without:
 * session threads sample nothing. Printed are operations a second, and the CPU time of the session threads for a
 * million hits, which other work on the machine disturbs less. Needs root and fio.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, write as writeWithCallback } from 'node:fs'
import { loadavg, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { sessionThreads } from '../src/daemon/config/limits.ts'
import { nativeUsesOf } from '../src/daemon/worker/native-use-samples.ts'
import { KernelTransport } from '../src/fuse/kernel/kernel-transport.ts'
import { loadAddon } from '../src/native/addon.ts'
import { readWithFio } from '../test/fixtures/fio.ts'
import { keepingLogger } from '../test/fixtures/keeping-logger.ts'
import { MemoryOrigin } from '../test/fixtures/memory-origin.ts'
import { openRooms, forever as signal } from '../test/fixtures/rooms.ts'
import { median } from './report/ratios.ts'

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '12' }, seconds: { type: 'string', default: '2' } },
})
const MiB = 2 ** 20
const sizeBytes = 256 * MiB
const hitSet = { type: 'bloom', count: 24, periodMs: 3_600_000, falsePositives: 0.01 } as const
const mountOptions = 'rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other,max_read=1048576'

/** One round: operations a second, and CPU microseconds of session threads for each hit. */
interface Round {
  readonly perSecond: number
  readonly cpuUs: number
}

const home = mkdtempSync(join(tmpdir(), 'parentfs-hit-sampling-'))
const endings: (() => unknown)[] = [() => rmSync(home, { recursive: true })]
try {
  await main()
} finally {
  for (const end of endings.reverse()) await end()
}

async function main(): Promise<void> {
  const origin = new MemoryOrigin()
  origin.put('a.raw', sizeBytes)
  const state = { isOn: true, wanted: 0 }
  const place = { directory: null, origin, minReadRecency: 0, hitSet }
  let transport: KernelTransport | null = null
  const rooms = await openRooms({
    directory: join(home, 'cache'),
    origin: [place],
    ...{ blockBytes: 65_536, capacityBytes: 2048 * MiB, revalidateSeconds: 3600 },
    nativeUsesOf: engine => {
      const setSampling = (below: number) => {
        state.wanted = below
        engine.setSampling(state.isOn ? below : 0)
      }
      return nativeUsesOf({ setSampling }, () => [transport])
    },
  })
  endings.push(() => rooms.close())
  rooms.cache.startBackground()
  await rooms.cache.operations.promote('a.raw', null, { signal, onProgress: () => {} })
  const mountpoint = join(home, 'mnt')
  mkdirSync(mountpoint)
  const addon = loadAddon()
  const fd = addon.openFuse()
  addon.mountFuse(fd, 'parentfs', mountpoint, mountOptions)
  const writeAside = promisify(writeWithCallback)
  transport = KernelTransport.start({
    startSession: handlers => rooms.engine.startSession(fd, { threads: sessionThreads, ...handlers }),
    writeAside: bytes => writeAside(fd, bytes),
    backend: rooms.cache,
    logger: keepingLogger(),
    negotiated: null,
    passthroughOff: 'measured are hits of session threads',
  })
  const serving = transport
  endings.push(async () => {
    addon.unmount(mountpoint, true)
    await serving.stop()
    addon.closeFd(fd)
  })
  await serving.ready
  const path = join(mountpoint, 'a.raw')
  const measure = async (depth: number): Promise<Round> => {
    rooms.engine.setSampling(state.isOn ? state.wanted : 0)
    const [before, beforeNs] = [serving.counters().hits, sessionCpuNs()]
    const how = {
      engine: 'io_uring',
      direct: true,
      depth,
      jobs: 1,
      seconds: Number(values.seconds),
      verify: false,
    } as const
    const reading = readWithFio(path, sizeBytes, how)
    if (state.isOn) await rooms.cache.operations.temperatures()
    const { iops, error } = await reading
    if (error !== 0) throw new Error(`fio: error ${error}`)
    const hits = serving.counters().hits - before
    return { perSecond: iops, cpuUs: (sessionCpuNs() - beforeNs) / hits / 1000 }
  }
  await measure(32)
  for (const depth of [1, 32]) await compare(depth, state, () => measure(depth))
}

/** Rounds in turn; which side is first alternates, too. */
async function compare(depth: number, state: { isOn: boolean }, measure: () => Promise<Round>): Promise<void> {
  const rounds: { readonly on: Round; readonly off: Round }[] = []
  const loads: number[] = []
  for (let k = 0; k < Number(values.rounds); k++) {
    const round = new Map<boolean, Round>()
    for (const isOn of k % 2 === 0 ? [true, false] : [false, true]) {
      state.isOn = isOn
      round.set(isOn, await measure())
    }
    rounds.push({ on: round.get(true)!, off: round.get(false)! })
    loads.push(loadavg()[0]!)
  }
  const spreadOf = (numbers: readonly number[], digits: number) => {
    const [least, most] = [Math.min(...numbers), Math.max(...numbers)]
    return `${median(numbers).toFixed(digits)} (${least.toFixed(digits)} to ${most.toFixed(digits)})`
  }
  const cells = [
    spreadOf(
      rounds.map(({ on }) => on.cpuUs),
      2,
    ),
    spreadOf(
      rounds.map(({ off }) => off.cpuUs),
      2,
    ),
    spreadOf(
      rounds.map(({ on, off }) => on.cpuUs / off.cpuUs),
      3,
    ),
    spreadOf(
      rounds.map(({ on, off }) => on.perSecond / off.perSecond),
      3,
    ),
  ]
  const load = `load ${Math.min(...loads).toFixed(1)} to ${Math.max(...loads).toFixed(1)}`
  console.log(`| 4 KiB, ${depth} at a time | ${cells.join(' | ')} | ${rounds.length} rounds, ${load} |`)
}

/** Source: Linux, Documentation/scheduler/sched-stats.rst: the first number is time spent on a processor. */
function sessionCpuNs(): number {
  let sum = 0
  for (const id of readdirSync('/proc/self/task')) {
    const name = readFileSync(`/proc/self/task/${id}/comm`, 'utf8')
    if (name.startsWith('pfs-session'))
      sum += Number(readFileSync(`/proc/self/task/${id}/schedstat`, 'utf8').split(' ')[0])
  }
  return sum
}
