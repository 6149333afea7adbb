/**
 * Faults of the member that owns a unit, in the middle of cold reads of real mounts: it is killed, stopped, cut off,
 * slow, reset, busy or silent, or it lies. Readers see no error and no wrong byte.
 */
import { loadavg } from 'node:os'
import t, { type Test } from 'tap'
import type { ColdSweep, SweepReport } from '../fixtures/cold-sweep.ts'
import { type FleetHost, FleetHosts, noFleetHosts as skip } from '../fixtures/fleet-hosts.ts'
import type { HostileAnswer } from '../fixtures/hostile-answers.ts'
import { HostileMember } from '../fixtures/hostile-member.ts'

const MiB = 1024 ** 2
/** Members are asked before the origin, so that the fault is met. */
const fleet = 'prefer: origin-relief'
/** The share of an image that is read until its owner has changed. */
const heldAt = 0.5

/** The figures of a sweep: the longest read is a goal, and no bound on a busy machine. */
function judge(t: Test, what: string, { reads, wrong, longestMs, p99Ms }: SweepReport): void {
  const load = loadavg()[0]!.toFixed(1)
  t.comment(`${what}: ${reads} reads, longest ${longestMs} ms, p99 ${p99Ms} ms, load ${load}`)
  t.same(wrong, [], 'no error, no wrong byte')
}

t.test('an owner fails in the middle of reads', { skip, timeout: 280_000 }, async t => {
  const faults: Record<string, (hosts: FleetHosts, owner: FleetHost) => void> = {
    killed: (_, owner) => owner.signal('SIGKILL'),
    stopped: (_, owner) => owner.signal('SIGSTOP'),
    'cut off': ({ network }, { at }) => network.cut(at),
    'at 10 KiB a second': ({ network }, { at }) => network.slow(at, 10 * 1024),
  }
  const hosts = await FleetHosts.open(t, { sizeBytes: 16 * MiB, images: ['well', ...Object.keys(faults)] })
  // It owns five of six units.
  const owner = await hosts.host(t, 'owner', { capacity: '4GiB', fleet })
  const [reader, other] = [await hosts.host(t, 'reader', { fleet }), await hosts.host(t, 'other', { fleet })]
  const others = [reader, other]
  await Promise.all([owner, ...others].map(host => host.knows(3)))
  await reader.isAnsweredBy(owner)
  judge(t, 'all are well', await reader.sweeps(t, 'well'))
  for (const [what, fault] of Object.entries(faults)) {
    await t.test(what, async t => {
      await reader.isAnsweredBy(owner)
      const before = (await reader.memberOf(owner.id))!
      const sweep = await reader.sweep(t, what)
      await sweep.reached(0.2)
      fault(hosts, owner)
      judge(t, what, await sweep.over())
      t.ok((await reader.memberOf(owner.id))!.failures > before.failures, 'the fault was met')
      hosts.network.mend(owner.at)
      await owner.returns(others)
    })
  }
  for (const host of [owner, ...others]) await host.unmount()
})

/** All there are: test/fleet/asking/member-client.ts. */
const manners = [
  'other bytes',
  'other checksums',
  'another version',
  'a shorter length',
  'half of a body, and a reset',
  'a reset',
  '10 KiB a second',
  'silence',
  'that it works on it, for ever',
] as const satisfies readonly HostileAnswer[]

t.test('an owner answers wrongly in the middle of reads', { skip, timeout: 280_000 }, async t => {
  const hosts = await FleetHosts.open(t, { sizeBytes: 2 * MiB + 4_097, images: [...manners, 'mute'], delayMs: 5 })
  const [reader, other] = [await hosts.host(t, 'reader', { fleet }), await hosts.host(t, 'other', { fleet })]
  const hostile = await HostileMember.open(t, hosts, 'hostile')
  let longest = { what: '', ms: 0 }
  const sweeps = async (t: Test, name: string, change: (sweep: ColdSweep) => Promise<unknown>) => {
    const sweep = await reader.sweep(t, name, 1, heldAt)
    await sweep.reached(0.2)
    await change(sweep)
    sweep.goOn()
    const report = await sweep.over()
    if (report.longestMs > longest.ms) longest = { what: name, ms: report.longestMs }
    t.same(report.wrong, [], `${name}: no error, no wrong byte`)
  }
  for (const manner of manners) {
    await hostile.answers(null)
    await hostile.register(reader)
    let asked = 0
    await sweeps(t, manner, async sweep => {
      asked = await hostile.answers(manner)
      await sweep.reached(heldAt)
      // It was slow on a busy machine, and would not be asked for a while.
      if ((await reader.memberOf(hostile.id))?.health !== 'well') await hostile.register(reader)
    })
    t.ok((await hostile.answers(manner)) > asked, `${manner}: it was asked on after that`)
    const { failures = 0 } = (await reader.memberOf(hostile.id))!
    if (manner !== 'that it works on it, for ever') t.ok(failures > 0, `${manner}: the fault was met`)
  }
  await hostile.answers(null)
  await hostile.register(reader)
  await sweeps(t, 'mute', () => hostile.register(reader, true))
  t.comment(`longest read ${longest.ms} ms: ${longest.what}, load ${loadavg()[0]!.toFixed(1)}`)
  for (const host of [reader, other]) await host.unmount()
})
