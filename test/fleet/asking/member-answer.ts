/** Answers of hostile members by the hundred thousand: none brings a wrong byte, and each ends. Bodies that stall. */
import { randomFillSync } from 'node:crypto'
import { PassThrough, Readable } from 'node:stream'
import t from 'tap'
import { LightAbortSignal } from '../../../src/async/light-abort-signal.ts'
import { OwnTime } from '../../../src/async/own-time.ts'
import { identify } from '../../../src/base/image.ts'
import { memberStallBytesMin } from '../../../src/fleet/asking/limits.ts'
import { MemberAnswer } from '../../../src/fleet/asking/member-answer.ts'
import { entityTag, formatSums, sumsHeader } from '../../../src/fleet/wire/wire.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { between, seed, seeded } from '../../fixtures/seeded.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const addon = loadAddon()
const blockBytes = 4_096
const bytes = randomFillSync(Buffer.alloc(4 * blockBytes))
const image = identify({ origin: 'o', key: 'k', sizeBytes: bytes.length, validator: 'v', modifiedMs: 0 })
const sums = [0, 1, 2, 3].map(k => addon.crc32c(bytes.subarray(k * blockBytes, (k + 1) * blockBytes)))
const honest: Record<string, string> = {
  etag: entityTag(image.id),
  'content-range': `bytes 0-${bytes.length - 1}/${bytes.length}`,
  'content-length': String(bytes.length),
  [sumsHeader]: formatSums(sums),
}
const statuses = [206, 206, 206, 200, 404, 412, 416, 429, 500, 503]
const rounds = Number(process.env.RUNS ?? 100_000)

t.test(`${rounds} answers of noise bring no wrong byte (SEED=${seed})`, { timeout: 240_000 }, async t => {
  const random = seeded(seed)
  const options = {
    url: 'http://x',
    blockBytes,
    time: new OwnTime(),
    sumOf: (block: Uint8Array) => addon.crc32c(block),
  }
  const kinds: Record<string, number> = {}
  let wrong = 0
  const mutated = (text: string): string => {
    const letters = [...text]
    for (let flips = between(random, 0, 3); flips > 0; flips--) {
      letters[between(random, 0, letters.length)] = String.fromCharCode(between(random, 32, 127))
    }
    return letters.slice(0, random() < 0.1 ? between(random, 0, letters.length) : undefined).join('')
  }
  const one = async () => {
    const target = Buffer.alloc(bytes.length, 0xee)
    const answer = new MemberAnswer({ image, offset: 0, target, rank: 0, hop: 1, fill: true }, options)
    const exchange = new LightAbortSignal()
    const over = answer.watch(exchange, 1_000)
    const isHonest = random() < 0.3
    const headers: Record<string, string> = {}
    for (const [name, value] of Object.entries(honest)) {
      if (isHonest || random() < 0.95) headers[name] = isHonest || random() < 0.6 ? value : mutated(value)
    }
    const refusal = answer.head(isHonest ? 206 : statuses[between(random, 0, statuses.length)]!, headers)
    let outcome = refusal
    if (!refusal) {
      const body = Buffer.from(bytes)
      if (random() < 0.5) body[between(random, 0, body.length)]! ^= 1 << between(random, 0, 8)
      const sent = random() < 0.3 ? body.subarray(0, between(random, 0, body.length)) : body
      const extra = random() < 0.1 ? [Buffer.alloc(between(random, 1, 9))] : []
      const cut = between(random, 0, sent.length + 1)
      const stream = Readable.from([sent.subarray(0, cut), sent.subarray(cut), ...extra], { objectMode: false })
      outcome = await answer.body(stream, exchange)
    }
    over()
    exchange.end()
    kinds[outcome!.kind] = (kinds[outcome!.kind] ?? 0) + 1
    const goodBytes = outcome!.kind === 'bytes' ? bytes.length : outcome!.kind === 'lost' ? outcome!.goodBytes : 0
    if (!target.subarray(0, goodBytes).equals(bytes.subarray(0, goodBytes))) wrong++
  }
  const heapBytes = process.memoryUsage().heapUsed
  for (let done = 0; done < rounds; done += 50) await Promise.all(Array.from({ length: 50 }, one))
  t.equal(wrong, 0)
  for (const kind of ['bytes', 'wrong', 'lost', 'absent', 'busy']) t.ok(kinds[kind]! > 0, `${kinds[kind]} ${kind}`)
  t.equal(options.time.armed, 0, 'no timer is left')
  t.ok(process.memoryUsage().heapUsed - heapBytes < 256 * 1024 ** 2, 'no answer is kept')
})

t.test('a body that goes on has its time to stall anew, and one that does not is lost', async t => {
  const long = randomFillSync(Buffer.alloc(2 * memberStallBytesMin))
  const longImage = identify({ origin: 'o', key: 'l', sizeBytes: long.length, validator: 'v', modifiedMs: 0 })
  const timers: { readonly work: () => void; isArmed: boolean }[] = []
  const after = (_ms: number, work: () => void) => {
    const timer = { work, isArmed: true }
    timers.push(timer)
    return () => {
      timer.isArmed = false
    }
  }
  const sumOf = (block: Uint8Array) => addon.crc32c(block)
  const options = { url: 'http://x', blockBytes, time: { after }, sumOf }
  const target = Buffer.alloc(long.length)
  const answer = new MemberAnswer({ image: longImage, offset: 0, target, rank: 0, hop: 1, fill: true }, options)
  const blocks = Array.from({ length: long.length / blockBytes }, (_, k) => k * blockBytes)
  const longSums = blocks.map(at => sumOf(long.subarray(at, at + blockBytes)))
  const headers = {
    etag: entityTag(longImage.id),
    'content-range': `bytes 0-${long.length - 1}/${long.length}`,
    [sumsHeader]: formatSums(longSums),
  }
  t.equal(answer.head(206, headers), null)
  const [body, exchange] = [new PassThrough(), new LightAbortSignal()]
  const outcome = answer.body(body, exchange)
  t.equal(timers.length, 1)
  body.write(long.subarray(0, memberStallBytesMin - blockBytes))
  await until(() => body.readableLength === 0 && target[0] === long[0], patienceMs, 'the first bytes')
  t.equal(timers.length, 1, 'too few to count')
  body.write(long.subarray(memberStallBytesMin - blockBytes, memberStallBytesMin))
  await until(() => timers.length === 2, patienceMs, 'another time')
  t.same(
    timers.map(({ isArmed }) => isArmed),
    [false, true],
  )
  timers[1]!.work()
  t.match(await outcome, { kind: 'lost', goodBytes: memberStallBytesMin })
})

t.test('a host that asked itself hears so, and is passed by under that name', t => {
  const options = { url: 'http://x', blockBytes, time: new OwnTime(), sumOf: () => 0 }
  const range = { image, offset: 0, target: Buffer.alloc(blockBytes), rank: 0, hop: 1, fill: true }
  t.match(new MemberAnswer(range, options).head(421, {}), {
    kind: 'lost',
    goodBytes: 0,
    why: /^http:.*itself.*fleet.url/,
  })
  t.end()
})
