/**
 * The rules of a group in a model: a thousand hosts boot from one image at once over simulated links. No circle, three
 * members at most for a question, one read of the origin for a unit and one more for each owner that is dead.
 */
import t, { type Test } from 'tap'
import { hopsMax } from '../../src/fleet/wire/wire.ts'
import { type Ailment, FleetWorld } from '../fixtures/fleet-world.ts'
import { seed, seeded } from '../fixtures/seeded.ts'

/** HOSTS=10000 for as many. Fewer where each of them is asked for more. */
const hostsMax = Number(process.env.HOSTS ?? 1_000)
const hostsAiling = Math.min(hostsMax, 100)
const units = 8

async function stormOf(t: Test, hosts: number, ailing: readonly [number, Ailment]): Promise<FleetWorld> {
  const world = new FleetWorld({ hosts, units, random: seeded(seed) })
  await world.open()
  t.teardown(() => world.close())
  const [share, ailment] = ailing
  world.hosts.forEach((host, k) => {
    if (k % Math.max(1, Math.round(1 / share)) === 0 && share > 0) host.ailment = ailment
  })
  await world.storm(4)
  const reads = [...world.originReads.values()].reduce((sum, count) => sum + count, 0)
  const sent = world.hosts.map(host => host.sent)
  const figures = `${world.events.nowMs.toFixed(0)} ms, ${(reads / units).toFixed(2)} of the unique bytes`
  t.comment(`${hosts} hosts, ${share} ${ailment}, SEED=${seed}: ${figures}, hottest ${Math.max(...sent)} units`)
  t.equal(world.wrongReads, 0, 'no wrong read')
  t.equal(world.failedReads, 0, 'no failed read')
  t.ok(world.maxHop <= hopsMax, `${world.maxHop} members at most for a question`)
  return world
}

t.test('all are well: one read of the origin for a unit', { timeout: 300_000 }, async t => {
  const world = await stormOf(t, hostsMax, [0, 'dead'])
  for (let unit = 0; unit < units; unit++) t.equal(world.originReads.get(unit), 1, `unit ${unit}`)
})

t.test(
  'one in a hundred is dead, slow or lies: the others boot, and the origin is hardly read more',
  {
    timeout: 300_000,
  },
  async t => {
    for (const ailment of ['dead', 'slow', 'liar'] as const) {
      await t.test(ailment, async t => {
        const world = await stormOf(t, hostsAiling, [0.01, ailment])
        const reads = [...world.originReads.values()].reduce((sum, count) => sum + count, 0)
        t.ok(reads <= units * (1 + hostsAiling / 100), `${reads} reads of ${units} units`)
      })
    }
  },
)
