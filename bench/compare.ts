/**
 * `make bench`, its second part: parentfs beside what a user would pick instead, on the same image and the same origin, in alternating
 * rounds.
 *
 *   node build/bench/compare.js [--quick] [--rounds n] [--minutes n] [--mebibytes n] [--only NAME,...]
 *     [--distances 10:100,...] [--out DIR] [--resume]
 *
 * Needs root, dist/ and the comparison server. Writes one JSON with every sample, and from it the tables and plots of
 * docs/BENCHMARKS.md. What is not installed is skipped aloud; what hangs is ended and said. No round is begun that would not end
 * within the minutes. What an interrupted run has measured lies in the journal beside the results, and `--resume` goes on from it.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { type HttpOriginServer, spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { writeSample } from '../test/fixtures/images.ts'
import { Journal } from './compare/journal.ts'
import { Lives, type LocalImage } from './compare/life.ts'
import { Rounds } from './compare/rounds.ts'
import { coldQuestions, type Distance, type Failure, nameOf, type Sample, warmQuestions } from './compare/samples.ts'
import { bucketName, type Contender } from './contenders/contender.ts'
import { comparison, rawFile } from './contenders/local.ts'
import { nbdkit } from './contenders/nbdkit.ts'
import { parentfsContender } from './contenders/parentfs.ts'
import { qemu } from './contenders/qemu.ts'
import { rclone, rcloneTuned, s3fs } from './contenders/remote-mounts.ts'
import { parentfs } from './demo/command.ts'
import { readReplay, writeTouched } from './replay/trace.ts'
import { linesOf } from './report/lines.ts'
import { describeMachine, type Machine } from './report/machine.ts'
import { withTables } from './report/page.ts'
import { writePlots } from './report/plots.ts'
import { rowsOf } from './report/ratios.ts'
import { whoIsAhead } from './report/reasons.ts'

const reference = 'parentfs'
const contenders: readonly Contender[] = [
  parentfsContender(reference, '--no-passthrough'),
  parentfsContender('parentfs passthrough'),
  parentfsContender('parentfs fuse-native', '--transport', 'fuse-native'),
  nbdkit,
  qemu,
  rclone,
  rcloneTuned,
  s3fs,
  rawFile,
  comparison(2),
  comparison(4),
]
const quickContenders = [reference, 'parentfs passthrough', nbdkit.name, rcloneTuned.name]
const trace = 'bench/traces/debian-12-ext4.txt.gz'
const distances: readonly Distance[] = [0, 2, 10].flatMap(delayMs =>
  [null, 100 * 2 ** 20].map(bytesPerSecond => ({ delayMs, bytesPerSecond })),
)

/** Results that lie elsewhere leave the page as it is. */
const committed = 'bench/results'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    minutes: { type: 'string' },
    mebibytes: { type: 'string' },
    only: { type: 'string' },
    distances: { type: 'string' },
    out: { type: 'string', default: committed },
    resume: { type: 'boolean', default: false },
  },
})
const minutesMax = Number(values.minutes ?? (values.quick ? 3 : 45))
const roundsMax = Number(values.rounds ?? (values.quick ? 2 : 3))
const imageBytes = Number(values.mebibytes ?? (values.quick ? 64 : 128)) * 2 ** 20
const secondsPerJob = values.quick ? 1 : 2
const directory = await mkdtemp(join(tmpdir(), 'parentfs-compare-'))
/** What is alive now, and has to be ended when the run is. */
let [lives, origin]: [Lives | null, HttpOriginServer | null] = [null, null]
let isGivenUp = false
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void giveUp(signal)) // Ends the process.
try {
  await main()
} finally {
  await rm(directory, { recursive: true, force: true })
}

async function giveUp(signal: string): Promise<void> {
  isGivenUp = true
  await lives?.abandon()
  await origin?.close()
  await rm(directory, { recursive: true, force: true }).catch(() => {})
  console.log(`ended by ${signal}; what was measured is kept: --resume goes on (make bench RESUME=1)`)
  process.exit(130)
}

async function main(): Promise<void> {
  console.log('\nparentfs beside other programs, each in its turn, from an empty cache:')
  const machine = await describeMachine((await parentfs('--version')).trim())
  console.log(`${machine.processors} x ${machine.processor}, Linux ${machine.kernel}, load ${machine.load.toFixed(1)}`)
  if (machine.load > machine.processors / 2) console.log('the machine is busy with other work: ratios will vary')
  const { chosen, skipped } = await choose()
  for (const { contender, reason } of skipped) console.log(`skipped: ${contender}: ${reason}`)
  const files = join(directory, 'images')
  await mkdir(files)
  const image = { name: 'image.raw', path: join(files, 'image.raw') }
  writeSample(image.path, { seed: 7, sizeBytes: imageBytes, dataShare: 1 })
  const bootImage = { name: 'boot.raw', path: join(files, 'boot.raw') }
  await writeTouched(bootImage.path, await readReplay(trace))

  await mkdir(values.out, { recursive: true })
  const { processor, kernel, versions } = machine
  const journalPath = join(values.out, 'compare.journal')
  if (!values.resume) await rm(journalPath, { force: true })
  const journal = new Journal(journalPath, { imageBytes, secondsPerJob, processor, kernel, versions })
  if (journal.size > 0) console.log(`going on after ${journal.size} steps of ${journalPath}`)
  const steps = stepsOf(chosen)
  const rounds = new Rounds({ roundsMax, secondsMax: 60 * minutesMax, stepsPerRound: steps.length })
  let round = 0
  for (; rounds.begins(round); round++) {
    for (const { contender, distance } of steps) {
      const step = `round ${round + 1}, ${distance ? nameOf(distance) : 'warm'}: ${contender.name}`
      if (!journal.has(step)) {
        const startedMs = performance.now()
        const came = await take(contender, distance, { files, image, bootImage, round })
        if (isGivenUp) return // Its failures are ours.
        journal.add({ step, seconds: (performance.now() - startedMs) / 1000, ...came })
      }
      const done = journal.get(step)
      rounds.count(done.seconds)
      for (const { reason } of done.failures) console.log(`failed: ${step}: ${reason}`)
      const left = Math.ceil(rounds.left! / 60)
      console.log(`${step} (${done.seconds.toFixed(0)} s; about ${left} min left, ${rounds.fitting} rounds)`)
    }
  }
  const samples = journal.all.flatMap(each => each.samples)
  const failures = journal.all.flatMap(each => each.failures)
  await report({ machine, rounds: round, samples, failures, skipped })
  journal.end()
}

interface Files {
  readonly files: string
  readonly image: LocalImage
  readonly bootImage: LocalImage
  readonly round: number
}

/** Of a round, in their order: warm reads first, at no distance, then all contenders at each distance. */
function stepsOf(chosen: readonly Contender[]) {
  const far = chosen.filter(contender => contender.far)
  return [
    ...chosen.map(contender => ({ contender, distance: null })),
    ...chosenDistances().flatMap(distance => far.map(contender => ({ contender, distance }))),
  ]
}

/** One contender, with an origin of its own. */
async function take(contender: Contender, distance: Distance | null, { files, image, bootImage, round }: Files) {
  const [samples, failures]: [Sample[], Failure[]] = [[], []]
  const { delayMs, bytesPerSecond } = distance ?? { delayMs: 0, bytesPerSecond: null }
  const cap = bytesPerSecond === null ? {} : { bytesPerSecond }
  origin = await spawnHttpOrigin({ directory: files, listing: 'html', bucket: bucketName, delayMs, ...cap })
  try {
    lives = new Lives(contender, {
      ...{ directory, origin, distance, image, trace, bootImage, secondsPerJob, round },
      onSample: sample => samples.push(sample),
      onFailure: failure => failures.push(failure),
    })
    await (distance === null ? lives.warm() : lives.cold())
    return { samples, failures }
  } finally {
    await origin.close()
  }
}

async function report(result: {
  readonly machine: Machine
  readonly rounds: number
  readonly samples: readonly Sample[]
  readonly failures: readonly Failure[]
  readonly skipped: readonly { readonly contender: string; readonly reason: string }[]
}): Promise<void> {
  const when = new Date().toISOString().slice(0, 10)
  const questions = new Map([...coldQuestions, ...warmQuestions].map(question => [question.id, question]))
  const rows = rowsOf(result.samples, reference, question => questions.get(question)!.better)
  const path = join(values.out, values.quick ? 'compare-quick.json' : 'compare.json')
  await writeFile(path, `${JSON.stringify({ when, ...result, rows })}\n`)
  console.log(`every sample is in ${path}`)
  if (values.quick) {
    for (const line of linesOf(rows, reference)) console.log(line)
    console.log(`\nWho is ahead of ${reference} by 3 % or more in every round, and why:\n\n${whoIsAhead(rows)}`)
    return
  }
  if (values.out !== committed) return
  const page = 'docs/BENCHMARKS.md'
  const plots = await writePlots('docs/benchmarks', rows, reference)
  const parts = { ...result, when, rows, reference, plots }
  await writeFile(page, withTables(await readFile(page, 'utf8'), parts))
  console.log(`${page} and its plots are written`)
}

/** Those that can run here. */
async function choose() {
  const names = values.only?.split(',') ?? (values.quick ? quickContenders : contenders.map(({ name }) => name))
  const chosen: Contender[] = []
  const skipped: { contender: string; reason: string }[] = []
  for (const contender of contenders.filter(({ name }) => names.includes(name))) {
    const missing: string[] = []
    for (const program of contender.programs) {
      await promisify(execFile)('sh', ['-c', 'command -v "$0"', program]).catch(() => missing.push(program))
    }
    if (missing.length === 0) chosen.push(contender)
    else skipped.push({ contender: contender.name, reason: `${missing.join(', ')} not installed` })
  }
  return { chosen, skipped }
}

/** `--distances 10:100,0:` are 10 ms with 100 MiB/s, and none without a cap. */
function chosenDistances(): readonly Distance[] {
  if (!values.distances) return values.quick ? distances.slice(-1) : distances
  return values.distances.split(',').map(each => {
    const [delayMs, cap] = each.split(':')
    return { delayMs: Number(delayMs), bytesPerSecond: cap ? Number(cap) * 2 ** 20 : null }
  })
}
