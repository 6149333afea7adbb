/**
 * Questions from member to member in a model: however the views of a group differ and whoever refuses, a question passes
 * three members at most, and nobody waits for itself.
 */
import t from 'tap'
import type { Member } from '../../src/fleet/group/member.ts'
import { FleetWorld, type WorldOptions } from '../fixtures/fleet-world.ts'
import { seed, seeded } from '../fixtures/seeded.ts'

/** As the documents say it, and as a constant of the code cannot make it true. */
const membersPassedMax = 3

t.test('hosts whose views differ: three members at most for a question, and no circle', async t => {
  const hosts = 100
  const random = seeded(seed + 1)
  const weighted = (member: Member, k: number) => ({ ...member, weight: k % 2 === 0 ? 1 : 8 })
  const views: Readonly<Record<string, NonNullable<WorldOptions['listOf']>>> = {
    'each knows a tenth of the others': (_, members) => members.filter(() => random() < 0.1),
    // Two orders have no circle whose every step is right in both its ends' views.
    'half of them know weights of before': (_, members) => (random() < 0.5 ? members : members.map(weighted)),
  }
  let longest = 0
  for (const [what, listOf] of Object.entries(views)) {
    const world = new FleetWorld({ hosts, units: 32, random: seeded(seed), listOf })
    await world.open()
    t.teardown(() => world.close())
    await world.storm(4)
    t.comment(`${what}: ${world.maxHop} members, ${world.circles} circles, ${world.events.nowMs.toFixed(0)} ms`)
    t.ok(world.maxHop <= membersPassedMax, what)
    longest = Math.max(longest, world.maxHop)
    t.equal(world.circles, 0, 'no circle')
    t.same([world.wrongReads, world.failedReads], [0, 0])
  }
  t.equal(longest, membersPassedMax, 'the limit was reached')
})
