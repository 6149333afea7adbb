/**
 * `node build/bench/origins.js [--rounds 5] [--mib 64] [--only swift,nbd]`: a mount beside the origin's own tool, for
 * each kind of origin with a real server on this machine. Cold reads of 4 KiB, one at a time, each in another block:
 * curl over one connection, or fio's nbd engine. Then all of the image: curl into nothing, or nbdcopy. Sides alternate;
 * a mount is new and empty each time. Of the server: seconds until it has the image, and its memory then. Needs root.
 */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import { authorizationFor, signingTimeOf } from '../src/origin/s3/signature-v4.ts'
import { CephTestCluster } from '../test/fixtures/ceph/cluster.ts'
import { noRadosgw, startRadosgw } from '../test/fixtures/ceph/radosgw.ts'
import { noGlance, startGlance } from '../test/fixtures/glance-server.ts'
import { spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { noNbdkit, startNbdkit } from '../test/fixtures/nbd-server.ts'
import { childrenOf } from '../test/fixtures/process-usage.ts'
import { noRegistry, RegistryServer } from '../test/fixtures/registry-server.ts'
import { type S3Account, S3Client } from '../test/fixtures/s3-client.ts'
import { SwiftObjects, swiftAccess } from '../test/fixtures/swift-objects.ts'
import { noSwift, startSwift } from '../test/fixtures/swift-server.ts'
import { randomReads, read } from './compare/reading.ts'
import { Teardown } from './compare/teardown.ts'
import { startParentfs } from './contenders/parentfs.ts'
import { percentile } from './replay/player.ts'
import { describeMachine } from './report/machine.ts'
import { median, spread } from './report/ratios.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    mib: { type: 'string', default: '64' },
    only: { type: 'string', default: '' },
  },
})
const MiB = 2 ** 20
const reads = 64
const execute = promisify(execFile)

/** An origin whose server runs, with the image in it. */
interface Subject {
  /** Settings of the origin, as YAML on one line. */
  readonly settings: string
  /** Of the image in the mount. */
  readonly name: string
  /** Milliseconds of each of these reads. */
  readonly readAt: (offsets: readonly number[]) => Promise<number[]>
  /** Seconds of a read of the whole. */
  readonly readAll: () => Promise<number>
}

type Starter = (t: Teardown, image: Buffer, directory: string) => Promise<Subject>

const kinds: Readonly<Record<string, { readonly missing: string | false; readonly start: Starter }>> = {
  http: { missing: false, start: startHttp },
  nbd: { missing: noNbdkit, start: startNbd },
  swift: { missing: noSwift, start: startSwiftContainer },
  s3: { missing: noSwift, start: startSwiftBucket },
  radosgw: { missing: noRadosgw, start: startCephBucket },
  glance: { missing: noGlance, start: startImageService },
  oci: { missing: noRegistry, start: startRegistry },
}

const { processors, processor, kernel, load } = await describeMachine('')
console.log(`${processors} x ${processor}, Linux ${kernel}, load ${load.toFixed(1)}`)
console.log('| origin | 4 KiB, p50 ms | tool | ratio | whole, MiB/s | tool | ratio | server, s | MiB |')
console.log('|---|---|---|---|---|---|---|---|---|')
const chosen = values.only === '' ? Object.keys(kinds) : values.only.split(',')
for (const kind of chosen) await measure(kind)

async function measure(kind: string): Promise<void> {
  const { missing, start } = kinds[kind]!
  if (missing) return void console.log(`| ${kind} | ${missing} |`)
  const home = await mkdtemp(join(tmpdir(), 'parentfs-origins-'))
  const t = new Teardown()
  t.teardown(() => rm(home, { recursive: true, force: true }))
  try {
    const image = randomBytes(Number(values.mib) * MiB)
    const files = join(home, 'files')
    await mkdir(files)
    await writeFile(join(files, 'a.raw'), image)
    const startMs = performance.now()
    const subject = await start(t, image, files)
    const server = `${((performance.now() - startMs) / 1000).toFixed(1)} | ${(memoryBelow(process.pid) / MiB).toFixed(0)}`
    const [coldMs, toolMs, whole, toolWhole]: number[][] = [[], [], [], []]
    for (let round = 0; round < Number(values.rounds); round++) {
      const list = randomReads(image.length, round + 1, 0, reads)
      coldMs!.push(percentile((await mounted(home, subject, files, list)).latenciesMs, 0.5))
      toolMs!.push(percentile(await subject.readAt(list.map(({ offset }) => offset)), 0.5))
      whole!.push(Number(values.mib) / (await mounted(home, subject, files, null)).seconds)
      toolWhole!.push(Number(values.mib) / (await subject.readAll()))
    }
    const cold = `${spread(coldMs!)} | ${spread(toolMs!)} | ${(median(coldMs!) / median(toolMs!)).toFixed(2)}`
    const all = `${spread(whole!)} | ${spread(toolWhole!)} | ${(median(whole!) / median(toolWhole!)).toFixed(2)}`
    console.log(`| ${kind} | ${cold} | ${all} | ${server} |`)
  } finally {
    await t.end()
  }
}

/** Bytes of all processes below one, shared pages in equal parts. */
function memoryBelow(pid: number): number {
  return childrenOf(pid)
    .map(child => {
      const rollup = readFileSync(`/proc/${child}/smaps_rollup`, 'utf8')
      return Number(/^Pss:\s+(\d+)/m.exec(rollup)?.[1]) * 1024 + memoryBelow(child)
    })
    .reduce((sum, bytes) => sum + bytes, 0)
}

/** Reads of a new mount: these, or all of the image. Each byte is compared. */
async function mounted(home: string, subject: Subject, files: string, list: ReturnType<typeof randomReads> | null) {
  const directory = await mkdtemp(join(home, 'mount-'))
  const config = join(directory, 'p.yaml')
  const cache = `{ directory: "${join(directory, 'cache')}", capacity: 1GiB }`
  await writeFile(config, `origin: ${subject.settings}\ncache: ${cache}\n`)
  const imagePath = join(files, 'a.raw')
  const running = await startParentfs({ directory, originUrl: '', imageName: subject.name, imagePath }, [
    '--config',
    config,
  ])
  try {
    const work = list ? ({ kind: 'lists', lists: [list] } as const) : ({ kind: 'sequential' } as const)
    const played = await read({ path: running.path, imagePath, work })
    if (played.wrong > 0) throw new Error(`${played.wrong} reads were wrong`)
    return played
  } finally {
    await running.stop()
    await rm(directory, { recursive: true })
  }
}

/** By curl. @param options lines of its configuration, for each request */
function byCurl(url: string, options: readonly string[] = []): Pick<Subject, 'readAt' | 'readAll'> {
  const curl = async (requests: readonly (readonly string[])[]) => {
    const config = requests.map(lines => [`url = "${url}"`, ...options, ...lines].join('\n')).join('\nnext\n')
    const child = execute('curl', ['--silent', '--fail', '-K', '-'])
    child.child.stdin?.end(`${config}\n`)
    return (await child).stdout.trim().split('\n').map(Number)
  }
  const times = ['output = "/dev/null"', 'write-out = "%{time_total}\\n"']
  return {
    readAt: async offsets =>
      (await curl(offsets.map(at => [`range = "${at}-${at + 4095}"`, ...times]))).map(seconds => seconds * 1000),
    readAll: async () => (await curl([times]))[0]!,
  }
}

async function startHttp(t: Teardown, _: Buffer, directory: string): Promise<Subject> {
  const server = await spawnHttpOrigin({ directory })
  t.teardown(() => server.close())
  return { settings: `{ url: "${server.url}" }`, name: 'a.raw', ...byCurl(`${server.url}a.raw`) }
}

async function startNbd(t: Teardown, image: Buffer, directory: string): Promise<Subject> {
  const server = await startNbdkit(t as never, ['file', join(directory, 'a.raw')])
  const fio = ['--name=a', '--ioengine=nbd', `--uri=${server.url}`, '--rw=randread', '--bs=4k', '--output-format=json']
  return {
    settings: `{ url: "${server.url}", allowMutable: true }`,
    name: 'default',
    readAt: async () => {
      const size = [`--size=${image.length}`, `--number_ios=${reads}`, '--readonly']
      const { stdout } = await execute('fio', [...fio, ...size])
      const { jobs } = JSON.parse(stdout.slice(stdout.indexOf('{'))) as FioOutput
      return [jobs[0]!.read.clat_ns.percentile['50.000000']! / 1e6]
    },
    readAll: async () => {
      const startMs = performance.now()
      await execute('nbdcopy', [server.url, 'null:'])
      return (performance.now() - startMs) / 1000
    },
  }
}

interface FioOutput {
  readonly jobs: readonly { readonly read: { readonly clat_ns: { readonly percentile: Record<string, number> } } }[]
}

async function startSwiftContainer(t: Teardown, image: Buffer): Promise<Subject> {
  const server = await startSwift(t)
  const access = await swiftAccess(server.authUrl, server.user, server.key)
  const objects = new SwiftObjects(access)
  await objects.create('images')
  await objects.put('images', 'a.raw', image)
  process.env.PARENTFS_BENCH_KEY = server.key
  const login = `authUrl: "${server.authUrl}", username: "${server.user}", password: { env: PARENTFS_BENCH_KEY }`
  const head = [`header = "X-Auth-Token: ${access.token}"`]
  const settings = `{ url: "swift://images/", ${login} }`
  return { settings, name: 'a.raw', ...byCurl(`${access.storageUrl}/images/a.raw`, head) }
}

async function startSwiftBucket(t: Teardown, image: Buffer): Promise<Subject> {
  return startBucket((await startSwift(t)).s3, image)
}

async function startCephBucket(t: Teardown, image: Buffer): Promise<Subject> {
  const cluster = await CephTestCluster.start(t)
  return startBucket(await startRadosgw({ teardown: end => t.teardown(end), passing: () => true }, cluster), image)
}

async function startBucket(s3: S3Account, image: Buffer): Promise<Subject> {
  const client = new S3Client(s3, 'images')
  await client.create()
  await client.ask({ method: 'PUT', key: 'a.raw', body: image })
  process.env.PARENTFS_BENCH_KEY = s3.secretKey
  const keys = `accessKeyId: "${s3.accessKey}", secretAccessKey: { env: PARENTFS_BENCH_KEY }, region: ${s3.region}`
  const url = new URL(`${s3.endpoint}/images/a.raw`)
  // Good for a quarter of an hour, whatever the range.
  const [time, payload] = [signingTimeOf(Date.now()), 'UNSIGNED-PAYLOAD']
  const headers = { 'x-amz-content-sha256': payload, 'x-amz-date': time }
  const secrets = { accessKeyId: s3.accessKey, secretAccessKey: s3.secretKey }
  const scope = { region: s3.region, service: 's3', time }
  const authorization = authorizationFor({ method: 'GET', url, headers, payload }, scope, secrets)
  const signed = Object.entries({ ...headers, authorization }).map(([name, value]) => `header = "${name}: ${value}"`)
  const settings = `{ url: "s3://images/", endpoint: "${s3.endpoint}", ${keys} }`
  return { settings, name: 'a.raw', ...byCurl(url.href, signed) }
}

async function startImageService(t: Teardown, bytes: Buffer): Promise<Subject> {
  const server = await startGlance(t)
  const id = await server.put({ name: 'a.raw', bytes })
  return { settings: `{ url: "${server.url}" }`, name: 'a.raw', ...byCurl(`${server.endpoint}/v2/images/${id}/file`) }
}

async function startRegistry(t: Teardown, bytes: Buffer): Promise<Subject> {
  const registry = await RegistryServer.start(t)
  const { digest, mediaType } = await registry.push('images', 'a', [{ bytes }])
  const headers = { accept: mediaType }
  const answer = await fetch(`http://${registry.host}/v2/images/manifests/${digest}`, { headers })
  const manifest = (await answer.json()) as { layers: { digest: string }[] }
  const url = `http://${registry.host}/v2/images/blobs/${manifest.layers[0]!.digest}`
  return { settings: `{ url: "oci://${registry.host}/images" }`, name: 'a', ...byCurl(url) }
}
