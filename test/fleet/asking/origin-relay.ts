/** Bytes of an origin that does not answer this host, by way of members that reach it. */
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { lateAnswersMax, relayedAtOnceMax, relayMsMax, relayNextMs } from '../../../src/fleet/asking/limits.ts'
import type { AskedRange, AskOutcome, MemberChannel } from '../../../src/fleet/asking/member-channel.ts'
import { OriginRelay } from '../../../src/fleet/asking/origin-relay.ts'
import { PeerHealth } from '../../../src/fleet/asking/peer-health.ts'
import type { KnownMember } from '../../../src/fleet/group/group-view.ts'
import { hopsMax, unitBlocks } from '../../../src/fleet/wire/wire.ts'

const blockBytes = 4096
const image = identify({ origin: 'https://o/', key: 'a', sizeBytes: 2 ** 30, validator: 'v', modifiedMs: 0 })

/** The answer of a member: bytes of its number, now or when the test says so, another outcome, or nothing. */
type Behaviour = 'bytes' | 'silent' | 'later' | AskOutcome

function memberNamed(id: string): KnownMember {
  return { id, url: `https://${id}/`, rack: '', weight: 1, blockBytes, state: 'up', since: 0 }
}

/** A clock that goes on when the test says so. */
function clockOfTest() {
  const timers: { atMs: number; work: (() => void) | null }[] = []
  let nowMs = 0
  const after = (ms: number, work: () => void) => {
    const timer = { atMs: nowMs + ms, work: work as (() => void) | null }
    timers.push(timer)
    return () => {
      timer.work = null
    }
  }
  const pass = async (ms: number) => {
    nowMs += ms
    for (const timer of timers.filter(({ atMs }) => atMs <= nowMs)) {
      const { work } = timer
      timer.work = null
      work?.()
    }
    await new Promise(resolve => setImmediate(resolve))
  }
  const waiting = () => timers.filter(({ work }) => work !== null).length
  return { now: () => nowMs, after, pass, waiting }
}

/** Members 1, 2, ... in the order of their ranks, beside this host, by a clock of the test. */
function relayOver(behaviours: readonly Behaviour[]) {
  const own = memberNamed('0')
  const members = behaviours.map((_, k) => memberNamed(`${k + 1}`))
  const { now, after, pass, waiting } = clockOfTest()
  const asked: string[] = []
  const received: [string, number][] = []
  let answer = () => {}
  const later = new Promise<void>(resolve => {
    answer = resolve
  })
  const channelOf = (id: string, behaviour: Behaviour): Pick<MemberChannel, 'ask'> => ({
    ask: async ({ target, hop, fill }: AskedRange, { signal }) => {
      asked.push(id)
      t.same([hop, fill], [hopsMax, true], 'it asks no further member, and brings the bytes')
      if (behaviour === 'later') await later
      if (behaviour === 'bytes' || behaviour === 'later') {
        target.fill(Number(id))
        return { kind: 'bytes' }
      }
      if (behaviour !== 'silent') return behaviour
      await new Promise<void>(resolve => signal.addEventListener('abort', () => resolve(), { once: true }))
      target.fill(99) // The last moment at which it may.
      return { kind: 'aborted' }
    },
  })
  const peers = new Map(
    members.map(({ id }, k) => {
      const channel = channelOf(id, behaviours[k]!) as MemberChannel
      return [id, { channel, health: new PeerHealth(now) }]
    }),
  )
  const relay = new OriginRelay({
    blockBytes,
    view: { own, ranks: () => ({ near: [own, ...members.slice(0, 1)], far: members }) },
    peerOf: ({ id }) => peers.get(id)!,
    isUsable: ({ id }) => peers.get(id)!.health.isUsable,
    settings: () => ({ patienceMs: 100 }),
    now,
    after,
    onAsk: () => () => {},
    onBytes: ({ id }, { target }) => void received.push([id, target[0]!]),
  })
  const read = async (bytes = 8192, { signal } = new AbortController()) => {
    const target = Buffer.alloc(bytes)
    const isRead = await relay.read({ image, unit: 0, offset: 0, target, hop: 0, isProven: false }, signal)
    await new Promise(resolve => setImmediate(resolve))
    return isRead ? [...new Set(target)] : null
  }
  return {
    read,
    pass,
    asked,
    received,
    waiting,
    answer: () => answer(),
    healthOf: (id: string) => peers.get(id)!.health,
  }
}

t.test('members are asked in the order of their ranks, each once, until one has the bytes', async t => {
  const refusal: AskOutcome = { kind: 'busy', replicas: 1 }
  const { read, asked, received, waiting } = relayOver([refusal, { kind: 'absent' }, 'bytes', 'bytes'])
  t.same(await read(), [3])
  t.same(asked, ['1', '2', '3'])
  t.same(received, [['3', 3]])
  t.equal(waiting(), 0)
})

t.test('a range of several units is read unit by unit', async t => {
  const { read, asked } = relayOver(['bytes'])
  t.same(await read(unitBlocks * blockBytes + 1), [1])
  t.same(asked, ['1', '1'])
})

t.test('beside a member that says nothing the next one is asked; what it writes late is not taken', async t => {
  const { read, pass, asked, waiting, healthOf } = relayOver(['silent', 'bytes'])
  const reading = read()
  await pass(relayNextMs - 1)
  t.same(asked, ['1'])
  await pass(1)
  t.same(await reading, [2])
  t.same(asked, ['1', '2'])
  t.equal(waiting(), 0)
  t.equal(healthOf('1').state, 'well', 'it was left, and did not fail')
  for (let late = 1; late < lateAnswersMax; late++) {
    const again = read()
    await pass(relayNextMs)
    t.same(await again, [2])
  }
  t.equal(healthOf('1').state, 'passed-by', 'it was late several times in a row')
  asked.length = 0
  t.same(await read(), [2])
  t.same(asked, ['2'])
})

t.test('a bounded number of members is asked at once, each for its time', async t => {
  const { read, pass, asked, waiting } = relayOver(['silent', 'silent', 'bytes'])
  const reading = read()
  await pass(relayNextMs)
  t.equal(asked.length, relayedAtOnceMax)
  await pass(relayMsMax - relayNextMs - 1)
  t.same(asked, ['1', '2'])
  await pass(1)
  t.same(await reading, [3])
  t.equal(waiting(), 0)
})

t.test('a member that answers after another one was asked is as good', async t => {
  const { read, pass, asked, answer, healthOf } = relayOver(['later', 'silent', 'bytes'])
  const reading = read()
  await pass(relayNextMs)
  t.same(asked, ['1', '2'])
  answer()
  t.same(await reading, [1])
  t.equal(healthOf('2').counters.failures, 0)
})

t.test('a member that failed lately is asked last, one that lied never', async t => {
  const { read, asked, healthOf } = relayOver(['bytes', 'bytes', { kind: 'busy', replicas: 1 }])
  healthOf('1').failed('no answer in time')
  healthOf('2').lied('other bytes')
  t.same(await read(), [1])
  t.same(asked, ['3', '1'])
})

t.test('without a member that has the bytes there are none', async t => {
  const { read, pass, asked, waiting, healthOf } = relayOver([
    'silent',
    { kind: 'lost', goodBytes: 0, why: 'broke off' },
  ])
  const reading = read()
  await pass(relayMsMax)
  t.equal(await reading, null)
  t.same(asked, ['1', '2'])
  t.equal(waiting(), 0)
  t.equal(healthOf('2').reason, 'broke off')
  t.equal(await relayOver([]).read(), null)
})

t.test('a reader that leaves ends it', async t => {
  const { read, asked, waiting } = relayOver(['silent', 'bytes'])
  const reader = new AbortController()
  const reading = read(8192, reader)
  reader.abort()
  await t.rejects(reading, { code: 'aborted' })
  t.same(asked, ['1'])
  t.equal(waiting(), 0)
})
