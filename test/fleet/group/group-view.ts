import crypto from 'node:crypto'
import { syncBuiltinESMExports } from 'node:module'
import t, { type Test } from 'tap'
import { GroupView } from '../../../src/fleet/group/group-view.ts'
import { membersListedMax, membersMax, vanishedMsMax } from '../../../src/fleet/group/limits.ts'
import type { Member } from '../../../src/fleet/group/member.ts'
import { fakeClock } from '../../fixtures/fake-clock.ts'

const image = '00112233445566778899aabbccddeeff'
const blockBytes = 65_536

function memberOf(k: number, facts: Partial<Member> = {}): Member {
  const host = `10.0.${k >> 8}.${k & 255}:7447`
  return { id: host, url: `https://${host}`, rack: '', weight: 1, blockBytes, state: 'up', since: 0, ...facts }
}

function viewOf(own: Member | null, rack = '') {
  const clock = fakeClock()
  return { clock, view: new GroupView({ own, blockBytes, rack, now: clock.now }) }
}

const owners = (view: GroupView, units = 200) =>
  Array.from({ length: units }, (_, unit) => view.ranks(image, unit).near[0]!.id)

t.test('a member that vanished keeps its ranks for five minutes, and no unit moves for a reboot', async t => {
  const { clock, view } = viewOf(memberOf(0))
  view.update([0, 1, 2].map(k => memberOf(k)))
  const before = owners(view)
  view.update([0, 1].map(k => memberOf(k)))
  await clock.advance(vanishedMsMax - 1)
  t.same(owners(view), before)
  t.equal(view.find(memberOf(2).id)?.isVanished, true)
  view.update([0, 1, 2].map(k => memberOf(k, { since: 9 })))
  t.same(owners(view), before, 'it is back')
  view.update([0, 1].map(k => memberOf(k)))
  await clock.advance(vanishedMsMax)
  t.notOk(owners(view).includes(memberOf(2).id))
  t.equal(view.find(memberOf(2).id), null)
})

/** Counts the hashes that are made from now on. */
function countHashes(t: Test): () => number {
  let count = 0
  const { createHash } = crypto
  const put = (made: typeof createHash) => {
    crypto.createHash = made
    syncBuiltinESMExports()
  }
  put((...words) => {
    count++
    return createHash(...words)
  })
  t.teardown(() => put(createHash))
  return () => count
}

t.test('a change of one member hashes one, and a list that says the same changes nothing', async t => {
  const { clock, view } = viewOf(memberOf(0))
  const facts = (k: number) => ({ weight: 1 + (k % 3) })
  const others = (from: number, to: number) => Array.from({ length: to - from }, (_, k) => memberOf(from + k, facts(k)))
  view.update(others(1, membersMax))
  const ranks = view.ranks(image, 7)
  const { revision, ownership } = view
  const hashes = countHashes(t)
  view.update(others(1, membersMax))
  t.equal(view.ranks(image, 7), ranks, 'ranks are those of before')
  t.equal(hashes(), 0)
  view.update(others(1, membersMax).with(5, memberOf(6, { ...facts(5), since: 9 })))
  t.not(view.ranks(image, 7), ranks)
  t.equal(hashes(), 1)
  t.equal(view.find(memberOf(6).id)?.since, 9)
  t.equal(view.ownership, ownership, 'no unit has another owner')
  view.update(others(1, membersMax - 1).with(5, memberOf(6, { ...facts(5), since: 9 })))
  view.ranks(image, 7)
  t.equal(hashes(), 2, 'one that vanished')
  await clock.advance(vanishedMsMax)
  view.ranks(image, 7)
  t.equal(hashes(), 2)
  t.equal(view.ownership, ownership + 1)
  t.equal(view.revision, revision + 3)
  view.update(others(1, membersMax - 1).with(5, memberOf(6, { weight: 9 })))
  t.equal(view.ownership, ownership + 2, 'a weight has changed')
})

t.test('a member that joins has its full share at once, the same for all; one that leaves has no ranks', async t => {
  const { view } = viewOf(memberOf(0))
  view.update([1, 2, 3].map(k => memberOf(k)))
  view.update([1, 2, 3, 4].map(k => memberOf(k)))
  const other = viewOf(memberOf(4)).view
  other.update([0, 1, 2, 3].map(k => memberOf(k)))
  t.same(owners(view), owners(other), 'all agree as soon as their lists do')
  const share = () => owners(view, 2_000).filter(id => id === memberOf(4).id).length / 2_000
  t.ok(share() > 0.15, `${share()}`)
  view.update([1, 2, 3].map(k => memberOf(k)).concat(memberOf(4, { state: 'leaving' })))
  t.equal(share(), 0)
  t.ok(view.find(memberOf(4).id), 'it is still known')
})

t.test('the former owner of a unit is named while it is leaving, to nobody’s ranks', async t => {
  const { view } = viewOf(memberOf(0))
  const others = [1, 2, 3].map(k => memberOf(k))
  view.update(others)
  const before = owners(view)
  t.equal(view.ranks(image, 0).leaving, undefined)
  const leaving = memberOf(2, { state: 'leaving' })
  view.update([memberOf(1), leaving, memberOf(3)])
  const named = before.map((_, unit) => view.ranks(image, unit).leaving!.map(({ id }) => id))
  t.same(
    named,
    before.map(id => (id === leaving.id ? [id] : [])),
  )
  t.notOk(owners(view).includes(leaving.id))
})

t.test('a member with other blocks, and those beyond the bound, are left out and counted', async t => {
  const { view } = viewOf(memberOf(0))
  view.update([memberOf(1), memberOf(2, { blockBytes: 4_096 })])
  t.equal(view.refused, 1)
  t.equal(view.members.length, 2)
  view.update(Array.from({ length: membersMax + 1 }, (_, k) => memberOf(k)))
  t.equal(view.members.length, membersMax)
  t.equal(view.refused, 1)
})

t.test('a group beyond the bound is the same for all: those over it own nothing, and ask', async t => {
  const all = Array.from({ length: membersMax + 3 }, (_, k) => memberOf(k))
  const ids = all.map(({ id }) => id).sort()
  const [first, over] = [ids[0], ids[membersMax]].map(id => viewOf(all.find(member => member.id === id)!).view) as [
    GroupView,
    GroupView,
  ]
  first.update(all)
  over.update([...all].reverse())
  t.same(owners(over, 3_000), owners(first, 3_000))
  t.notOk(owners(over, 3_000).includes(over.own!.id))
  t.equal(over.refused, 2)
  over.update(all.slice(0, 10))
  t.ok(owners(over, 3_000).includes(over.own!.id), 'there is room again')
})

t.test('hosts that come and go under other names are remembered up to a bound', async t => {
  const { view } = viewOf(memberOf(0))
  for (let k = 0; k < 5; k++)
    view.update(Array.from({ length: membersMax }, (_, j) => memberOf(1 + j + k * membersMax)))
  t.ok(view.members.length <= membersListedMax + 1, `${view.members.length}`)
  t.equal(view.records.length, membersMax - 1)
})

t.test('ranks are those of our rack first, and of the group', async t => {
  const own = memberOf(0, { rack: 'a' })
  const { view } = viewOf(own, 'a')
  view.update([1, 2, 3, 4, 5].map(k => memberOf(k, { rack: k < 3 ? 'a' : 'b' })))
  const { near, far } = view.ranks(image, 1)
  t.same(
    near.map(({ rack }) => rack),
    ['a', 'a', 'a'],
  )
  t.equal(far?.length, 6)
  t.equal(near[0]!.id, far!.find(({ rack }) => rack === 'a')!.id, 'the first of a rack is its first in the group')
  const alone = viewOf(memberOf(0, { rack: 'a' }), 'a').view
  alone.update([memberOf(1, { rack: 'a' })])
  t.equal(alone.ranks(image, 1).far, null, 'one rack is no racks')
})

t.test('a list of an earlier start is no news of the registry', async t => {
  const { clock, view } = viewOf(memberOf(0))
  view.update([memberOf(1)], true)
  t.equal(view.ageMs, null)
  t.equal(view.members.length, 2)
  view.update([memberOf(1), memberOf(2)])
  await clock.advance(5)
  t.equal(view.ageMs, 5)
})

t.test('of lists that change all the time, the members that vanished first are forgotten', t => {
  const { view } = viewOf(null)
  for (let round = 0; round < 5; round++) {
    const others = Array.from({ length: membersMax - 1 }, (_, k) => memberOf(1 + round * membersMax + k))
    view.update([memberOf(0), ...others])
    t.ok(view.members.length <= membersListedMax, `${view.members.length} are known`)
    t.notOk(view.find(memberOf(0).id)!.isVanished, 'one that is always listed')
  }
  t.end()
})
