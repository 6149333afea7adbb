/**
 * An origin that fails, hangs, trickles, refuses or is not there at all. Readers wait for it as long as the settings
 * say, no reader ever gets a wrong byte, held bytes are read as if nothing were, and all of it ends by itself.
 *
 * For every fault it prints the reader's result, and its time. FAULTS=10 tries all that may pass; SEED=n chooses
 * others.
 */
import { readdirSync, renameSync, statSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { firstByteMsMax } from '../../src/origin/http/limits.ts'
import { readInCrowd, sha256Of } from '../fixtures/crowd.ts'
import {
  cannotMount,
  type Daemon,
  logs,
  mountDaemon,
  type Place,
  patienceMs,
  place,
  statusOf,
  stop,
} from '../fixtures/daemon.ts'
import { type Fault, type HttpOriginServer, spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { MountedFile } from '../fixtures/mounted-file.ts'
import { seed, seeded } from '../fixtures/seeded.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const [KiB, MiB] = [1024, 1024 ** 2]
const image = { seed: 31, sizeBytes: 24 * MiB + 5, dataShare: 1 }
const expected = sampleBytes(image, 0, image.sizeBytes)
/** Longest wait of a miss. */
const missSeconds = 2
/** The time after which an origin that is silent ends a read where the wait of misses does not. */
const otherwiseMs = firstByteMsMax

interface World {
  readonly where: Place
  readonly daemon: Daemon
  readonly file: MountedFile
  /** Serve again, or for the first time, on the same port. */
  readonly open: () => Promise<HttpOriginServer>
  origin: HttpOriginServer
}

/** A mount over a web server, with the first MiB of `a.raw` held. */
async function world(t: Test, ...more: string[]): Promise<World> {
  const where = place(t)
  for (const name of ['a.raw', 'b.raw']) writeSample(join(where.originDirectory, name), image)
  const origin = await spawnHttpOrigin({ directory: where.originDirectory })
  const port = Number(new URL(origin.url).port)
  const onHttp = { ...where, origin: origin.url }
  const open = () => spawnHttpOrigin({ directory: where.originDirectory, port })
  const daemon = await mountDaemon(t, onHttp, '-o', `miss_seconds=${missSeconds}`, '--revalidate', '0s', ...more)
  const file = await MountedFile.open(t, where.mountpoint, 'a.raw')
  const made: World = { where: onHttp, daemon, file, open, origin }
  t.teardown(() => made.origin.close())
  await file.read({ offset: 0, length: MiB })
  await until(async () => (await statusOf(onHttp)).images[0]!.residentBytes === MiB, patienceMs, 'the promotion')
  return made
}

/** Blocks that were never read, from the second MiB on. */
function* freshBlocks(): Generator<number> {
  for (let offset = MiB; offset + 64 * KiB <= image.sizeBytes; offset += 64 * KiB) yield offset
}

function take(blocks: Generator<number>, count: number): number[] {
  return Array.from({ length: count }, () => blocks.next().value!)
}

interface Outcome {
  /** `right`, the name of an errno, or `wrong` bytes. */
  readonly what: string
  readonly ms: number
}

async function outcomeOf(file: MountedFile, offset: number, kind: 'direct' | 'buffered' = 'direct'): Promise<Outcome> {
  const startMs = performance.now()
  const length = 64 * KiB
  const what = await file.read({ offset, length }, kind).then(
    bytes => (bytes.equals(expected.subarray(offset, offset + length)) ? 'right' : 'wrong'),
    (error: NodeJS.ErrnoException) => nameOf(error.errno),
  )
  return { what, ms: Math.round(performance.now() - startMs) }
}

function nameOf(errno = 0): string {
  return Object.entries(constants.errno).find(([, number]) => number === -errno)?.[0] ?? String(errno)
}

/** The lines that say the origin went or came. */
function changes(daemon: Daemon): string[] {
  return [...daemon.log().matchAll(/"msg":"(the origin is (?:away|back))/g)].map(([, text]) => text!)
}

/** Read blocks that are not held until they are right, and the origin counts as well. */
async function recover({ where, file }: World, blocks: Generator<number>): Promise<number> {
  const startMs = performance.now()
  const isWell = async () => {
    const { what } = await outcomeOf(file, blocks.next().value!)
    return what === 'right' && (await statusOf(where)).origin.state === 'available'
  }
  await until(isWell, patienceMs, 'the origin is well again')
  return Math.round(performance.now() - startMs)
}

/** Faults that may pass: a read goes on trying for as long as it has. */
const passing: readonly (readonly [string, Omit<Fault, 'method'>])[] = [
  ['500', { kind: 'status', status: 500 }],
  ['502', { kind: 'status', status: 502 }],
  ['503', { kind: 'status', status: 503 }],
  ['429, Retry-After in seconds', { kind: 'status', status: 429, retryAfter: '1' }],
  [
    '503, Retry-After as a date',
    { kind: 'status', status: 503, retryAfter: new Date(Date.now() + 86_400_000).toUTCString() },
  ],
  ['connections reset', { kind: 'reset' }],
  ['answers cut', { kind: 'cut' }],
  ['stalls before headers', { kind: 'stall-before-headers' }],
  ['stalls after headers', { kind: 'stall-after-headers' }],
  ['a drip, 50 bytes a second', { kind: 'drip' }],
]

const random = seeded(seed)
const chosen = [...passing].sort(() => random() - 0.5).slice(0, Number(process.env.FAULTS ?? 3))

t.test('a fault that passes is waited for, one that stays is EIO when the time is over', options, async t => {
  const made = await world(t)
  const { origin, where, file } = made
  t.comment(`SEED=${seed}`)
  const blocks = freshBlocks()
  for (const [name, fault] of chosen) {
    // Short: the reader does not notice more than that it took a while.
    await origin.fault({ ...fault, method: 'GET', times: 2 })
    const short = await outcomeOf(file, blocks.next().value!)
    t.ok(short.what === 'right' || short.what === 'EIO', `${name}, twice: ${short.what}`)
    t.ok(short.ms < otherwiseMs, `${name}, twice: ${short.ms} ms`)
    if (!/stall|drip|Retry/.test(name)) t.equal(short.what, 'right', `${name}, twice: right`)
    // Lasting.
    await origin.fault({ ...fault, method: 'GET' })
    const [offset, again] = [blocks.next().value!, blocks.next().value!]
    const lasting = await Promise.all([outcomeOf(file, offset), outcomeOf(file, again, 'buffered')])
    const [direct] = lasting
    for (const { what, ms } of lasting) {
      t.equal(what, 'EIO', `${name}: EIO`)
      t.ok(ms >= missSeconds * 1000 - 100 && ms < otherwiseMs, `${name}: after ${ms} ms`)
    }
    const { misses } = (await statusOf(where)).reads
    const held = await outcomeOf(file, 512 * KiB)
    t.equal(held.what, 'right', `${name}: what is held is read`)
    t.equal((await statusOf(where)).reads.misses, misses, `${name}: and waits for nothing: ${held.ms} ms`)
    await origin.fault(null)
    const backMs = await recover(made, blocks)
    for (const each of [offset, again])
      t.equal((await outcomeOf(file, each)).what, 'right', `${name}: right afterwards`)
    t.comment(
      `${name}: twice: ${short.what} after ${short.ms} ms; lasting: ${direct!.what} after ${direct!.ms} ms; well ${backMs} ms later`,
    )
  }
})

t.test(
  'an origin that is absent: hits, names and attributes as ever, misses wait, and it comes back by itself',
  options,
  async t => {
    const made = await world(t)
    const { where, daemon, file } = made
    const blocks = freshBlocks()
    await made.origin.close()
    const first = await outcomeOf(file, blocks.next().value!)
    t.equal(first.what, 'EIO')
    t.ok(first.ms >= missSeconds * 1000 - 100 && first.ms < otherwiseMs, `${first.ms} ms`)
    const { origin: away, reads } = await statusOf(where)
    t.match(away, { state: 'away', reason: /ECONNREFUSED/, outages: 1 })
    const requests = away.requests
    // A crowd, for as long as it has, and names all the while.
    const path = join(where.mountpoint, 'a.raw')
    const crowd = readInCrowd(path, 64 * KiB, take(blocks, 40))
    const startMs = performance.now()
    for (let k = 0; k < 50; k++) {
      t.equal(statSync(path).size, image.sizeBytes)
      t.same(readdirSync(where.mountpoint).sort(), ['a.raw', 'b.raw'])
      t.equal((await outcomeOf(file, (k % 16) * 64 * KiB)).what, 'right')
    }
    t.comment(`150 names and hits in ${Math.round(performance.now() - startMs)} ms`)
    for (const { errno, ms } of await crowd) {
      t.equal(nameOf(-errno), 'EIO')
      t.ok(ms < otherwiseMs, `${ms} ms`)
    }
    const after = await statusOf(where)
    t.ok(after.reads.hits - reads.hits >= 50, 'what is held was read without the origin')
    const tried = after.origin.requests - requests
    t.ok(tried <= 8, `${tried} requests for 40 readers and 100 names`)
    // A reader that waits while it comes back is served.
    const waiting = readInCrowd(path, 64 * KiB, take(blocks, 20))
    made.origin = await made.open()
    let served = 0
    for (const { offset, errno, sha256 } of await waiting) {
      if (errno === 0) t.equal(sha256, sha256Of(expected.subarray(offset, offset + 64 * KiB)), `right at ${offset}`)
      if (errno === 0) served++
    }
    await recover(made, blocks)
    t.comment(
      `refused: EIO after ${first.ms} ms; ${tried} requests in the outage; ${served} of 20 who waited were served`,
    )
    await logs(daemon, /"msg":"the origin is back/)
    t.same(changes(daemon), ['the origin is away', 'the origin is back'], 'one line each')
    const lines = daemon
      .log()
      .split('\n')
      .filter(line => /"level":(?:40|50)/.test(line))
    t.ok(lines.length <= 12, `${lines.length} warnings for some hundred requests`)
  },
)

t.test('on_outage=wait: a miss outlasts the outage, and whoever is killed leaves', options, async t => {
  const made = await world(t, '-o', 'on_outage=wait')
  const { where, file } = made
  const blocks = freshBlocks()
  await made.origin.close()
  const reads = Array.from({ length: 4 }, (_, k) =>
    outcomeOf(file, blocks.next().value!, k % 2 ? 'direct' : 'buffered'),
  )
  let ended = 0
  for (const read of reads) void read.then(() => ended++)
  await until(async () => (await statusOf(where)).origin.state === 'away', patienceMs, 'the outage is known')
  await new Promise(resolve => setTimeout(resolve, 2.5 * missSeconds * 1000))
  t.equal(ended, 0, 'nobody has failed')
  made.origin = await made.open()
  for (const { what, ms } of await Promise.all(reads)) {
    t.equal(what, 'right')
    t.comment(`right after ${ms} ms`)
  }
})

t.test(
  'absent at the start: mounted all the same, with names where they are known and EIO where they are not',
  options,
  async t => {
    const where = place(t)
    writeSample(join(where.originDirectory, 'a.raw'), image)
    let origin = await spawnHttpOrigin({ directory: where.originDirectory })
    t.teardown(() => origin.close())
    const port = Number(new URL(origin.url).port)
    const onHttp = { ...where, origin: origin.url }
    const a = join(where.mountpoint, 'a.raw')
    const settings = ['-o', `miss_seconds=${missSeconds}`, '--revalidate', '0s']
    await origin.close()
    // Nothing is known.
    let daemon = await mountDaemon(t, onHttp, ...settings)
    for (const call of [() => readdir(where.mountpoint), () => stat(a)]) {
      t.equal(
        await call().then(
          () => 'no error',
          (error: NodeJS.ErrnoException) => error.code,
        ),
        'EIO',
      )
    }
    await logs(daemon, /the origin does not answer; mounted all the same/)
    origin = await spawnHttpOrigin({ directory: where.originDirectory, port })
    await until(async () => (await readdir(where.mountpoint).catch(() => [])).length === 1, patienceMs, 'the names')
    t.ok((await readFile(a)).equals(expected))
    await until(async () => (await statusOf(onHttp)).promotion.queuedBytes === 0, patienceMs, 'the promotion')
    t.equal(await stop(daemon), 0)
    await origin.close()
    // All is known.
    daemon = await mountDaemon(t, onHttp, ...settings)
    t.same(await readdir(where.mountpoint), ['a.raw'])
    t.equal((await stat(a)).size, image.sizeBytes)
    t.ok((await readFile(a)).equals(expected))
    t.equal(await stop(daemon), 0)
  },
)

t.test('an image that is replaced during an outage: nobody ever reads bytes of the other version', options, async t => {
  const made = await world(t)
  const { where, file } = made
  const blocks = freshBlocks()
  await made.origin.close()
  t.equal((await outcomeOf(file, blocks.next().value!)).what, 'EIO')
  const replaced = { ...image, seed: 32 }
  const source = join(where.originDirectory, 'a.raw')
  writeSample(`${source}.new`, replaced)
  renameSync(`${source}.new`, source)
  t.equal(statSync(join(where.mountpoint, 'a.raw')).size, image.sizeBytes, 'the name is as it was')
  // Waits while it comes back, with another version.
  const waiting = outcomeOf(file, blocks.next().value!)
  made.origin = await made.open()
  t.match((await waiting).what, /^(ESTALE|EIO)$/)
  const isGone = async () => (await outcomeOf(file, blocks.next().value!)).what === 'ESTALE'
  await until(isGone, patienceMs, 'the old version is known to have gone')
  t.equal((await outcomeOf(file, 512 * KiB)).what, 'right', 'what is held of it is read by those who have it open')
  const first = await file.direct.stat()
  const isNew = () => statSync(join(where.mountpoint, 'a.raw')).ino !== first.ino
  await until(isNew, patienceMs, 'the name means the new version')
  const fresh = await readFile(join(where.mountpoint, 'a.raw'))
  t.ok(fresh.equals(sampleBytes(replaced, 0, replaced.sizeBytes)), 'and all of it is of that')
  for (let k = 0; k < 16; k++) t.equal((await outcomeOf(file, k * 64 * KiB)).what, 'right')
})
