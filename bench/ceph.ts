/**
 * A mount of an RBD pool beside librbd alone, in alternating rounds on one cluster of one OSD.
 *
 *   node build/bench/ceph.js [--rounds 5] [--seconds 1] [--json]
 *
 * Needs root, Ceph's packages, dist/ and build/ceph-reader of native-bindings/ (`make ceph-reader` there). One program
 * reads both sides at the same offsets: librbd as a client of its own, without its cache, and the mount past the page
 * cache. Before each cold run the OSD drops its memory, and the mount gets a snapshot that it has never seen. The
 * worker has been running for a while, except where the question names a new one. Cold bytes are summed and compared.
 * Bytes from the cluster are the OSD's own count. `--json` prints every sample as well.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { noCeph } from '../test/fixtures/ceph/cluster.ts'
import { type Reading, type ReadingResult, read } from './ceph/reader.ts'
import { CephWorld, dataBytes, randomOffsets } from './ceph/world.ts'
import { parentfs } from './demo/command.ts'
import { describeMachine } from './report/machine.ts'
import { median } from './report/ratios.ts'

/** Result of one side in one round. */
interface Sample extends ReadingResult {
  /** Bytes that the OSD sent, as a multiple of those that were read; null where warm. */
  readonly fetched: number | null
}

interface Question {
  readonly name: string
  readonly readingOf: (round: number) => Reading
  /** Figures that are compared. */
  readonly figures: readonly (keyof Sample & ('p50Us' | 'p99Us' | 'mibPerSecond' | 'fetched'))[]
  readonly state: 'cold' | 'cold, new worker' | 'warm'
}

const KiB = 1024
const MiB = 1024 * KiB
const sides = ['librbd', 'parentfs'] as const
type Round = Readonly<Record<(typeof sides)[number], Sample>>

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    only: { type: 'string', default: '' },
    json: { type: 'boolean', default: false },
  },
})
const seconds = Number(values.seconds)

const cold4k = (round: number) => ({
  depth: 1,
  lengthBytes: 4 * KiB,
  seconds: 0,
  offsets: randomOffsets(round + 1, 64),
})
const warm4k = (depth: number) => () => ({ depth, lengthBytes: 4 * KiB, seconds, offsets: randomOffsets(7, 65_536) })
const inSequence = (depth: number, forSeconds: number) => () => {
  const offsets = Array.from({ length: dataBytes / MiB }, (_, k) => k * MiB)
  return { depth, lengthBytes: MiB, seconds: forSeconds, offsets }
}
const questions: readonly Question[] = [
  { name: '64 reads of 4 KiB at random', state: 'cold', readingOf: cold4k, figures: ['p50Us', 'p99Us', 'fetched'] },
  { name: '64 reads of 4 KiB at random', state: 'cold, new worker', readingOf: cold4k, figures: ['p50Us', 'p99Us'] },
  { name: '1 MiB in sequence', state: 'cold', readingOf: inSequence(1, 0), figures: ['mibPerSecond', 'fetched'] },
  {
    name: '1 MiB in sequence, 4 at once',
    state: 'cold',
    readingOf: inSequence(4, 0),
    figures: ['mibPerSecond', 'fetched'],
  },
  { name: '4 KiB at random', state: 'warm', readingOf: warm4k(1), figures: ['mibPerSecond', 'p50Us', 'p99Us'] },
  { name: '4 KiB at random, 32 at once', state: 'warm', readingOf: warm4k(32), figures: ['mibPerSecond', 'p99Us'] },
  { name: '1 MiB in sequence', state: 'warm', readingOf: inSequence(1, seconds), figures: ['mibPerSecond'] },
  { name: '1 MiB in sequence, 4 at once', state: 'warm', readingOf: inSequence(4, seconds), figures: ['mibPerSecond'] },
]

if (noCeph !== false) throw new Error(noCeph)
const endings: (() => unknown)[] = []
try {
  await main()
} finally {
  for (const end of endings.reverse()) await end()
}

async function main(): Promise<void> {
  const world = await CephWorld.start(endings)
  const mountpoint = await world.mount('mnt')
  const machine = await describeMachine((await parentfs('--version')).trim())
  const load = async () => (await readFile('/proc/loadavg', 'utf8')).split(' ')[0]
  console.log(`${machine.processors} x ${machine.processor}, Linux ${machine.kernel}, load ${await load()}`)
  await warmUp(world, mountpoint)
  const answers: { question: Question; rounds: Round[] }[] = []
  console.log('| what | librbd | parentfs | ratio, median (least to most) |\n|---|---|---|---|')
  for (const question of questions.filter(({ state, name }) => `${state}: ${name}`.includes(values.only))) {
    const rounds: Round[] = []
    for (let round = 0; round < Number(values.rounds); round++)
      rounds.push(await ask(world, mountpoint, question, round))
    answers.push({ question, rounds })
    for (const figure of question.figures) console.log(row(question, figure, rounds))
  }
  console.log(`load ${await load()} at the end`)
  if (values.json) console.log(JSON.stringify({ machine, answers }))
}

/** Both sides, in another order each round. */
async function ask(world: CephWorld, mountpoint: string, question: Question, round: number): Promise<Round> {
  const isWarm = question.state === 'warm'
  const snapshot = isWarm ? 'warm' : `${questions.indexOf(question)}-${round}`
  if (!isWarm) await world.snapshot(snapshot)
  const reading = question.readingOf(round)
  const samples = new Map<string, Sample>()
  for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
    if (isWarm)
      samples.set(side, { ...(await read(sourceOf(world, mountpoint, side, snapshot), reading)), fetched: null })
    else samples.set(side, await readCold(world, mountpoint, side, snapshot, question.state, reading))
  }
  const made = { librbd: samples.get('librbd')!, parentfs: samples.get('parentfs')! }
  if (!isWarm && made.librbd.sum !== made.parentfs.sum) throw new Error(`${question.name}: other bytes than librbd's`)
  return made
}

async function readCold(
  world: CephWorld,
  usual: string,
  side: (typeof sides)[number],
  snapshot: string,
  state: Question['state'],
  reading: Reading,
): Promise<Sample> {
  const isNew = side === 'parentfs' && state === 'cold, new worker'
  const mountpoint = isNew ? await world.mount(`new-${snapshot}`) : usual
  await world.settle(mountpoint)
  await world.dropOsdCache()
  const before = await world.sentBytes()
  const result = await read(sourceOf(world, mountpoint, side, snapshot), reading)
  await world.settle(mountpoint)
  const fetched = ((await world.sentBytes()) - before) / (result.reads * reading.lengthBytes)
  if (isNew) await world.unmount(mountpoint)
  else if (side === 'parentfs') await parentfs('evict', join(mountpoint, `golden@${snapshot}`))
  return { ...result, fetched }
}

function sourceOf(world: CephWorld, mountpoint: string, side: (typeof sides)[number], snapshot: string): string[] {
  return side === 'librbd' ? world.librbd(snapshot) : ['file', join(mountpoint, `golden@${snapshot}`)]
}

/** So that the worker's code is compiled, and one snapshot is held whole. */
async function warmUp(world: CephWorld, mountpoint: string): Promise<void> {
  await world.snapshot('warm')
  const source = ['file', join(mountpoint, 'golden@warm')]
  await read(source, { depth: 4, lengthBytes: 4 * KiB, seconds: 0, offsets: randomOffsets(1001, 2048) })
  await parentfs('promote', join(mountpoint, 'golden@warm'))
  await world.settle(mountpoint)
}

function row({ name, state }: Question, figure: Question['figures'][number], rounds: readonly Round[]): string {
  const unit = { p50Us: 'us', p99Us: 'us', mibPerSecond: 'MiB/s', fetched: 'x' }[figure]
  const what = { p50Us: ', p50', p99Us: ', p99', mibPerSecond: '', fetched: ', bytes from the cluster' }[figure]
  const of = (side: (typeof sides)[number]) => rounds.map(each => each[side][figure] ?? Number.NaN)
  const spread = (all: readonly number[], suffix: string) => {
    const [middle, least, most] = [median(all), Math.min(...all), Math.max(...all)].map(said)
    return `${middle}${suffix} (${least} to ${most})`
  }
  const ratios = of('parentfs').map((own, round) => own / of('librbd')[round]!)
  const cells = [`${state}: ${name}${what}`, spread(of('librbd'), ` ${unit}`), spread(of('parentfs'), ` ${unit}`)]
  return `| ${[...cells, spread(ratios, '')].join(' | ')} |`
}

function said(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
