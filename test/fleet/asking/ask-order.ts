import t from 'tap'
import { AskOrder, type AskOrderContext } from '../../../src/fleet/asking/ask-order.ts'
import type { KnownMember } from '../../../src/fleet/group/group-view.ts'
import { hopsMax } from '../../../src/fleet/wire/wire.ts'

const members = Array.from({ length: 70 }, (_, k): KnownMember => {
  const url = `https://host${k}:1`
  const facts = { rack: '', weight: 1, blockBytes: 65_536, state: 'up', since: 0 } as const
  return { id: `m${k}`, url, ...facts }
})

function orderOf(facts: Partial<AskOrderContext> = {}) {
  const ranks = { near: members, far: null }
  const defaults = { ranks, isUsable: () => true, replicas: () => 1, hop: 0, isJoining: false, draw: 0 }
  return new AskOrder({ ownId: 'me', asked: new Set(), ...defaults, ...facts })
}

function stepsOf(order: AskOrder): string[] {
  const steps: string[] = []
  for (let step = order.next(); step; step = order.next()) steps.push(`${step.member.id}${step.fill ? '' : ' no'}`)
  return steps
}

t.test('the owner asks nobody; one that has just joined asks the next ranks, which bring nothing', async t => {
  t.ok(orderOf({ ownId: 'm0' }).isOrigins)
  t.same(stepsOf(orderOf({ ownId: 'm0', isJoining: true })), ['m1 no', 'm2 no', 'm3 no'])
  t.notOk(orderOf({ ownId: 'm0', isJoining: true }).isOrigins)
})

t.test('the owner of a unit whose former owner is leaving asks that one first, and nobody else does', async t => {
  const ranks = { near: members, far: null, leaving: [members[69]!] }
  t.same(stepsOf(orderOf({ ranks, ownId: 'm0' })), ['m69 no'])
  t.notOk(orderOf({ ranks, ownId: 'm0' }).isOrigins)
  t.same(stepsOf(orderOf({ ranks, ownId: 'm0', isJoining: true })), ['m69 no', 'm1 no', 'm2 no', 'm3 no'])
  t.same(stepsOf(orderOf({ ranks, ownId: 'm1' })), ['m0'])
  t.ok(orderOf({ ranks, ownId: 'm0', isUsable: ({ id }) => id !== 'm69' }).isOrigins)
})

t.test('a replica asks its parent, its ancestors, and then all lower ranks', async t => {
  t.same(stepsOf(orderOf({ ownId: 'm21', replicas: () => 64 })).slice(0, 3), ['m5', 'm1', 'm0'])
  t.equal(stepsOf(orderOf({ ownId: 'm21', replicas: () => 64 })).length, 21)
  t.same(stepsOf(orderOf({ ownId: 'm4', replicas: () => 8 })), ['m0', 'm1', 'm2', 'm3'])
})

t.test('all others begin at a replica by lot; refusals open more of them', async t => {
  t.same(stepsOf(orderOf({ draw: 0.99 })), ['m0'])
  t.same(stepsOf(orderOf({ draw: 0.99, replicas: () => 4 })), ['m3', 'm0', 'm1', 'm2'])
  let count = 1
  const order = orderOf({ replicas: () => count })
  t.equal(order.next()?.member.id, 'm0')
  t.equal(order.next(), null)
  count = 2
  t.equal(order.next()?.member.id, 'm1')
})

t.test('no question goes to a higher rank, whatever the hop, the replicas and those that are passed by', async t => {
  for (let own = 0; own < 70; own++) {
    for (const replicas of [1, 2, 8, 64]) {
      for (let hop = 0; hop <= hopsMax; hop++) {
        const order = orderOf({
          ownId: `m${own}`,
          replicas: () => replicas,
          hop,
          draw: 0.7,
          isUsable: m => m.id !== 'm3',
        })
        for (const step of stepsOf(order)) t.ok(Number(step.slice(1)) < own, `m${own} asks ${step}`)
      }
    }
  }
})

t.test('the last hop goes to the owner, and beyond it the origin is asked', async t => {
  t.same(stepsOf(orderOf({ ownId: 'm21', replicas: () => 64, hop: hopsMax - 1 })), ['m0'])
  t.equal(hopsMax, 3)
  for (const hop of [3, 4]) {
    for (const ownId of ['m0', 'm21', 'me']) {
      const order = orderOf({ ownId, replicas: () => 64, hop, isJoining: true })
      t.ok(order.isOrigins)
      t.equal(order.next(), null, `${ownId} after ${hop}`)
    }
  }
})

t.test('members that are passed by have no rank: theirs is the next one', async t => {
  const isUsable = ({ id }: KnownMember) => id !== 'm0'
  t.ok(orderOf({ ownId: 'm1', isUsable }).isOrigins)
  t.same(stepsOf(orderOf({ ownId: 'm2', isUsable })), ['m1'])
})

t.test('the first of a rack asks the group for it; all others ask their rack', async t => {
  const ranks = { near: [members[5]!, members[8]!, members[9]!], far: members }
  t.same(stepsOf(orderOf({ ranks, ownId: 'm9' })), ['m5'])
  t.same(stepsOf(orderOf({ ranks, ownId: 'm5' })), ['m0'])
  t.same(stepsOf(orderOf({ ranks, ownId: 'm9', hop: hopsMax - 1 })), ['m0'], 'the last hop')
  t.same(stepsOf(orderOf({ ranks, ownId: 'm8', isUsable: ({ id }) => id !== 'm5' })), ['m0'])
})
