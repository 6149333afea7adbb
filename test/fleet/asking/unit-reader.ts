/** Reads of one unit from members: the bounds after which the origin is asked, and what each outcome says of a member. */
import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { FormerOwnerUnits } from '../../../src/fleet/asking/former-owner-units.ts'
import { HedgeBudget } from '../../../src/fleet/asking/hedge-budget.ts'
import {
  absentMembersMax,
  failedMembersMax,
  lateAnswersMax,
  samplesMin,
  silentMembersMax,
} from '../../../src/fleet/asking/limits.ts'
import type { AskedRange, AskOptions, AskOutcome } from '../../../src/fleet/asking/member-channel.ts'
import { OriginPace } from '../../../src/fleet/asking/origin-pace.ts'
import { PeerTable } from '../../../src/fleet/asking/peer-table.ts'
import { ReplicaCounts } from '../../../src/fleet/asking/replica-counts.ts'
import { UnitReader } from '../../../src/fleet/asking/unit-reader.ts'
import { GroupView } from '../../../src/fleet/group/group-view.ts'
import type { Member } from '../../../src/fleet/group/member.ts'
import { fakeClock } from '../../fixtures/fake-clock.ts'

const blockBytes = 4_096
const unitBytes = 16 * blockBytes
const image = identify({ origin: 'https://o/', key: 'a', sizeBytes: unitBytes, validator: 'v', modifiedMs: 0 })
const never = new AbortController().signal
const patienceMs = 100

type Answer = (range: AskedRange, options: AskOptions, member: Member) => AskOutcome | Promise<AskOutcome>

/** A host without ranks, and members that answer as the test says; their refusals open all replicas. */
function setUp(members: number, answer: Answer, { prefersSooner = false } = {}) {
  const clock = fakeClock()
  const { now, after } = clock
  const asked: string[] = []
  const view = new GroupView({ own: null, blockBytes, rack: '', now })
  const urls = Array.from({ length: members }, (_, k) => `https://10.0.0.${k}:1`)
  const facts = { rack: '', weight: 1, blockBytes, state: 'up', since: 0 } as const
  view.update(urls.map(url => ({ id: new URL(url).host, url, ...facts })))
  const peers = new PeerTable({
    view,
    now,
    openChannel: member => ({
      ask: async (range, options) => {
        asked.push(member.id)
        return await answer(range, options, member)
      },
      request: async () => ({ status: 404, text: '' }),
      close: async () => {},
    }),
  })
  const originPace = new OriginPace()
  const reader = new UnitReader({
    view,
    peerOf: member => peers.of(member),
    isUsable: member => peers.isUsable(member),
    replicas: new ReplicaCounts(now),
    budget: new HedgeBudget(0),
    originBudget: new HedgeBudget(0),
    originPace,
    isJoining: () => false,
    former: new FormerOwnerUnits(view),
    onFormerUnits: () => {},
    settings: () => ({ patienceMs, prefersSooner }),
    now,
    after,
    random: () => 0,
    onBytes: () => {},
    onAsk: () => () => {},
  })
  const read = () => {
    const target = Buffer.alloc(unitBytes)
    return reader.read({ image, unit: 0, offset: 0, target, hop: 0, isProven: false }, never)
  }
  return { clock, asked, view, peers, originPace, read }
}

t.test('a read waits for two silent members, and then it is the origin’s', async t => {
  const { read, asked } = setUp(6, (_, { headMsMax }) => {
    t.equal(headMsMax, patienceMs / silentMembersMax, 'together they take the patience')
    return { kind: 'silent' }
  })
  t.same(await read(), { reason: 'silent', goodBytes: 0 })
  t.equal(asked.length, silentMembersMax)
  t.equal(new Set(asked).size, silentMembersMax, 'each once')
})

t.test('a read asks four members in vain, and goes on where each stopped', async t => {
  const offsets: number[] = []
  const { read, asked } = setUp(8, ({ offset }) => {
    offsets.push(offset)
    return { kind: 'lost', goodBytes: blockBytes, why: 'reset' }
  })
  t.same(await read(), { reason: 'failed', goodBytes: failedMembersMax * blockBytes })
  t.equal(asked.length, failedMembersMax)
  t.same(
    offsets,
    Array.from({ length: failedMembersMax }, (_, k) => k * blockBytes),
  )
})

t.test('an owner that brings nothing gives its part to the next rank, for that read', async t => {
  const { read, asked } = setUp(8, () => (asked.length < 3 ? { kind: 'absent' } : { kind: 'bytes' }))
  t.equal(await read(), null)
  t.equal(new Set(asked).size, 3)
  const none = setUp(8, () => ({ kind: 'absent' }))
  t.same(await none.read(), { reason: 'nobody', goodBytes: 0 })
  t.equal(none.asked.length, absentMembersMax + 1)
})

t.test('a member that keeps reads waiting until they are late is passed by at the third', async t => {
  const hang: Answer = (_, { signal }) =>
    new Promise(resolve => signal.addEventListener('abort', () => resolve({ kind: 'aborted' }), { once: true }))
  const { read, clock, view, peers } = setUp(1, hang)
  const [member] = view.members
  for (let k = 1; k <= lateAnswersMax; k++) {
    const reading = read()
    for (let step = 0; step < 100; step++) await clock.advance(100)
    t.same(await reading, { reason: 'late', goodBytes: 0 })
    t.equal(peers.of(member!).health.state, k < lateAnswersMax ? 'well' : 'passed-by')
  }
})

t.test('the origin is the sooner one only where a member takes half as long again', async t => {
  for (const [memberMs, reason] of [
    [14, undefined],
    [16, 'sooner'],
  ] as const) {
    const { read, view, peers, originPace } = setUp(1, () => ({ kind: 'bytes' }), { prefersSooner: true })
    const { health } = peers.of(view.members[0]!)
    for (let k = 0; k < samplesMin; k++) {
      originPace.answered(unitBytes, 10)
      health.answered(unitBytes, memberMs)
    }
    t.equal((await read())?.reason, reason, `${memberMs} ms`)
    t.ok(health.quantile(unitBytes, 0.5)! >= memberMs)
  }
})
