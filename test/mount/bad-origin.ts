/** Broken, lying and vanished origins: readers get an errno in time, and never a wrong byte, now or later. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { constants } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { revalidateMsMax } from '../../src/cache/names/limits.ts'
import { mountAt } from '../../src/daemon/mount/mount-table.ts'
import {
  cannotMount,
  mountArguments,
  mountDaemon,
  type Place,
  parentfs,
  patienceMs,
  place,
  statusOf,
} from '../fixtures/daemon.ts'
import { type Fault, type HttpOriginServer, spawnHttpOrigin } from '../fixtures/http-origin.ts'
import { sampleBytes, writeSample } from '../fixtures/images.ts'
import { MountedFile } from '../fixtures/mounted-file.ts'
import { until } from '../fixtures/until.ts'

const options = { skip: cannotMount }
const [KiB, MiB] = [1024, 1024 ** 2]
/** Longest wait of a miss for an origin that never answers; one that answers is never so late. */
const [missSeconds, patientSeconds] = [2, 60]
const image = { seed: 13, sizeBytes: 8 * MiB + 77, dataShare: 1 }

/** A mount over a web server; its names are asked for each time. */
async function mountedOverHttp(
  t: Test,
  names: readonly string[],
  seconds = patientSeconds,
): Promise<[Place, HttpOriginServer]> {
  const where = place(t)
  for (const name of names) writeSample(join(where.originDirectory, name), image)
  const origin = await spawnHttpOrigin({ directory: where.originDirectory })
  t.teardown(() => origin.close())
  await mountDaemon(t, { ...where, origin: origin.url }, '--revalidate', '0s', '-o', `miss_seconds=${seconds}`)
  return [where, origin]
}

/** The name of the errno, also of those that Node.js has no words for; or what came instead of an error. */
async function codeOf(work: Promise<unknown>): Promise<string> {
  const nameOf = (errno: number) => Object.entries(constants.errno).find(([, number]) => number === -errno)?.[0]
  return work.then(
    value => `no error but ${JSON.stringify(value)?.slice(0, 100)}`,
    (error: NodeJS.ErrnoException) => nameOf(error.errno ?? 0) ?? error.message,
  )
}

const lookups: readonly (readonly [Omit<Fault, 'path'>, string, number])[] = [
  [{ kind: 'status', status: 404 }, 'ENOENT', 1],
  [{ kind: 'status', status: 410 }, 'ENOENT', 1],
  [{ kind: 'status', status: 403 }, 'EACCES', 1],
  [{ kind: 'status', status: 401 }, 'EACCES', 1],
  [{ kind: 'status', status: 500 }, 'EIO', 3],
  [{ kind: 'status', status: 503 }, 'EIO', 3],
  [{ kind: 'status', status: 429 }, 'EIO', 3],
  [{ kind: 'status', status: 418 }, 'EIO', 1],
  [{ kind: 'reset' }, 'EIO', 3],
  [{ kind: 'garbage' }, 'EIO', 1],
  [{ kind: 'no-etag' }, 'ENOTSUP', 1],
]

t.test('a name that the origin does not give is an errno, after as many tries as make sense', options, async t => {
  const [where, origin] = await mountedOverHttp(t, ['a.raw'])
  for (const [fault, code, tries] of lookups) {
    await origin.fault({ ...fault, path: '/a.raw' })
    const isUnsupported = fault.kind === 'no-etag'
    await origin.reset()
    const what = `${fault.kind} ${fault.status ?? ''}`
    t.equal(await codeOf(stat(join(where.mountpoint, 'a.raw'))), code, what)
    const asked = (await origin.counters()).requests
    t.ok(tries === 3 ? asked === 3 : asked <= 2, `${what}: asked ${asked} times`)
    const { unsupported } = (await statusOf(where)).origin
    t.match(unsupported, isUnsupported ? /strong ETag or Last-Modified/ : /^$/, `${what}: status says why`)
    // An answer in between, or the origin would be away.
    await origin.fault(null)
    t.equal(await codeOf(stat(join(where.mountpoint, 'none.raw'))), 'ENOENT')
  }
  await origin.fault(null)
  t.equal((await stat(join(where.mountpoint, 'a.raw'))).size, image.sizeBytes)
  t.equal(await codeOf(stat(join(where.mountpoint, 'none.raw'))), 'ENOENT')
})

t.test('of a server whose images cannot be served, mount says why and what to do', options, async t => {
  const where = place(t)
  for (const name of ['a.raw', 'b.raw']) writeSample(join(where.originDirectory, name), image)
  for (const [lacking, why] of [[{ etag: 'none', lastModified: false }, /strong ETag or Last-Modified/]] as const) {
    const origin = await spawnHttpOrigin({ directory: where.originDirectory, ...lacking })
    t.teardown(() => origin.close())
    const refused = await parentfs(...mountArguments({ ...where, origin: origin.url }, '--background'))
    t.match(refused, { code: 1, stderr: why })
    t.match(refused.stderr, /^parentfs: origin http:[^\n]*a\.raw[^\n]*such as nginx\n$/, 'in one line')
    t.equal(await mountAt(where.mountpoint), null)
    t.equal((await origin.counters()).requests <= 8, true)
  }
})

type ReadFault = readonly [Omit<Fault, 'method'>, string]

/** The fault of a read that is tried again until it is late. More of them are in sick-origin.ts. */
const passing: readonly ReadFault[] = [[{ kind: 'cut' }, 'EIO']]

/** Faults of one read, with the errno it gets. A version that is gone is a stale file. */
const lasting: readonly ReadFault[] = [
  [{ kind: 'status', status: 404 }, 'ESTALE'],
  [{ kind: 'status', status: 403 }, 'EACCES'],
  [{ kind: 'short' }, 'EIO'],
  [{ kind: 'short-chunked' }, 'EIO'],
  [{ kind: 'long' }, 'EIO'],
  [{ kind: 'whole' }, 'EIO'],
  [{ kind: 'wrong-range' }, 'EIO'],
  [{ kind: 'multipart' }, 'EIO'],
  [{ kind: 'other-size' }, 'EIO'],
  [{ kind: 'other-etag' }, 'ESTALE'],
  [{ kind: 'no-etag' }, 'EIO'],
  [{ kind: 'gzip' }, 'EIO'],
  [{ kind: 'encoded' }, 'EIO'],
  [{ kind: 'html' }, 'EIO'],
  [{ kind: 'garbage' }, 'EIO'],
  [{ kind: 'redirect', location: '/a.raw' }, 'EIO'],
]

/** A mount answers reads with these errors, and with right bytes once each fault is over. */
async function refusesAnswers(t: Test, seconds: number, reads: readonly ReadFault[]): Promise<void> {
  const [where, origin] = await mountedOverHttp(t, ['a.raw'], seconds)
  const file = await MountedFile.open(t, where.mountpoint, 'a.raw')
  const expected = sampleBytes(image, 0, image.sizeBytes)
  const isAtRest = async () => {
    const { gauges, promotion } = await statusOf(where)
    return gauges.inflightFetches === 0 && promotion.queuedBytes === 0
  }
  for (const [k, [fault, code]] of reads.entries()) {
    // Two blocks that nothing else touches, for each descriptor.
    const ranges = {
      direct: { offset: 4 * k * 64 * KiB, length: 100_000 },
      buffered: { offset: (4 * k + 2) * 64 * KiB, length: 5 },
    }
    const what = `${fault.kind} ${fault.status ?? ''}`
    await until(isAtRest, patienceMs, 'what was read rightly is kept')
    const before = await statusOf(where)
    await origin.fault({ ...fault, method: 'GET' })
    const codes = (['direct', 'buffered'] as const).map(kind => codeOf(file.read(ranges[kind], kind)))
    t.same(await Promise.all(codes), [code, code], what)
    const after = await statusOf(where)
    t.equal(after.promotion.promotedBytes, before.promotion.promotedBytes, `${what}: nothing is kept`)
    t.equal(after.images[0]!.residentBytes, before.images[0]!.residentBytes)
    await origin.fault(null)
    const isBack = async () => (await codeOf(file.read({ offset: ranges.direct.offset, length: 1 }))).startsWith('no')
    await until(isBack, patienceMs, `the origin is back after ${what}`)
    for (const kind of ['direct', 'buffered'] as const) {
      const { offset, length } = ranges[kind]
      const bytes = await file.read(ranges[kind], kind)
      t.ok(bytes.equals(expected.subarray(offset, offset + length)), `${what}: right once it is over, ${kind}`)
    }
  }
  t.equal(await file.size(), image.sizeBytes)
  t.ok((await readFile(join(where.mountpoint, 'a.raw'))).equals(expected))
}

t.test('an answer that is not what was asked for is an error, never served and never kept', options, async t => {
  await refusesAnswers(t, patientSeconds, lasting)
})

t.test('nor is a part of an answer, again and again until the read is late', options, async t => {
  await refusesAnswers(t, missSeconds, passing)
})

t.test('an origin that never answers is an error within the deadline, for names and for bytes', options, async t => {
  const [where, origin] = await mountedOverHttp(t, ['a.raw', 'b.raw', 'c.raw'], missSeconds)
  const [a, b] = [
    await MountedFile.open(t, where.mountpoint, 'a.raw'),
    await MountedFile.open(t, where.mountpoint, 'b.raw'),
  ]
  await b.read({ offset: 0, length: 64 * KiB })
  await origin.fault({ kind: 'stall-before-headers' })
  const startedMs = performance.now()
  const codes = await Promise.all([
    codeOf(a.read({ offset: 0, length: 1 })),
    codeOf(b.read({ offset: 2 * MiB, length: MiB })),
    codeOf(stat(join(where.mountpoint, 'c.raw'))),
  ])
  const seconds = (performance.now() - startedMs) / 1000
  t.same(codes, ['EIO', 'EIO', 'EIO'])
  t.ok(seconds >= missSeconds && seconds < missSeconds + 5, `${seconds.toFixed(1)} s`)
  t.ok(
    (await b.read({ offset: 0, length: 64 * KiB })).equals(sampleBytes(image, 0, 64 * KiB)),
    'what is held is read without it',
  )
  const listedMs = performance.now()
  t.same((await readdir(where.mountpoint)).sort(), ['a.raw', 'b.raw', 'c.raw'], 'names that are known stay')
  t.ok(performance.now() - listedMs < 2 * revalidateMsMax, 'and nobody waits long for them')
  await origin.fault(null)
  await until(async () => (await codeOf(a.read({ offset: 0, length: 1 }))).startsWith('no'), patienceMs, 'it is back')
  t.ok((await a.read({ offset: 0, length: 99 })).equals(sampleBytes(image, 0, 99)))
})
