import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { DiskHealth } from '../../../src/store/disk/disk-health.ts'
import { diskTimeoutsDefault } from '../../../src/store/disk/disk-timeouts.ts'
import { storeReadLookMs } from '../../../src/store/disk/limits.ts'

/** A health with a clock and a timer of the test's own. */
function tried(probe: { outcome: Error | null; readingMs?: number }, timing = diskTimeoutsDefault) {
  let nowMs = 0
  let due: { readonly atMs: number; readonly work: () => void } | null = null
  const changes: string[] = []
  const health = new DiskHealth({
    probe: async () => {
      if (probe.outcome) throw probe.outcome
    },
    logger: silentLogger,
    timing,
    now: () => nowMs,
    readingMs: () => probe.readingMs ?? 0,
    after: (ms, work) => {
      due = { atMs: nowMs + ms, work }
      return () => {
        due = null
      }
    },
    onChange: ({ state }) => changes.push(state),
  })
  /** Run the probe that is due next. @returns how long it was waited for */
  const nextProbe = async () => {
    if (!due) throw new Error('no probe is due')
    const { atMs, work } = due
    const waited = atMs - nowMs
    nowMs = atMs
    due = null
    work()
    await new Promise(resolve => setImmediate(resolve))
    return waited
  }
  const pass = (ms: number) => {
    nowMs += ms
  }
  return { health, changes, nextProbe, pass, isDue: () => due !== null }
}

const eio = Object.assign(new Error('EIO: input/output error'), { code: 'EIO' })
const enospc = Object.assign(new Error('no space left'), { code: 'ENOSPC' })

t.test('single failures far apart change nothing, three in ten seconds do', async t => {
  const { health, pass } = tried({ outcome: null })
  for (let k = 0; k < 5; k++) {
    health.writeFailed(eio)
    pass(6_000)
  }
  t.equal(health.state, 'healthy')
  health.writeFailed(eio)
  health.writeFailed(eio)
  t.equal(health.state, 'degraded')
  t.equal(health.mayRead, true)
  t.equal(health.mayWrite, false)
})

t.test('a full disk, a failed sync and a stall count at once', async t => {
  for (const fail of [
    (health: DiskHealth) => health.writeFailed(enospc),
    (health: DiskHealth) => health.writeFailed(new Error('index', { cause: enospc })),
    (health: DiskHealth) => health.syncFailed(eio),
    (health: DiskHealth) => health.stalled('write', 10),
  ]) {
    const { health } = tried({ outcome: null })
    fail(health)
    t.equal(health.state, 'degraded')
  }
  const { health } = tried({ outcome: null })
  health.stalled('read', 10)
  t.equal(health.state, 'bypass')
  t.equal(health.mayRead, false)
})

t.test('reads that wait for each other spare the disk for a second, and change no state', async t => {
  const probe = { outcome: null, readingMs: 749 }
  const { health, pass } = tried(probe)
  health.late(750)
  t.equal(health.state, 'healthy')
  t.same([health.mayRead, health.mayWait, health.busyTimes], [true, false, 1])
  health.late(750)
  t.equal(health.busyTimes, 1, 'it is told once')
  pass(1000)
  t.equal(health.mayWait, true)
  probe.readingMs = 750
  health.late(750)
  t.equal(health.state, 'bypass', 'one that the disk has kept so long is a stall')
})

t.test('degraded becomes bypass when reads fail too, and not the other way round', async t => {
  const { health, changes } = tried({ outcome: eio })
  health.syncFailed(eio)
  health.stalled('read', 10)
  health.syncFailed(eio)
  t.same(changes, ['degraded', 'bypass'])
})

t.test('three good probes in a row end it; until then the restriction holds', async t => {
  const probe = { outcome: null as Error | null }
  const { health, changes, nextProbe, isDue } = tried(probe)
  health.stalled('read', 10)
  await nextProbe()
  t.equal(health.state, 'recovering')
  t.equal(health.mayRead, false)
  await nextProbe()
  probe.outcome = eio
  await nextProbe()
  t.equal(health.state, 'bypass')
  probe.outcome = null
  for (let k = 0; k < 3; k++) await nextProbe()
  t.equal(health.state, 'healthy')
  t.equal(health.reason, '')
  t.equal(health.mayRead && health.mayWrite, true)
  t.equal(isDue(), false)
  t.same(changes, ['bypass', 'recovering', 'bypass', 'recovering', 'healthy'])
})

t.test('failures from before it was healthy again count no more', async t => {
  const { health, nextProbe } = tried({ outcome: null })
  for (let k = 0; k < 3; k++) health.writeFailed(eio)
  for (let k = 0; k < 3; k++) await nextProbe()
  t.equal(health.state, 'healthy')
  health.writeFailed(eio)
  t.equal(health.state, 'healthy')
})

t.test('probes that fail come at doubled pauses, up to half a minute', async t => {
  const { health, nextProbe } = tried({ outcome: eio })
  health.syncFailed(eio)
  const pauses: number[] = []
  for (let k = 0; k < 7; k++) pauses.push(await nextProbe())
  t.same(pauses, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000])
})

t.test('after close no probe runs', async t => {
  const { health, isDue } = tried({ outcome: null })
  health.syncFailed(eio)
  health.close()
  t.equal(isDue(), false)
})

t.test('reads and writes are waited for as long as is said', async t => {
  const timing = { ...diskTimeoutsDefault, readMsMax: 700, writeMsMax: 70 }
  const { health, nextProbe } = tried({ outcome: null, readingMs: 700 - storeReadLookMs }, timing)
  const read = health.watchRead(new Promise<string>(() => {}), 'late')
  t.equal(await nextProbe(), 700)
  t.equal(await read, 'late')
  t.match(health, { state: 'bypass', reason: 'a read took over 450 ms' })
  const another = tried({ outcome: null }, timing)
  void another.health.watchWrite(new Promise(() => {})) // Never settles.
  t.equal(await another.nextProbe(), 70)
  t.match(another.health, { state: 'degraded', reason: 'a write took over 70 ms' })
})
