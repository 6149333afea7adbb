/**
 * Warm reads of a real mount beside a server that only preads and writes, in alternating rounds on one machine.
 *
 *   node build/bench/warm.js [--rounds 5] [--seconds 1] [--json FILE] [--check FILE]
 *
 * Needs root, fio, dist/ and build/comparison-server of native-bindings/. A round runs a job on every server in turn, so that
 * what else the machine does meets them alike; a ratio is taken within a round, against the best of the comparison's
 * thread counts. One reader at a time on two cores is bimodal (the scheduler wakes the server on the reader's core or on
 * the other), so the ratio of the best rounds is printed beside the median. `--json` keeps every sample; `--check` compares with
 * what was kept: a question is lost whose median is below the least ratio of then.
 */
import { spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { mkdir, mkdtemp, open, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { availableParallelism, cpus, release, tmpdir, totalmem } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import { loadAddon } from '../src/native/addon.ts'
import { parentfs } from './demo/command.ts'
import { dropPages, type FioResult, runFio } from './fio.ts'
import { describeMachine } from './report/machine.ts'

/** A question: a job file, and whether the pages of the data file are dropped before each run. */
interface Question {
  readonly job: string
  readonly inPageCache: boolean
  /** What the ratio should reach. */
  readonly reach: number
  /** Ask it of the portable transport too, which is measured against ours. */
  readonly portable?: true
}

/** What came of a question. */
interface Answer {
  readonly question: string
  readonly against: string
  /** Of each round. */
  readonly ratios: readonly number[]
  readonly median: number
  readonly best: number
  readonly samples: Readonly<Record<string, readonly FioResult[]>>
}

const questions: readonly Question[] = [
  { job: 'warm-4k-qd1', inPageCache: true, reach: 0.9, portable: true },
  { job: 'warm-4k-qd32', inPageCache: true, reach: 0.9, portable: true },
  { job: 'warm-4k-4jobs', inPageCache: true, reach: 0.9 },
  { job: 'warm-4k-qd1', inPageCache: false, reach: 0.85 },
  { job: 'warm-4k-qd32', inPageCache: false, reach: 0.85 },
  { job: 'warm-4k-4jobs', inPageCache: false, reach: 0.85 },
  { job: 'warm-1m-qd4', inPageCache: true, reach: 0.9 },
]
const comparisonThreads = [2, 4, 16]
const imageBytes = 512 * 2 ** 20

interface Server {
  readonly name: string
  /** What fio reads, and the file behind it. */
  readonly target: string
  readonly dataPath: string
}

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    json: { type: 'string' },
    check: { type: 'string' },
  },
})
const answers: Answer[] = []
const directory = await mkdtemp(join(tmpdir(), 'parentfs-bench-'))
const endings: (() => unknown)[] = []
try {
  await main(Number(values.rounds), Number(values.seconds))
  if (values.json) await keep(values.json)
  if (values.check) process.exitCode = (await lost(values.check)) ? 1 : 0
} finally {
  for (const end of endings.reverse()) await end()
  await rm(directory, { recursive: true })
}

async function main(rounds: number, seconds: number): Promise<void> {
  console.log(
    `${cpus()[0]?.model}, ${availableParallelism()} processors, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Linux ${release()}`,
  )
  console.log('warm reads beside a server that only reads and writes: ratios of reads a second, each within a round')
  console.log(`load ${(await readFile('/proc/loadavg', 'utf8')).split(' ')[0]}; ${rounds} rounds of ${seconds} s\n`)
  await mkdir(join(directory, 'origin'))
  const image = join(directory, 'origin', 'image')
  await makeImage(image)
  const ours = await startParentfs('kernel')
  const portable = await startParentfs('fuse-native')
  const others: Server[] = []
  for (const threads of comparisonThreads) others.push(await startComparison(image, threads))
  console.log('question                      median  spread       best/best  reach  against')
  for (const question of questions) {
    await ask(question, ours, question.portable ? [...others, portable] : others, rounds, seconds)
  }
}

async function keep(path: string): Promise<void> {
  const machine = await describeMachine((await parentfs('--version')).trim())
  await mkdir(dirname(path), { recursive: true })
  await writeFile(path, `${JSON.stringify({ machine, answers })}\n`)
}

/** Say what is behind the ratios that were kept. @returns whether anything is */
async function lost(path: string): Promise<boolean> {
  const { answers: kept } = JSON.parse(await readFile(path, 'utf8')) as { answers: readonly Answer[] }
  const losses = answers.flatMap(answer => {
    const before = kept.find(({ question }) => question === answer.question)
    if (!before || answer.median >= Math.min(...before.ratios)) return []
    const then = `${Math.min(...before.ratios).toFixed(2)} - ${Math.max(...before.ratios).toFixed(2)}`
    return [`lost: ${answer.question}: ${answer.median.toFixed(2)}, and it was ${then}`]
  })
  for (const loss of losses) console.log(loss)
  if (losses.length === 0) console.log(`nothing is behind ${path}`)
  return losses.length > 0
}

/** Run one job in alternating rounds and print its lines. */
async function ask(question: Question, ours: Server, others: readonly Server[], rounds: number, seconds: number) {
  const { job, inPageCache, reach } = question
  // Dropped or read again: what an earlier question left must not help anybody.
  for (const { dataPath } of [ours, ...others]) await (inPageCache ? readWhole(dataPath) : dropPages(dataPath))
  const results = new Map<Server, FioResult[]>([ours, ...others].map(server => [server, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [server, list] of results) {
      if (!inPageCache) await dropPages(server.dataPath)
      list.push(await runFio(`bench/jobs/${job}.fio`, server.target, seconds))
    }
  }
  const iopsOf = (server: Server) => results.get(server)!.map(({ iops }) => iops)
  const comparable = others.filter(({ name }) => name.startsWith('comparison'))
  const best = comparable.reduce((a, b) => (median(iopsOf(a)) >= median(iopsOf(b)) ? a : b))
  const ratios = iopsOf(ours).map((iops, round) => iops / iopsOf(best)[round]!)
  const bests = Math.max(...iopsOf(ours)) / Math.max(...comparable.flatMap(iopsOf))
  const spread = `${Math.min(...ratios).toFixed(2)} - ${Math.max(...ratios).toFixed(2)}`
  const name = `${job}${inPageCache ? '' : ', from disk'}`
  const row = [name.padEnd(29), median(ratios).toFixed(2).padEnd(7), spread.padEnd(12), bests.toFixed(2).padEnd(10)]
  console.log(`${row.join(' ')} ${reach.toFixed(2).padEnd(6)} ${best.name}`)
  const samples = Object.fromEntries([...results].map(([server, list]) => [server.name, list]))
  answers.push({ question: name, against: best.name, ratios, median: median(ratios), best: bests, samples })
  for (const [server, list] of results) {
    const [p50, p99] = [list.map(each => each.p50Us), list.map(each => each.p99Us)].map(all => median(all).toFixed(1))
    const share = median(iopsOf(server).map((iops, round) => iops / iopsOf(ours)[round]!)).toFixed(2)
    const said = `${Math.round(median(iopsOf(server)))} IOPS, p50 ${p50} us, p99 ${p99} us`
    console.log(`    ${server.name.padEnd(14)} ${said}, ${share} of parentfs`)
  }
}

/** The real command on a file origin, with the whole image in its store. */
async function startParentfs(transport: 'kernel' | 'fuse-native'): Promise<Server> {
  const name = transport === 'kernel' ? 'parentfs' : transport
  const [mountpoint, cache] = [join(directory, name), join(directory, `cache-${name}`)]
  await mkdir(mountpoint)
  await parentfs(
    'mount',
    `file://${directory}/origin`,
    mountpoint,
    '--cache-dir',
    cache,
    '--capacity',
    '2GiB',
    '--transport',
    transport,
    // What is measured is how we answer, not how the disk does.
    '--no-passthrough',
    '--background',
  )
  endings.push(() => parentfs('unmount', mountpoint, '--force'))
  const target = join(mountpoint, 'image')
  for (;;) {
    await readWhole(target)
    const status = JSON.parse(await parentfs('status', mountpoint, '--json')) as { images: { complete: boolean }[] }
    if (status.images[0]?.complete) break
  }
  const [id] = await readdir(join(cache, 'images'))
  return { name, target, dataPath: join(cache, 'images', id!) }
}

/** Start a comparison server and wait until it says that it is ready. */
async function startComparison(image: string, threads: number): Promise<Server> {
  const name = `comparison-${threads}`
  const mountpoint = join(directory, name)
  await mkdir(mountpoint)
  const args = [image, mountpoint, String(threads)]
  const child = spawn('native-bindings/build/comparison-server', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const line of createInterface({ input: child.stdout })) {
    if (line === 'ready') break
  }
  if (child.exitCode !== null) throw new Error(`${name} did not start`)
  endings.push(() => loadAddon().unmount(mountpoint, true))
  return { name, target: join(mountpoint, 'image'), dataPath: image }
}

async function readWhole(path: string): Promise<void> {
  for await (const _ of createReadStream(path, { highWaterMark: 2 ** 20 })) {
    // Only read.
  }
}

/** Bytes that no file system stores as holes. */
async function makeImage(path: string): Promise<void> {
  const handle = await open(path, 'w')
  const chunk = new Uint32Array(2 ** 18)
  for (let done = 0, state = 1; done < imageBytes; done += chunk.byteLength) {
    for (let k = 0; k < chunk.length; k++) {
      state = Math.imul(state, 1664525) + 1013904223
      chunk[k] = state
    }
    await handle.write(chunk)
  }
  await handle.sync()
  await handle.close()
}

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]!
}
