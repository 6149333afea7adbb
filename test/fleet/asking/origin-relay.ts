/** Bytes of an origin that does not answer this host, by way of members that reach it. */
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { relayMsMax } from '../../../src/fleet/asking/limits.ts'
import type { AskedRange, AskOutcome, MemberChannel } from '../../../src/fleet/asking/member-channel.ts'
import { OriginRelay } from '../../../src/fleet/asking/origin-relay.ts'
import { PeerHealth } from '../../../src/fleet/asking/peer-health.ts'
import type { KnownMember } from '../../../src/fleet/group/group-view.ts'
import { hopsMax, unitBlocks } from '../../../src/fleet/wire/wire.ts'

const blockBytes = 4096
const image = identify({ origin: 'https://o/', key: 'a', sizeBytes: 2 ** 30, validator: 'v', modifiedMs: 0 })

/** The answer of a member: bytes of its number, another outcome, or nothing until it is left. */
type Behaviour = 'bytes' | 'silent' | AskOutcome

function memberNamed(id: string): KnownMember {
  return { id, url: `https://${id}/`, rack: '', weight: 1, blockBytes, state: 'up', since: 0, isListed: true }
}

/** Members 1, 2, ... in the order of their ranks, beside this host, by a clock of the test. */
function relayOver(behaviours: readonly Behaviour[]) {
  const own = memberNamed('0')
  const members = behaviours.map((_, k) => memberNamed(`${k + 1}`))
  const timers: { atMs: number; work: (() => void) | null }[] = []
  const state = { nowMs: 0 }
  const asked: string[] = []
  const received: [string, number][] = []
  const channelOf = (id: string, behaviour: Behaviour): Pick<MemberChannel, 'ask'> => ({
    ask: async ({ target, hop, fill }: AskedRange, { signal }) => {
      asked.push(id)
      t.same([hop, fill], [hopsMax, true], 'it asks no further member, and brings the bytes')
      if (behaviour === 'bytes') {
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
      return [id, { channel, health: new PeerHealth(() => state.nowMs) }]
    }),
  )
  const relay = new OriginRelay({
    blockBytes,
    view: { own, ranks: () => ({ near: [own, ...members.slice(0, 1)], far: members }) },
    peerOf: ({ id }) => peers.get(id)!,
    isUsable: ({ id }) => peers.get(id)!.health.isUsable,
    settings: () => ({ patienceMs: 100 }),
    now: () => state.nowMs,
    after: (ms, work) => {
      const timer = { atMs: state.nowMs + ms, work: work as (() => void) | null }
      timers.push(timer)
      return () => {
        timer.work = null
      }
    },
    onAsk: () => () => {},
    onBytes: ({ id }, { target }) => void received.push([id, target[0]!]),
  })
  const pass = async (ms: number) => {
    state.nowMs += ms
    for (const timer of timers.filter(({ atMs }) => atMs <= state.nowMs)) {
      const { work } = timer
      timer.work = null
      work?.()
    }
    await new Promise(resolve => setImmediate(resolve))
  }
  const read = async (bytes = 8192, { signal } = new AbortController()) => {
    const target = Buffer.alloc(bytes)
    const isRead = await relay.read({ image, unit: 0, offset: 0, target, hop: 0, isProven: false }, signal)
    await new Promise(resolve => setImmediate(resolve))
    return isRead ? [...new Set(target)] : null
  }
  const waiting = () => timers.filter(({ work }) => work !== null).length
  return { read, pass, asked, received, waiting, healthOf: (id: string) => peers.get(id)!.health }
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

t.test(
  'a member that says nothing is left after its time, and the next one asked; what it writes late is not taken',
  async t => {
    const { read, pass, asked, waiting, healthOf } = relayOver(['silent', 'bytes'])
    const reading = read()
    await pass(relayMsMax - 1)
    t.same(asked, ['1'])
    await pass(1)
    t.same(await reading, [2])
    t.same(asked, ['1', '2'])
    t.equal(waiting(), 0)
    t.equal(healthOf('1').state, 'well', 'it was left, and did not fail')
  },
)

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
