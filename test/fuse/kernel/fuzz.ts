/**
 * Random requests: nothing crashes, and everything but what wants no answer is answered once.
 *
 * REQUESTS=n sets how many, in lives of ten thousand; SEED=n another sequence.
 */
import t from 'tap'
import { opcodes } from '../../../src/fuse/kernel/opcodes.ts'
import { FakeBackend } from '../../fixtures/fake-backend.ts'
import { queued, rawRequest } from '../../fixtures/fake-session.ts'
import { fakeTransport } from '../../fixtures/fake-transport.ts'
import { nameBody, openBody, readBody, seekBody, valueBody } from '../../fixtures/fuse-bodies.ts'
import { seed, seeded } from '../../fixtures/seeded.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const requests = Number(process.env.REQUESTS ?? 10_000)
/** Requests of one transport: their answers are kept until all are there. */
const lifeMax = 10_000
const unanswered = new Set<number>([opcodes.FORGET, opcodes.BATCH_FORGET, opcodes.INTERRUPT])

t.setTimeout(3_600_000)

t.test(`random requests with seed ${seed} are answered once each`, { timeout: 0 }, async t => {
  const seen = { expected: 0, answered: 0, twice: 0, left: 0, good: 0 }
  for (let from = 0; from < requests; from += lifeMax) {
    const life = await live(seed + from, Math.min(lifeMax, requests - from))
    for (const [what, count] of Object.entries(life)) seen[what as keyof typeof seen] += count
  }
  t.equal(seen.answered, seen.expected)
  t.equal(seen.twice, 0, 'none twice')
  t.equal(seen.left, 0, 'none is left in flight')
  // The test itself is awake: it asks for things that can be had, and for others.
  t.ok(seen.good > requests / 50 && seen.good < seen.answered / 2, `${seen.good} answered without an error`)
  t.comment(JSON.stringify({ requests, ...seen }))
})

/** Ask so many things of a transport of its own, and count what came of it. */
async function live(lifeSeed: number, count: number) {
  const random = seeded(lifeSeed)
  const below = (n: number) => Math.floor(random() * n)
  const { backend, session, transport } = fakeTransport(new FakeBackend())
  const nodeIds = [0n, 1n, 2n, 2n ** 64n - 1n]
  for (let k = 0; k < 5; k++) nodeIds.push(backend.add({ name: `image-${k}`, sizeBytes: k * 1000 }).nodeId)
  const nodeId = () => nodeIds[below(nodeIds.length)]!
  const plausible = [
    () => nameBody(`image-${below(7)}`),
    () => openBody(below(4)),
    () => readBody(nodeId(), below(6000), below(8192)),
    () => readBody(nodeId(), 2n ** BigInt(below(64)), below(2 ** 32)),
    () => seekBody(nodeId(), below(6000), below(6)),
    () => valueBody(below(100), 'user.parentfs.complete'),
    () => Buffer.from(Array.from({ length: below(120) }, () => below(256))),
  ]
  const expected = new Set<bigint>()
  for (let k = 0; k < count; ) {
    const batch: Uint8Array[] = []
    for (let size = 1 + below(8); size > 0 && k < count; size--, k++) {
      const opcode = random() < 0.95 ? below(56) : below(2 ** 32)
      const whole = plausible[below(plausible.length)]!()
      const body = random() < 0.8 ? whole : whole.subarray(0, below(whole.length + 1))
      const unique = BigInt(2 * k + 2) | (random() < 0.1 ? 1n << 63n : 0n)
      batch.push(queued(rawRequest({ opcode, unique, nodeId: nodeId(), body, pid: below(3) * 1_000_000_000 })))
      if (!unanswered.has(opcode)) expected.add(unique)
    }
    session.sendRaw(Buffer.concat(batch))
    if (random() < 0.1) await new Promise(resolve => setImmediate(resolve))
  }
  // An INTERRUPT of an unknown request is answered, later, under its own unique; that is no answer to a request.
  const answers = () => session.replies.filter(({ unique }) => expected.has(unique))
  await until(() => answers().length >= expected.size, patienceMs, 'an answer to each')
  const replies = answers()
  const different = new Set(replies.map(({ unique }) => unique)).size
  const left = transport.gauges().inFlight
  await transport.stop()
  return {
    expected: expected.size,
    answered: different,
    twice: replies.length - different,
    left,
    good: replies.filter(({ errno }) => errno === 0).length,
  }
}
