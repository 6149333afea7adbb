/**
 * `make bench`, its first part: parentfs beside the programs that a user would pick instead, on the same image and the
 * same origin, in alternating rounds.
 *
 *   node build/bench/compare.js [--quick] [--rounds n] [--only NAME,...] [--scenes ID,...] [--seconds n]
 *     [--mebibytes n] [--out DIR] [--resume] [--check FILE]
 *
 * Needs root, dist/ and the comparison server. Prints one table, and writes every sample as JSON, from which it makes
 * the tables and plots of docs/BENCHMARKS.md. Programs that are not installed are left out aloud; those that hang are
 * ended and listed. `--check` fails when a contender is further ahead than in each round of a kept result. The journal
 * beside the results has the steps of an interrupted run, and `--resume` goes on from it.
 */
import { truncateSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { writeSample } from '../test/fixtures/images.ts'
import { Journal } from './compare/journal.ts'
import { Life, type LocalImage } from './compare/life.ts'
import { isNear, type SceneOrigin, startOrigin } from './compare/origin.ts'
import { read } from './compare/reading.ts'
import { type Failure, type LifeKind, questions, type Sample, type Scene, scenes } from './compare/samples.ts'
import { allLives, type Contender, programs } from './contenders/contender.ts'
import { comparison, curl, rawFile } from './contenders/local.ts'
import { nbdkit } from './contenders/nbdkit.ts'
import {
  parentfsContender,
  profileImported,
  profilePublished,
  readAround,
  withParentfs,
} from './contenders/parentfs.ts'
import { qemu } from './contenders/qemu.ts'
import { rclone, rcloneTuned, s3fs } from './contenders/remote-mounts.ts'
import { parentfs } from './demo/command.ts'
import { readReplay, writeTouched } from './replay/trace.ts'
import { describeMachine, type Machine } from './report/machine.ts'
import { withTables } from './report/page.ts'
import { writePlots } from './report/plots.ts'
import { type Row, rowsOf } from './report/ratios.ts'
import { aligned, costs, leads, lossesOf, tablesOf } from './report/tables.ts'

const reference = 'parentfs'
const contenders: readonly Contender[] = [
  parentfsContender(reference, allLives),
  parentfsContender('parentfs never', ['complete'], '--passthrough', 'never'),
  parentfsContender('parentfs always', ['complete'], '--passthrough', 'always'),
  parentfsContender('parentfs fuse-native', ['complete'], '--transport', 'fuse-native'),
  readAround('frugal'),
  readAround('balanced'),
  readAround('fast'),
  profileImported,
  profilePublished,
  nbdkit,
  qemu,
  rclone,
  rcloneTuned,
  s3fs,
  curl,
  rawFile,
  comparison(2),
  comparison(4),
]
const quickContenders = [reference, nbdkit.name, s3fs.name, curl.name, rawFile.name]
const trace = 'bench/traces/debian-12-ext4.txt.gz'
const stormBytes = 64 * 2 ** 30
const heldBytes = 2 ** 40

/** Results that lie elsewhere leave the page as it is. */
const committed = 'bench/results'

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    seconds: { type: 'string' },
    mebibytes: { type: 'string', default: '256' },
    only: { type: 'string' },
    scenes: { type: 'string' },
    out: { type: 'string', default: committed },
    resume: { type: 'boolean', default: false },
    check: { type: 'string' },
  },
})
const rounds = Number(values.rounds ?? (values.quick ? 2 : 5))
const imageBytes = Number(values.mebibytes) * 2 ** 20
const secondsPerJob = Number(values.seconds ?? (values.quick ? 1 : 2))
const directory = await mkdtemp(join(tmpdir(), 'parentfs-compare-'))
/** Alive now, and to be ended with the run. */
let [life, origin]: [Life | null, SceneOrigin | null] = [null, null]
let isGivenUp = false
// Ends the process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void giveUp(signal))
try {
  await main()
} finally {
  await rm(directory, { recursive: true, force: true })
}

async function giveUp(signal: string): Promise<void> {
  isGivenUp = true
  await life?.abandon()
  await origin?.close()
  await rm(directory, { recursive: true, force: true }).catch(() => {})
  console.log(`ended by ${signal}; the samples are kept: --resume goes on (make bench RESUME=1)`)
  process.exit(130)
}

async function main(): Promise<void> {
  console.log('\nparentfs beside other programs, each in its turn, from an empty cache:')
  const machine = await describeMachine((await parentfs('--version')).trim())
  console.log(`${machine.processors} x ${machine.processor}, Linux ${machine.kernel}, load ${machine.load.toFixed(1)}`)
  if (machine.load > machine.processors / 2) console.log('the machine is busy with other work: ratios will vary')
  const { steps, skipped } = await chooseSteps()
  for (const { what, reason } of skipped) console.log(`left out: ${what}: ${reason}`)
  const world = await makeImages(steps.some(({ contender }) => contender.name.includes('profile')))

  await mkdir(values.out, { recursive: true })
  const { processor, kernel, versions } = machine
  const journalPath = join(values.out, 'compare.journal')
  if (!values.resume) await rm(journalPath, { force: true })
  const journal = new Journal(journalPath, { imageBytes, secondsPerJob, processor, kernel, versions })
  if (journal.size > 0) console.log(`going on after ${journal.size} steps of ${journalPath}`)
  for (let round = 0; round < rounds; round++) {
    // The order alternates, so that a slow change of the machine meets both sides.
    for (const { contender, scene } of round % 2 === 0 ? steps : steps.toReversed()) {
      const step = `round ${round + 1}, ${scene.id}: ${contender.name}`
      if (!journal.has(step)) {
        // A contender that hung once in a scene would do so again, and take its longest time for it.
        if (journal.all.some(({ failures }) => failures.some(failure => hungIn(failure, contender, scene)))) continue
        const startedMs = performance.now()
        const came = await take(contender, scene, round, world)
        if (isGivenUp) return // Its failures are ours.
        journal.add({ step, seconds: (performance.now() - startedMs) / 1000, ...came })
      }
      const { seconds, failures } = journal.get(step)
      for (const { reason } of failures) console.log(`failed: ${step}: ${reason}`)
      console.log(`${step} (${seconds.toFixed(0)} s)`)
    }
  }
  const samples = journal.all.flatMap(each => each.samples)
  const failures = journal.all.flatMap(each => each.failures)
  await report({ machine, rounds, samples, failures, skipped })
  journal.end()
}

function hungIn({ reason, contender, scene }: Failure, { name }: Contender, { id }: Scene): boolean {
  return reason.startsWith('hung') && contender === name && scene === id
}

/** Images and their directories, by the life that reads them. */
interface Images {
  readonly of: (kind: LifeKind) => { readonly files: string; readonly image: LocalImage }
  readonly profile: string | null
}

async function makeImages(withProfile: boolean): Promise<Images> {
  const [files, storm] = [join(directory, 'images'), join(directory, 'storm')]
  for (const each of [files, storm]) await mkdir(each)
  const [image, boot, cold] = [join(files, 'image.raw'), join(files, 'boot.raw'), join(storm, 'cold.raw')]
  writeSample(image, { seed: 7, sizeBytes: imageBytes, dataShare: 1 })
  await writeTouched(boot, await readReplay(trace))
  for (const [path, bytes] of [
    [cold, stormBytes],
    [join(storm, 'held.raw'), heldBytes],
  ] as const) {
    writeFileSync(path, '')
    truncateSync(path, bytes)
  }
  const local = async (path: string) => ({
    name: path.slice(path.lastIndexOf('/') + 1),
    path,
    sizeBytes: (await stat(path)).size,
  })
  const [plain, booted, stormed] = [await local(image), await local(boot), await local(cold)]
  return {
    of: kind =>
      kind === 'storm' ? { files: storm, image: stormed } : { files, image: kind === 'boot' ? booted : plain },
    profile: withProfile ? await recordProfile(files, booted) : null,
  }
}

/** A boot that is not measured. @returns its profile as `parentfs profile export` prints it */
async function recordProfile(files: string, image: LocalImage): Promise<string> {
  const own = join(directory, 'recording')
  await mkdir(own)
  origin = await startOrigin(files, scenes.find(({ life }) => life === 'boot')!)
  const place = { directory: own, originUrl: origin.url, imageName: image.name, imagePath: image.path }
  try {
    await withParentfs(place, ({ path }) => read({ path, imagePath: image.path, work: { kind: 'replay', trace } }))
    // The recording ended with the worker.
    return await withParentfs(place, ({ path }) => parentfs('profile', 'export', path))
  } finally {
    await origin.close()
    await rm(own, { recursive: true, force: true })
  }
}

/** One contender in one scene, with an origin of its own. */
async function take(contender: Contender, scene: Scene, round: number, { of, profile }: Images) {
  const [samples, failures]: [Sample[], Failure[]] = [[], []]
  const { files, image } = of(scene.life)
  origin = await startOrigin(files, scene)
  try {
    life = new Life(contender, {
      ...{ directory, origin, scene, image, profile, trace, round, secondsPerJob },
      onSample: sample => samples.push(sample),
      onFailure: failure => failures.push(failure),
    })
    await life.live()
    return { samples, failures }
  } finally {
    await origin.close()
  }
}

interface Skipped {
  readonly what: string
  readonly reason: string
}

async function report(result: {
  readonly machine: Machine
  readonly rounds: number
  readonly samples: readonly Sample[]
  readonly failures: readonly Failure[]
  readonly skipped: readonly Skipped[]
}): Promise<void> {
  const when = new Date().toISOString().slice(0, 10)
  const betterOf = new Map(questions.map(({ id, better }) => [id, better]))
  const rows = rowsOf(result.samples, reference, question => betterOf.get(question)!)
  for (const { title, cells } of tablesOf(rows, reference)) {
    console.log([`\n${title}`, ...aligned(cells)].join('\n'))
  }
  console.log(`\nRatios: times as good as the other is ${reference}; median, with least and most.`)
  console.log(['\nCPU and memory', ...aligned(costs(rows))].join('\n'))
  console.log(['\nAhead of parentfs in every round, and by how much', ...leads(rows)].join('\n'))
  const path = join(values.out, values.quick ? 'compare-quick.json' : 'compare.json')
  await writeFile(path, `${JSON.stringify({ when, ...result, rows })}\n`)
  console.log(`every sample is in ${path}`)
  if (values.check) {
    const kept = JSON.parse(await readFile(values.check, 'utf8')) as { readonly rows: readonly Row[] }
    const losses = lossesOf(rows, kept.rows)
    for (const loss of losses) console.log(`lost: ${loss}`)
    process.exitCode = losses.length === 0 ? 0 : 1
  }
  if (values.quick || values.out !== committed) return
  const page = 'docs/BENCHMARKS.md'
  const plots = await writePlots('docs/benchmarks', rows, reference)
  await writeFile(page, withTables(await readFile(page, 'utf8'), { ...result, when, rows, reference, plots }))
  console.log(`${page} and its plots are written`)
}

/** Scenes and contenders that can run here: contenders in turn in each scene. */
async function chooseSteps() {
  const skipped: Skipped[] = []
  const isHere = async (what: string, missing: () => Promise<string | null>) => {
    const reason = await missing()
    if (reason !== null) skipped.push({ what, reason })
    return reason === null
  }
  const names = values.only?.split(',') ?? (values.quick ? quickContenders : contenders.map(({ name }) => name))
  const chosen: Contender[] = []
  for (const contender of contenders.filter(({ name }) => names.includes(name))) {
    if (await isHere(contender.name, () => contender.missing())) chosen.push(contender)
  }
  const steps: { contender: Contender; scene: Scene }[] = []
  for (const scene of scenes) {
    const isAsked = values.scenes ? values.scenes.split(',').includes(scene.id) : !values.quick || scene.isQuick
    const needs = { misses: [], first: ['curl'], sequential: ['fio'], boot: [], storm: ['fio'], complete: ['fio'] }
    const server = isNear(scene) ? ['nginx'] : []
    if (!isAsked || !(await isHere(scene.title, programs(...needs[scene.life], ...server)))) continue
    const own = chosen.filter(({ lives }) => lives.includes(scene.life))
    steps.push(...own.map(contender => ({ contender, scene })))
  }
  return { steps, skipped }
}
