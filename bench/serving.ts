/**
 * `node build/bench/serving.js [--rounds 5] [--mebibytes 1024] [--seconds 3] [--only cost,hits]`: the price of serving other
 * hosts, and what local readers notice of it.
 *
 * Cost: processor seconds of the worker alone for each GB that it sends of an image in the page cache, asked for as a
 * member does (with checksums) and as any client does, over HTTP and TLS 1.3. Hits: random reads of 4 KiB, O_DIRECT,
 * by fio at a depth of 1 and 32, alone and beside clients that take all that they get, or a rate; alternating. The
 * clients share the processors. Needs root, openssl and fio.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { makeCertificate } from '../test/fixtures/certificate.ts'
import { freePort } from '../test/fixtures/free-port.ts'
import { spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { writeSample } from '../test/fixtures/images.ts'
import { run } from '../test/fixtures/run.ts'
import { Teardown } from './compare/teardown.ts'
import { startParentfs } from './contenders/parentfs.ts'
import { parentfs } from './demo/command.ts'
import { runFio } from './fio.ts'
import type { RangeLoad } from './fleet/range-client-main.ts'
import { describeMachine } from './report/machine.ts'
import { spread } from './report/ratios.ts'
import { difference, untilRests, used } from './report/thread-cpu.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    mebibytes: { type: 'string', default: '1024' },
    seconds: { type: 'string', default: '3' },
    rate: { type: 'string', default: '1TiB/s' },
    only: { type: 'string', default: 'cost,hits' },
  },
})
const [KiB, MiB] = [2 ** 10, 2 ** 20]
const sizeBytes = Number(values.mebibytes) * MiB
const sharesOfClients = [
  { rangeBytes: 64 * KiB, connections: 16 },
  { rangeBytes: MiB, connections: 8 },
]
const jobs = { QD1: 'bench/jobs/warm-4k-qd1.fio', QD32: 'bench/jobs/warm-4k-qd32.fio' }

/** A mount that holds all of an image, and serves it. */
interface Subject {
  readonly path: string
  readonly pid: number
  readonly port: number
  readonly imagePath: string
  readonly ca: string | null
}

const { processors, processor, kernel, load } = await describeMachine('')
console.log(`${processors} x ${processor}, Linux ${kernel}, load ${load.toFixed(1)}; ${values.rounds} rounds`)
for (const tls of [false, true]) {
  const t = new Teardown()
  try {
    const subject = await startSubject(t, tls)
    if (values.only.includes('cost')) await costs(subject)
    if (values.only.includes('hits') && !tls) await hits(subject)
  } finally {
    await t.end()
  }
}

async function startSubject(t: Teardown, isTls: boolean): Promise<Subject> {
  const home = await mkdtemp(join(tmpdir(), 'parentfs-serving-'))
  t.teardown(() => rm(home, { recursive: true, force: true }))
  const files = join(home, 'images')
  await mkdir(files)
  writeSample(join(files, 'image.raw'), { seed: 19, sizeBytes, dataShare: 1 })
  const origin = await spawnHttpOrigin({ directory: files })
  t.teardown(() => origin.close())
  const [port, config] = [await freePort(), join(home, 'parentfs.yaml')]
  const own = isTls ? makeCertificate(home, 'IP:127.0.0.1') : null
  const tls = own ? `, tls: { certificate: "${own.certificate}", key: "${own.key}" }` : ''
  const fleet = `fleet: { listen: "127.0.0.1:${port}", insecure: true, serveRate: ${values.rate}${tls} }`
  const cache = `cache: { directory: "${join(home, 'cache')}", capacity: ${3 * Number(values.mebibytes)}MiB }`
  await writeFile(config, `origin: { url: "${origin.url}" }\n${cache}\n${fleet}\n`)
  const place = { directory: home, originUrl: '', imageName: 'image.raw', imagePath: join(files, 'image.raw') }
  const running = await startParentfs(place, ['--config', config])
  t.teardown(() => running.stop())
  await parentfs('promote', running.path)
  await run('cmp', running.path, place.imagePath)
  const head = await run('curl', '-sSkI', `http${isTls ? 's' : ''}://127.0.0.1:${port}/v1/images/image.raw`)
  const id = /parentfs-image: ([0-9a-f]{32})/i.exec(head.toString())![1]!
  const ca = own && (await readFile(own.certificate, 'utf8'))
  return { path: running.path, pid: running.pids()[0]!, port, imagePath: `/v1/image/${id}`, ca }
}

async function costs(subject: Subject): Promise<void> {
  console.log(
    '\n| requests | protocol | CPU-s/GB of the worker | main thread | serving threads | MB/s |\n|---|---|---|---|---|---|',
  )
  for (const share of sharesOfClients) {
    for (const isMember of [false, true]) {
      const rounds: { all: number; main: number; serving: number; rate: number }[] = []
      for (let round = 0; round < Number(values.rounds); round++) rounds.push(await cost(subject, share, isMember))
      const of = (part: 'all' | 'main' | 'serving' | 'rate') => spread(rounds.map(each => each[part]))
      const what = `${share.rangeBytes / KiB} KiB by ${share.connections} connections`
      const protocol = `${subject.ca === null ? 'HTTP' : 'TLS 1.3'}${isMember ? ', checksums' : ''}`
      console.log(`| ${what} | ${protocol} | ${of('all')} | ${of('main')} | ${of('serving')} | ${of('rate')} |`)
    }
  }
}

type Share = (typeof sharesOfClients)[number]

async function cost(subject: Subject, share: Share, isMember: boolean) {
  await untilRests(subject.pid)
  const before = await used(subject.pid)
  const startedMs = performance.now()
  const client = startClient(subject, share, isMember, sizeBytes)
  const bytes = await bytesOf(client)
  const seconds = (performance.now() - startedMs) / 1000
  const threads = difference(await used(subject.pid), before)
  const of = (name: string) => {
    const { user, system } = threads.get(name) ?? { user: 0, system: 0 }
    return ((user + system) * 1e9) / bytes
  }
  return { all: of('all'), main: of('main'), serving: of('serving'), rate: bytes / 1e6 / seconds }
}

function startClient(subject: Subject, share: Share, isMember: boolean, bytes: number | null): ChildProcess {
  const { port, imagePath: path, ca } = subject
  const head = isMember ? 'Parentfs-Rank: 0\r\nParentfs-Hop: 0\r\n' : ''
  const load: RangeLoad = { port, path, head, sizeBytes, ...share, bytes, ca }
  const main = fileURLToPath(new URL('fleet/range-client-main.js', import.meta.url))
  return spawn(process.execPath, [main, JSON.stringify(load)], { stdio: ['pipe', 'pipe', 'inherit'] })
}

/** @throws Error when it failed */
async function bytesOf(client: ChildProcess): Promise<number> {
  let said = ''
  client.stdout!.on('data', text => {
    said += text
  })
  const [code] = (await once(client, 'close')) as [number | null]
  if (code !== 0) throw new Error(`the client ended with ${code}`)
  return Number(said)
}

async function hits(subject: Subject): Promise<void> {
  console.log('\n| hits of 4 KiB | alone, IOPS | beside serving | ratio | served, MB/s |\n|---|---|---|---|---|')
  for (const [depth, job] of Object.entries(jobs)) {
    const [alone, beside, ratios, rates]: number[][] = [[], [], [], []]
    for (let round = 0; round < Number(values.rounds); round++) {
      alone!.push((await runFio(job, subject.path, Number(values.seconds))).iops)
      const startedMs = performance.now()
      const client = startClient(subject, sharesOfClients[1]!, true, null)
      const { iops } = await runFio(job, subject.path, Number(values.seconds))
      client.stdin!.end()
      const bytes = await bytesOf(client)
      beside!.push(iops)
      ratios!.push(iops / alone!.at(-1)!)
      rates!.push(bytes / 1e3 / (performance.now() - startedMs))
    }
    const [a, b, c, d] = [alone!, beside!, ratios!, rates!].map(spread)
    console.log(`| ${depth} | ${a} | ${b} | ${c} | ${d} |`)
  }
}
