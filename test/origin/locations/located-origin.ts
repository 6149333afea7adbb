/** Locations of images: the best one is read, others follow within the same read, and those that differ never are. */
import t, { type Test } from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { type Image, identify } from '../../../src/base/image.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { LocatedOrigin } from '../../../src/origin/locations/located-origin.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever as signal } from '../../fixtures/rooms.ts'
import { seeded } from '../../fixtures/seeded.ts'
import { until } from '../../fixtures/until.ts'

const sizeBytes = 4 * 2 ** 20 + 17
const patienceMs = 20_000

interface World {
  readonly image: Image
  readonly primary: MemoryOrigin
  readonly others: readonly MemoryOrigin[]
  readonly origin: LocatedOrigin
  readonly clock: { nowMs: number }
  states(): Promise<string[]>
  /** Is a read right? */
  read(offset: number, length: number, isProven?: boolean): Promise<boolean>
}

/** An origin that takes 100 ms by the clock of the test, and locations of 1 ms. */
async function locating(t: Test, ...seeds: number[]): Promise<World> {
  const clock = { nowMs: 0 }
  const take = (origin: MemoryOrigin, ms: number) => {
    origin.gate = async () => {
      clock.nowMs += ms
    }
  }
  const primary = new MemoryOrigin('memory://primary')
  primary.put('a', sizeBytes)
  take(primary, 100)
  const others = seeds.map((seed, at) => {
    const other = new MemoryOrigin(`memory://other${at}`)
    other.put('a', sizeBytes, seed)
    take(other, 1)
    return other
  })
  const parts = { logger: silentLogger, now: () => clock.nowMs, random: seeded(7) }
  const origin = new LocatedOrigin(primary, others, parts)
  t.teardown(() => origin.close())
  const image = identify(await primary.lookup('a'))
  const read = async (offset: number, length: number, isProven = false) => {
    const target = Buffer.alloc(length)
    await origin.read(image, offset, target, { signal, isProven })
    return target.equals(primary.bytes('a', offset, length))
  }
  const states = async () => (await origin.locationsOf(image)).map(({ state, isRead }) => state + (isRead ? '*' : ''))
  return { image, primary, others, origin, clock, read, states }
}

t.test('a location whose bytes are proven wrong is read no more, and another one answers', async t => {
  const { image, origin, primary, others, states } = await locating(t, 2)
  const prove = async (offset: number) => {
    for (let tries = 1; tries <= 3; tries++) {
      const target = Buffer.alloc(4096)
      await origin.read(image, offset, target, { signal, isProven: true, isDisputed: tries > 1 })
      if (target.equals(primary.bytes('a', offset, 4096))) return tries
    }
    return null
  }
  t.equal(await prove(0), 1, 'the origin, at first')
  t.same(await states(), ['origin', 'good*'], 'by its size: its bytes are proven when they come')
  t.equal(await prove(8192), 2)
  t.same(await states(), ['origin*', 'quarantined'])
  t.match(await origin.locationsOf(image), [{ errors: 0 }, { errors: 1, reason: /from 8192 on do not fit/ }])
  const there = others[0]!.reads
  t.equal(await prove(8192), 1)
  t.equal(others[0]!.reads, there)
})

t.test('an origin whose bytes are proven wrong is followed by a location', async t => {
  const { image, origin, primary } = await locating(t, 1)
  const right = primary.bytes('a', 0, 4096)
  const honest = primary.read.bind(primary)
  primary.read = async (image, offset, target, options) => {
    await honest(image, offset, target, options)
    target[0]! ^= 1
  }
  const target = Buffer.alloc(4096)
  await origin.read(image, 0, target, { signal, isProven: true })
  t.notOk(target.equals(right))
  await origin.read(image, 0, target, { signal, isProven: true, isDisputed: true })
  t.ok(target.equals(right), 'also of one that was not compared yet')
  t.match(await origin.locationsOf(image), [{ state: 'origin', errors: 1 }, { state: 'good' }])
})

t.test('the location that is expected to answer first is read, after it was compared', async t => {
  const { primary, others, read, states } = await locating(t, 1)
  t.ok(await read(0, 4096), 'the origin, at first')
  t.same(await states(), ['origin', 'good*'])
  const [before, there] = [primary.reads, others[0]!.reads]
  t.ok(await read(70_000, 8192))
  // The first read of a location is compared again.
  await until(() => primary.reads === before + 1, patienceMs, 'the audit')
  t.ok(await read(90_000, 8192))
  // Two for readers, and one of the audit.
  t.same([primary.reads, others[0]!.reads], [before + 1, there + 3])
})

t.test('a location that is slow while it is measured', async t => {
  for (const [slowReads, expected] of [
    [2, 'good*'],
    [3, 'good'],
  ] as const) {
    const { others, clock, read, states } = await locating(t, 1)
    let reads = 0
    others[0]!.gate = async () => {
      clock.nowMs += reads++ < slowReads ? 500 : 1
    }
    // Of proven bytes, the size alone is compared: all reads of the location measure it.
    t.ok(await read(0, 4096, true))
    t.same((await states()).at(-1), expected, `${slowReads} of three reads are slow`)
    // Some while later; the origin is read in between.
    for (let looks = 0; looks < 2; looks++) {
      clock.nowMs += 8_000
      t.ok(await read(70_000, 4096, true))
    }
    t.same((await states()).at(-1), 'good*', 'the next measurement counts alone')
  }
})

t.test('a location with other bytes, another size or another digest is quarantined and never read', async t => {
  const { primary, others, read, states, origin, image } = await locating(t, 2, 1, 1)
  others[1]!.put('a', sizeBytes + 1)
  const sha = (hex: string) => ({ algorithm: 'sha-256', hex }) as const
  primary.published.set('a', sha('00'))
  others[2]!.published.set('a', sha('11'))
  await read(0, 4096)
  t.same(await states(), ['origin*', 'quarantined', 'quarantined', 'quarantined'])
  const reads = others.map(other => other.reads)
  for (let k = 0; k < 20; k++) t.ok(await read(k * 65536, 65536))
  t.same(
    others.map(other => other.reads),
    reads,
  )
  const reasons = (await origin.locationsOf(image)).map(({ reason }) => reason)
  t.match(reasons, ['', /bytes from \d+ on/, /has 4194322 bytes/, /digest/])
})

t.test('a failure goes on to the next location within the same read, and is left alone for a while', async t => {
  const { primary, others, read, states, clock } = await locating(t, 1, 1)
  await read(0, 4096)
  t.match(await states(), ['origin', /good/, /good/])
  const broken = others.find(other => other.url === 'memory://other0')!
  for (const other of others) other.failure = new CacheError('origin-failed', 'broken')
  const reads = () => others.map(other => other.reads)
  t.ok(await read(100_000, 4096), 'both are broken: the origin')
  const after = reads()
  t.ok(await read(200_000, 4096))
  t.same(reads(), after, 'they are left alone')
  t.same(await states(), ['origin*', 'away', 'away'])
  for (const other of others) other.failure = null
  clock.nowMs += 2_000
  t.ok(await read(300_000, 4096))
  t.not(reads().join(), after.join(), 'and asked again')
  primary.failure = new CacheError('origin-failed', 'broken')
  for (let k = 0; k < 5; k++) t.ok(await read(k * 4096, 4096), 'without the origin')
  t.ok(broken.reads > 0)
})

t.test('a location that hangs costs its try, not the read', async t => {
  const { primary, others, read, states } = await locating(t, 1)
  await read(0, 4096)
  t.same(await states(), ['origin', 'good*'])
  others[0]!.gate = (_key, _offset, own) =>
    new Promise((_, reject) => own.addEventListener('abort', () => reject(new CacheError('aborted', 'late'))))
  const before = primary.reads
  t.ok(await read(100_000, 4096))
  t.ok(primary.reads > before)
  const aborted = AbortSignal.abort()
  await t.rejects(
    (async () => {
      const { origin, image } = await locating(t, 1)
      await origin.read(image, 0, Buffer.alloc(10), { signal: aborted })
    })(),
    { code: 'aborted' },
  )
})

t.test('an audit finds a location that has come to lie', async t => {
  const { others, read, states, origin, image } = await locating(t, 1)
  await read(0, 4096)
  t.same(await states(), ['origin', 'good*'])
  // The same version, by its own account, with other bytes.
  const { read: honest } = others[0]!
  others[0]!.read = async (at, offset, target, options) => {
    await honest.call(others[0], at, offset, target, options)
    target[0]! ^= 1
  }
  await read(50_000, 4096)
  const isFound = async () => (await states()).join() === 'origin*,quarantined'
  await until(isFound, patienceMs, 'the audit')
  t.match(await origin.locationsOf(image), [{}, { reason: /bytes from 50000 on/ }])
})

t.test('all locations are compared: block by block, or by digests; those that differ are named', async t => {
  const { primary, others, origin, image } = await locating(t, 1, 1, 1, 1)
  others[1]!.put('a', sizeBytes, 1, [[65_536, 65_600]])
  others[2]!.failure = new CacheError('origin-unreachable', 'nobody there')
  const sha = { algorithm: 'sha-256', hex: '00' } as const
  primary.published.set('a', sha)
  others[3]!.published.set('a', sha)
  const done: string[] = []
  const options = {
    signal,
    blockBytes: 65_536,
    onBytes: (url: string, bytes: number) => void done.push(`${url} ${bytes}`),
  }
  const compared = await origin.compareAll(image, options)
  t.match(compared, [
    { url: 'memory://other0', by: 'bytes', differingBlocks: 0, comparedBytes: sizeBytes, problem: null },
    { url: 'memory://other1', differingBlocks: 1, differences: [65_536] },
    { url: 'memory://other2', problem: /nobody there/ },
    { url: 'memory://other3', by: 'digest', problem: null },
  ])
  t.ok(done.includes(`memory://other0 ${sizeBytes}`))
  t.match(await origin.locationsOf(image), [{}, {}, { state: 'quarantined' }, {}, {}])
})
