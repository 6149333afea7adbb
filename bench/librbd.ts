/**
 * Clients of librbd with the socket beside librbd alone, in alternating rounds on one cluster of one OSD.
 *
 *   node build/bench/librbd.js [--rounds 5] [--seconds 1] [--only TEXT] [--json]
 *
 * Needs root, Ceph's packages and dist/. One program (test/fixtures/librbd/client.cc) is both sides: alone it reads
 * through librbd; with the socket it asks, opens, seeks, reads and closes for each read, as librbd's plugin does. Before
 * each cold run the OSD drops its memory, and the mount gets a snapshot of which it holds nothing; the parent is known.
 * Bytes from the cluster are the OSD's own count. `--json` prints every sample as well.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { noCeph } from '../test/fixtures/ceph/cluster.ts'
import { type ClientOptions, clientProgram, type Seen } from '../test/fixtures/librbd/clients.ts'
import { parentfs } from './demo/command.ts'
import { type LibrbdMount, LibrbdWorld, parentBytes, type WorldImage } from './librbd/world.ts'
import { readReplay, type TracedRead, writeTouched } from './replay/trace.ts'
import { describeMachine } from './report/machine.ts'
import { median } from './report/ratios.ts'

const figures = {
  p50: { unit: 'us', what: 'p50', of: ({ p50 }: Sample) => p50 },
  p99: { unit: 'us', what: 'p99', of: ({ p99 }: Sample) => p99 },
  rate: { unit: 'reads/s', what: 'reads a second', of: ({ reads, seconds }: Sample) => reads / seconds },
  speed: { unit: 'MiB/s', what: 'MiB a second', of: ({ bytes, seconds }: Sample) => bytes / seconds / 2 ** 20 },
  time: { unit: 's', what: 'time', of: ({ seconds }: Sample) => seconds },
  fetched: { unit: 'x', what: 'bytes from the cluster', of: ({ fetched, bytes }: Sample) => fetched / bytes },
} as const

interface Sample extends Seen {
  readonly fetched: number
}

interface Question {
  readonly name: string
  readonly state: keyof typeof stateNames
  readonly options: (round: number) => ClientOptions
  readonly figures: readonly (keyof typeof figures)[]
}

const stateNames = {
  cold: 'cold',
  warm: 'warm',
  half: 'a parent of twice the capacity',
  boot: 'cold',
  again: 'warm',
} as const
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
const random = (depth: number) => (round: number) => ({ depth, seconds, seed: round + 7, compare: 0 })
const megabyte = { bytes: 2 ** 20, order: 'sequential', compare: 0 }
const once = parentBytes / 2 ** 20

const questions: readonly Question[] = [
  {
    ...{ name: '64 reads of 4 KiB at random', state: 'cold', figures: ['p50', 'p99', 'fetched'] },
    options: round => ({ reads: 64, seed: round + 1 }),
  },
  {
    name: '1 MiB in sequence',
    state: 'cold',
    options: () => ({ ...megabyte, reads: once }),
    figures: ['speed', 'fetched'],
  },
  {
    ...{ name: '1 MiB in sequence, 4 at once', state: 'cold', figures: ['speed', 'fetched'] },
    options: () => ({ ...megabyte, reads: once, depth: 4 }),
  },
  { name: '4 KiB at random', state: 'warm', options: random(1), figures: ['rate', 'p50', 'p99'] },
  { name: '4 KiB at random, 32 at once', state: 'warm', options: random(32), figures: ['rate', 'p99'] },
  { name: '1 MiB in sequence', state: 'warm', options: () => ({ ...megabyte, seconds }), figures: ['speed'] },
  {
    ...{ name: '1 MiB in sequence, 4 at once', state: 'warm', figures: ['speed'] },
    options: () => ({ ...megabyte, seconds, depth: 4 }),
  },
  {
    ...{ name: '4 KiB at random, 8 at once', state: 'half', figures: ['rate', 'p99', 'fetched'] },
    options: round => ({ ...random(8)(round), seconds: 3 * seconds }),
  },
  { name: 'a replayed boot', state: 'boot', options: () => ({ compare: 0 }), figures: ['time', 'p50', 'fetched'] },
  { name: 'the same boot again', state: 'again', options: () => ({ compare: 0 }), figures: ['time', 'p50', 'fetched'] },
]

if (noCeph !== false) throw new Error(noCeph)
const endings: (() => unknown)[] = []
try {
  await main()
} finally {
  for (const end of endings.reverse()) await end()
}

async function main(): Promise<void> {
  await clientProgram()
  const world = await LibrbdWorld.start(endings)
  const machine = await describeMachine((await parentfs('--version')).trim())
  const load = async () => (await readFile('/proc/loadavg', 'utf8')).split(' ')[0]
  console.log(`${machine.processors} x ${machine.processor}, Linux ${machine.kernel}, load ${await load()}`)
  const [large, small] = [await world.mount('large', '4GiB'), await world.mount('small', `${parentBytes / 2 ** 21}MiB`)]
  await world.snapshot('warm')
  for (const mount of [large, small]) await world.learn(mount, 'warm')
  await world.read(large, 'warm', { reads: 2048, depth: 4, seed: 1001 }) // The worker's code is compiled.
  await world.fill(large, 'warm')
  const boot = await bootIn(world)
  const answers: { question: string; rounds: Round[] }[] = []
  console.log('| what | librbd | with the socket | ratio, median (least to most) |\n|---|---|---|---|')
  for (const question of questions.filter(({ state, name }) => `${state}: ${name}`.includes(values.only))) {
    const mount = question.state === 'half' ? small : large
    const rounds: Round[] = []
    // The share that is kept settles.
    if (question.state === 'half') await world.read(mount, 'warm', { ...random(8)(99), seconds: 10 })
    for (let k = 0; k < Number(values.rounds); k++) rounds.push(await ask(world, mount, question, k, boot))
    answers.push({ question: `${question.state}: ${question.name}`, rounds })
    for (const figure of question.figures) console.log(row(question, figure, rounds))
  }
  if (values.only === '') console.log(await restart(world, large))
  console.log(`load ${await load()} at the end`)
  if (values.json) console.log(JSON.stringify({ machine, answers }))
}

/** A parent on which a recorded boot can be read, and the file with its reads. */
interface Boot {
  readonly image: WorldImage
  readonly trace: string
}

async function bootIn(world: LibrbdWorld): Promise<Boot> {
  const reads = await readReplay('bench/traces/debian-12-ext4.txt.gz')
  const image = await world.image('boot', path => writeTouched(path, reads))
  const trace = `${image.raw}.trace`
  await writeFile(trace, partsByObject(reads).join('\n'))
  return { image, trace }
}

/** As librbd asks: each object of a read by itself. */
function partsByObject(reads: readonly TracedRead[]): string[] {
  const objectBytes = 4 * 2 ** 20
  return reads.flatMap(({ offset, length }) => {
    const parts: string[] = []
    for (let at = offset; at < offset + length; ) {
      const end = Math.min(offset + length, (Math.floor(at / objectBytes) + 1) * objectBytes)
      parts.push(`${at} ${end - at}`)
      at = end
    }
    return parts
  })
}

/** Both sides, in another order each round. */
async function ask(
  world: LibrbdWorld,
  mount: LibrbdMount,
  question: Question,
  round: number,
  boot: Boot,
): Promise<Round> {
  const { state } = question
  const isBoot = state === 'boot' || state === 'again'
  const isCold = state === 'cold' || state === 'boot'
  const image = isBoot ? boot.image : world.golden
  const snapshot = isBoot ? `boot-${round}` : isCold ? `cold-${questions.indexOf(question)}-${round}` : 'warm'
  if (isCold) {
    await world.snapshot(snapshot, image)
    await world.learn(mount, snapshot, image)
  }
  const options = { ...question.options(round), ...(isBoot && { trace: boot.trace }) }
  const samples = new Map<string, Sample>()
  for (const side of round % 2 === 0 ? sides : sides.toReversed()) {
    if (isCold) await world.dropOsdCache()
    await world.settle(mount)
    const before = await world.sentBytes()
    const seen = await world.read(side === 'librbd' ? null : mount, snapshot, options, image)
    await world.settle(mount)
    samples.set(side, { ...seen, fetched: (await world.sentBytes()) - before })
  }
  return { librbd: samples.get('librbd')!, parentfs: samples.get('parentfs')! }
}

/** Bytes that are fetched again of a parent that was held whole. */
async function restart(world: LibrbdWorld, mount: LibrbdMount): Promise<string> {
  await world.unmount(mount)
  const next = await world.mount(mount.name, '4GiB')
  await world.learn(next, 'warm')
  await world.settle(next)
  const before = await world.sentBytes()
  const { path, reads } = await world.read(next, 'warm', { ...megabyte, reads: once })
  await world.settle(next)
  const fetched = (await world.sentBytes()) - before
  return `after a restart: ${path} of ${reads} reads of 1 MiB by path, ${fetched} bytes from the cluster`
}

function row({ name, state }: Question, figure: Question['figures'][number], rounds: readonly Round[]): string {
  const { unit, what, of } = figures[figure]
  const spread = (all: readonly number[], suffix: string) => {
    const [middle, least, most] = [median(all), Math.min(...all), Math.max(...all)].map(said)
    return `${middle}${suffix} (${least} to ${most})`
  }
  const side = (which: (typeof sides)[number]) => rounds.map(round => of(round[which]))
  const ratios = side('parentfs').map((own, round) => own / side('librbd')[round]!)
  const cells = [`${stateNames[state]}: ${name}, ${what}`, spread(side('librbd'), ` ${unit}`)]
  return `| ${[...cells, spread(side('parentfs'), ` ${unit}`), spread(ratios, '')].join(' | ')} |`
}

function said(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2)
}
