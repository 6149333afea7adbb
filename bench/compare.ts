/**
 * `make bench`, its second part: parentfs beside what a user would pick instead, on the same image and the same origin, in alternating
 * rounds.
 *
 *   node build/bench/compare.js [--quick] [--rounds n] [--only NAME,...] [--distances 10:100,...] [--out DIR]
 *
 * Needs root, dist/ and the comparison server. Writes one JSON with every sample, and from it the tables and plots of
 * docs/BENCHMARKS.md. What is not installed is skipped aloud; what hangs is ended and said.
 */
import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { writeSample } from '../test/fixtures/images.ts'
import { Lives } from './compare/life.ts'
import { coldQuestions, type Distance, type Failure, nameOf, type Sample, warmQuestions } from './compare/samples.ts'
import { bucketName, type Contender } from './contenders/contender.ts'
import { comparison, rawFile } from './contenders/local.ts'
import { nbdkit } from './contenders/nbdkit.ts'
import { parentfsContender } from './contenders/parentfs.ts'
import { qemu } from './contenders/qemu.ts'
import { rclone, rcloneTuned, s3fs } from './contenders/remote-mounts.ts'
import { parentfs } from './demo/command.ts'
import { readReplay, writeTouched } from './replay/trace.ts'
import { describeMachine } from './report/machine.ts'
import { withTables } from './report/page.ts'
import { writePlots } from './report/plots.ts'
import { rowsOf } from './report/ratios.ts'

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
const imageBytes = (quick: boolean) => (quick ? 64 : 128) * 2 ** 20
const distances: readonly Distance[] = [0, 2, 10].flatMap(delayMs =>
  [null, 100 * 2 ** 20].map(bytesPerSecond => ({ delayMs, bytesPerSecond })),
)

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rounds: { type: 'string' },
    only: { type: 'string' },
    distances: { type: 'string' },
    out: { type: 'string', default: 'bench/results' },
  },
})
const rounds = Number(values.rounds ?? (values.quick ? 2 : 3))
const secondsPerJob = values.quick ? 1 : 2
const directory = await mkdtemp(join(tmpdir(), 'parentfs-compare-'))
try {
  await main()
} finally {
  await rm(directory, { recursive: true, force: true })
}

async function main(): Promise<void> {
  const [samples, failures]: [Sample[], Failure[]] = [[], []]
  const version = (await parentfs('--version')).trim()
  const machine = await describeMachine(version)
  console.log(
    `${machine.processors} x ${machine.processor}, Linux ${machine.kernel}, load ${machine.load.toFixed(1)}; ${rounds} rounds`,
  )
  const { chosen, skipped } = await choose()
  for (const { contender, reason } of skipped) console.log(`skipped: ${contender}: ${reason}`)
  const files = join(directory, 'images')
  await mkdir(files)
  const image = { name: 'image.raw', path: join(files, 'image.raw') }
  writeSample(image.path, { seed: 7, sizeBytes: imageBytes(values.quick), dataShare: 1 })
  const bootImage = { name: 'boot.raw', path: join(files, 'boot.raw') }
  await writeTouched(bootImage.path, await readReplay(trace))
  for (let round = 0; round < rounds; round++) {
    for (const [k, distance] of chosenDistances().entries()) {
      const bytesPerSecond = distance.bytesPerSecond === null ? {} : { bytesPerSecond: distance.bytesPerSecond }
      const options = { directory: files, listing: 'html', bucket: bucketName, delayMs: distance.delayMs } as const
      const origin = await spawnHttpOrigin({ ...options, ...bytesPerSecond })
      try {
        for (const contender of chosen) {
          const lives = new Lives(contender, {
            ...{ directory, origin, distance, image, trace, bootImage, secondsPerJob, round },
            onSample: sample => samples.push(sample),
            onFailure: failure => {
              failures.push(failure)
              console.log(`failed: ${failure.contender}, ${failure.distance ?? 'warm'}: ${failure.reason}`)
            },
          })
          if (contender.far) await lives.cold()
          // Once in a round: no origin is asked any more.
          if (k === 0) await lives.warm()
          console.log(`round ${round + 1}, ${nameOf(distance)}: ${contender.name} done`)
        }
      } finally {
        await origin.close()
      }
    }
  }
  await report({ machine, samples, failures, skipped })
}

async function report(result: {
  readonly machine: Awaited<ReturnType<typeof describeMachine>>
  readonly samples: readonly Sample[]
  readonly failures: readonly Failure[]
  readonly skipped: readonly { readonly contender: string; readonly reason: string }[]
}): Promise<void> {
  const when = new Date().toISOString().slice(0, 10)
  const questions = new Map([...coldQuestions, ...warmQuestions].map(question => [question.id, question]))
  const rows = rowsOf(result.samples, reference, question => questions.get(question)!.better)
  await mkdir(values.out, { recursive: true })
  const path = join(values.out, values.quick ? 'compare-quick.json' : 'compare.json')
  await writeFile(path, `${JSON.stringify({ when, rounds, ...result, rows })}\n`)
  console.log(`every sample is in ${path}`)
  if (values.quick) {
    for (const row of rows) {
      const ratio = row.ratio ? `; parentfs is ${(1 / row.ratio.median).toFixed(2)} times as good` : ''
      console.log(`${row.question}, ${row.distance ?? 'warm'}, ${row.contender}: ${row.median.toFixed(2)}${ratio}`)
    }
    return
  }
  const page = 'docs/BENCHMARKS.md'
  const parts = { ...result, when, rounds, rows, reference }
  await writeFile(page, withTables(await readFile(page, 'utf8'), parts))
  await writePlots('docs/benchmarks', rows, reference)
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
