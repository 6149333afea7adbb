/**
 * The rules of a group in a model: a thousand hosts boot from one image at once over simulated links. No circle, three
 * members at most for a question, one read of the origin for a unit and one more for each owner that is dead.
 */
import t, { type Test } from 'tap'
import { hopsMax } from '../../src/fleet/wire/wire.ts'
import { type Ailment, FleetWorld } from '../fixtures/fleet-world.ts'
import { seed, seeded } from '../fixtures/seeded.ts'

/** MEMBERS=10000 for as many: ten groups with one origin. Fewer where some are ailing, and each is asked for more. */
const hostsMax = Number(process.env.MEMBERS ?? 1_000)
const hostsNew = process.env.MEMBERS ? hostsMax : 100
const hostsAiling = Math.min(hostsMax, process.env.MEMBERS ? 1_000 : 100)
const [units, unitsAiling] = [8, 32]
const timeout = 280_000 + hostsMax * 150

interface Storm {
  readonly world: FleetWorld
  /** Until all hosts have booted. */
  readonly ms: number
  readonly originReads: number
}

/** A world in which `ailing` hosts, each the owner of a unit, have an ailment. */
async function stormOf(
  t: Test,
  hosts: number,
  units: number,
  ailing: number,
  ailment: Ailment,
  isNew = false,
): Promise<Storm> {
  const world = new FleetWorld({ hosts, units, random: seeded(seed), isNew })
  await world.open()
  t.teardown(() => world.close())
  const owners = new Set(Array.from({ length: units }, (_, unit) => world.ranksOf(unit)[0]![0]!))
  for (const host of [...owners].slice(0, ailing)) host.ailment = ailment
  await world.storm(4)
  const originReads = [...world.originReads.values()].reduce((sum, count) => sum + count, 0)
  const hottest = Math.max(...world.hosts.map(host => host.sent))
  const ms = world.events.nowMs
  const what = ailing === 0 ? 'all well' : `${ailing} ${ailment}`
  const share = (originReads / units).toFixed(2)
  t.comment(
    `${hosts} hosts, ${what}, SEED=${seed}: ${ms.toFixed(0)} ms, ${share} of the unique bytes, hottest ${hottest} units`,
  )
  t.equal(world.wrongReads, 0, 'no wrong read')
  t.equal(world.failedReads, 0, 'no failed read')
  t.equal(world.circles, 0, 'no circle')
  const native = world.hosts.reduce((sum, host) => sum + host.nativeReads, 0)
  t.comment(`${native} of ${originReads} reads of the origin by session threads`)
  t.ok(world.maxHop <= hopsMax, `${world.maxHop} members at most for a question`)
  return { world, ms, originReads }
}

t.test('all are well: one read of the origin for a unit', { timeout }, async t => {
  const { world } = await stormOf(t, hostsMax, units, 0, 'dead')
  for (let unit = 0; unit < units; unit++)
    t.equal(world.originReads.get(unit), world.ranksOf(unit).length, `unit ${unit}, once for each group`)
})

t.test('few hosts read their own units at the origin by themselves, and no unit twice', { timeout }, async t => {
  const { world, originReads } = await stormOf(t, 4, 64, 0, 'dead')
  t.equal(originReads, 64)
  t.ok(world.hosts.some(({ nativeReads }) => nativeReads > 0))
})

t.test(
  'a group that is new: owners ask former ones no longer than needed, and no unit is read twice',
  { timeout },
  async t => {
    const few = await stormOf(t, 4, 64, 0, 'dead', true)
    t.equal(few.originReads, 64)
    t.ok(few.world.hosts.some(({ nativeReads }) => nativeReads > 0))
    const asked = few.world.hosts.reduce((sum, { formerQuestions }) => sum + formerQuestions, 0)
    t.comment(`${asked} questions to former owners`)
    t.ok(asked < 64, 'fewer than units')
    const { world } = await stormOf(t, hostsNew, units, 0, 'dead', true)
    for (let unit = 0; unit < units; unit++)
      t.equal(world.originReads.get(unit), world.ranksOf(unit).length, `unit ${unit}, once for each group`)
  },
)

t.test('one in a hundred owners is dead, slow or lies: the others boot, and soon', { timeout }, async t => {
  const ailing = hostsAiling / 100
  const well = await stormOf(t, hostsAiling, unitsAiling, 0, 'dead')
  for (const ailment of ['dead', 'slow', 'liar'] as const) {
    await t.test(ailment, async t => {
      const { world, ms, originReads } = await stormOf(t, hostsAiling, unitsAiling, ailing, ailment)
      for (let unit = 0; unit < unitsAiling; unit++) {
        const ranks = world.ranksOf(unit)[0]!
        const ailingOwners = ranks.findIndex(host => host.ailment === null)
        const reads = world.originReads.get(unit) ?? 0
        if (ailment !== 'slow') t.ok(reads <= 1 + ailingOwners, `unit ${unit}: ${reads} reads, ${ailingOwners} ailing`)
      }
      if (ailment !== 'slow') return
      t.ok(originReads <= 1.1 * unitsAiling, `${originReads} reads of ${unitsAiling} units`)
      t.ok(ms <= 3 * well.ms, `${ms.toFixed(0)} ms, ${well.ms.toFixed(0)} where all are well`)
    })
  }
})
