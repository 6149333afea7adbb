import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { OverdueReads } from '../../../src/daemon/worker/overdue-reads.ts'
import { DiskHealth } from '../../../src/store/disk/disk-health.ts'
import { diskTimeoutsDefault } from '../../../src/store/disk/disk-timeouts.ts'

/** A watched session that says `overdue` of its READs are. */
function watched() {
  const session = {
    allowed: null as boolean | null,
    overdue: 0,
    agesMs: [] as number[],
    unansweredMs: [] as number[],
    abandonedMs: [] as number[],
    readingMs: 0,
    nowMs: 0,
  }
  let healthy = 0
  const abandonFetches = (ms: number) => {
    session.abandonedMs.push(ms)
    return 0
  }
  const watch = new OverdueReads({ engine: { abandonFetches }, onHealthy: () => healthy++ })
  const probes: (() => void)[] = []
  const health = new DiskHealth({
    probe: async () => {},
    logger: silentLogger,
    timing: diskTimeoutsDefault,
    now: () => session.nowMs,
    readingMs: () => session.readingMs,
    after: (_ms, work) => {
      probes.push(work)
      return () => {}
    },
    onChange: changed => watch.changed(changed),
  })
  const deferReads = (allowed: boolean) => {
    session.allowed = allowed
  }
  const forwardOverdue = (ms: number) => {
    session.agesMs.push(ms)
    return session.overdue
  }
  const forwardUnanswered = (ms: number) => {
    session.unansweredMs.push(ms)
    return 1
  }
  watch.watch({ deferReads, forwardOverdue, forwardUnanswered }, health)
  const runProbe = async () => {
    probes.pop()!()
    await new Promise(resolve => setImmediate(resolve))
  }
  t.teardown(() => watch.close())
  return { session, watch, health, runProbe, healthyCount: () => healthy }
}

t.test('a READ that is overdue is a stall: from then on none waits for the disk', async t => {
  const { session, watch, health } = watched()
  t.equal(session.allowed, true)
  watch.look()
  t.equal(health.state, 'healthy', 'also when an origin does not answer')
  t.same([session.unansweredMs, session.abandonedMs], [[1000], [1000]])
  session.overdue = 3
  session.readingMs = 750
  watch.look()
  t.equal(health.state, 'bypass')
  t.equal(session.allowed, false)
  t.same(session.agesMs, [750, 750], 'with the pause between two looks, within a second')
})

t.test('READs that are overdue on a disk that works spare it, and that is all', async t => {
  const { session, watch, health, healthyCount } = watched()
  session.overdue = 3
  session.readingMs = 30
  watch.look()
  t.equal(health.state, 'healthy')
  t.equal(session.allowed, false)
  session.nowMs = 1000
  watch.changed(health)
  t.equal(session.allowed, true)
  t.equal(healthyCount(), 0, 'it has been healthy all the time')
})

t.test('READs wait for the disk again when it is healthy, and not while it recovers', async t => {
  const { session, health, runProbe, healthyCount } = watched()
  health.stalled('read', 1)
  await runProbe()
  t.equal(health.state, 'recovering')
  t.equal(session.allowed, false)
  await runProbe()
  await runProbe()
  t.equal(health.state, 'healthy')
  t.equal(session.allowed, true)
  t.equal(healthyCount(), 1)
})

t.test('failed writes keep no READ from the disk', async t => {
  const { session, health } = watched()
  health.syncFailed(new Error('EIO'))
  t.equal(health.state, 'degraded')
  t.equal(session.allowed, true)
})
