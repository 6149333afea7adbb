/** Reads of a host by its group: the origin where a copy was proven wrong, a member that lied, a view kept on disk. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { runAfter } from '../../../src/async/timers.ts'
import { type Image, identify } from '../../../src/base/image.ts'
import { FleetGroup, type FleetGroupContext } from '../../../src/fleet/asking/fleet-group.ts'
import { samplesMin } from '../../../src/fleet/asking/limits.ts'
import type { AskedRange, AskOutcome } from '../../../src/fleet/asking/member-channel.ts'
import { type RememberedView, ViewFile } from '../../../src/fleet/asking/view-file.ts'
import { joiningMs } from '../../../src/fleet/group/limits.ts'
import type { Member } from '../../../src/fleet/group/member.ts'
import type { RegistryListener } from '../../../src/fleet/registry/registry.ts'
import { StaticRegistry } from '../../../src/fleet/registry/static-registry.ts'
import type { Origin, ReadOptions } from '../../../src/origin/contract/origin.ts'
import { fakeClock } from '../../fixtures/fake-clock.ts'
import { FakePermitTables } from '../../fixtures/fake-permits.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { until } from '../../fixtures/until.ts'

const blockBytes = 4_096
const unitBytes = 16 * blockBytes
const image = identify({ origin: 'https://o/', key: 'a', sizeBytes: 8 * unitBytes, validator: 'v', modifiedMs: 0 })
const facts = { rack: '', weight: 1, blockBytes }
const urls = [1, 2].map(k => `https://10.0.0.${k}:1`)
const signal = new AbortController().signal

/** A host without units of its own, whose members answer as the test says; the origin's bytes are ones, theirs twos. */
async function groupOf(
  t: Test,
  answer: (range: AskedRange) => AskOutcome | Promise<AskOutcome>,
  more: Partial<FleetGroupContext> = {},
) {
  const originReads: { offset: number; length: number }[] = []
  const asked: AskedRange[] = []
  const wasKnown: boolean[] = []
  const group = await FleetGroup.open({
    name: 'g',
    own: null,
    rack: '',
    blockBytes,
    registry: new StaticRegistry(urls, facts),
    viewFile: { read: async () => ({ members: [], memberSince: null }), keep: () => {}, settled: async () => {} },
    settings: { patienceMs: 60_000, hedgeShare: 0, prefersSooner: false },
    logger: keepingLogger(),
    now: () => performance.now(),
    wallMs: () => 0,
    after: runAfter,
    random: () => 0.999,
    sumOf: bytes => bytes[0]!,
    openChannel: () => ({
      ask: async range => {
        asked.push(range)
        return await answer(range)
      },
      request: async () => ({ status: 404, text: '' }),
      close: async () => {},
    }),
    permitTables: new FakePermitTables(),
    ownProfiles: { get: () => null, merge: () => true },
    sentTo: () => 0,
    dropMemberUnits: () => {},
    ...more,
  })
  t.teardown(() => group.close())
  const disputes: boolean[] = []
  const read = async (_: Image, offset: number, target: Uint8Array, { isDisputed }: ReadOptions) => {
    originReads.push({ offset, length: target.length })
    wasKnown.push(group.originReads.covers(image.id, offset, target.length))
    if (isDisputed !== undefined) disputes.push(isDisputed)
    target.fill(1)
  }
  const wrap = () =>
    group.wrap({ url: 'https://o/', read } as unknown as Origin, { isAway: () => false, failed: () => {} })
  let origin = wrap()
  const reopen = () => {
    origin = wrap()
  }
  const bytesAt = async (offset: number, length: number, options: Partial<ReadOptions> = {}) => {
    const target = Buffer.alloc(length)
    await origin.read(image, offset, target, { signal, ...options })
    return target
  }
  return { group, bytesAt, originReads, asked, wasKnown, disputes, reopen }
}

function honest({ target }: AskedRange): AskOutcome {
  target.fill(2)
  return { kind: 'bytes' }
}

t.test('a read is split by units, and each unit asks its own member', async t => {
  const { bytesAt, asked, originReads, group } = await groupOf(t, honest)
  t.ok((await bytesAt(blockBytes, 3 * unitBytes)).every(byte => byte === 2))
  t.same(
    asked.map(({ offset }) => offset).sort((a, b) => a - b),
    [blockBytes, unitBytes, 2 * unitBytes, 3 * unitBytes],
  )
  t.same(originReads, [])
  t.equal(group.status().offload, 1)
})

t.test('of two members one ranks before the other by both views; one that is leaving ranks behind all', async t => {
  const member = (k: number): Member => {
    const url = urls[k]!
    return { id: new URL(url).host, url, ...facts, state: 'up', since: 0 }
  }
  const owns = [member(0), member(1)]
  const groups = await Promise.all(owns.map(async own => (await groupOf(t, honest, { own })).group))
  const before = (k: number, unit: number) => groups[k]!.ranksBefore(owns[1 - k]!.id, image.id, unit)
  const units = Array.from({ length: 64 }, (_, unit) => unit)
  for (const unit of units) t.not(before(0, unit), before(1, unit))
  t.ok(units.some(unit => before(0, unit)) && units.some(unit => before(1, unit)))
  groups[0]!.leave()
  t.ok(units.every(unit => before(0, unit)))
  t.notOk(groups[0]!.ranksBefore('unknown', image.id, 0))
})

t.test('a member that was never asked has no requests', async t => {
  const { group } = await groupOf(t, honest)
  for (const { requests, bytes, refusals, failures } of group.status().members) {
    t.same([requests, bytes, refusals, failures], [0, 0, 0, 0])
  }
})

t.test('bytes that were proven wrong are the origin’s the next time, and their member is passed by', async t => {
  const { bytesAt, originReads, group } = await groupOf(t, honest)
  await bytesAt(0, unitBytes)
  t.ok((await bytesAt(0, unitBytes, { isDisputed: true })).every(byte => byte === 1))
  t.same(originReads, [{ offset: 0, length: unitBytes }])
  t.equal(group.status().members.filter(({ health }) => health === 'passed-by').length, 1)
})

t.test('blocks that their reader proves need no audit', async t => {
  const turns: (() => void)[] = []
  const every = (_: number, work: () => void) => {
    turns.push(work)
    return () => {}
  }
  const { bytesAt, originReads, group } = await groupOf(t, honest, { random: () => 0, every })
  const audit = async () => {
    for (const turn of turns) turn()
    await new Promise(resolve => setImmediate(resolve))
  }
  for (let unit = 0; unit < 8; unit++) await bytesAt(unit * unitBytes, unitBytes, { isProven: true })
  for (let k = 0; k < 20; k++) await audit()
  t.same(group.status().audits, { compared: 0, different: 0, leftOut: 0, forgottenUnits: 0 })
  t.same(originReads, [])
  await bytesAt(0, unitBytes)
  await audit()
  t.match(group.status().audits, { compared: 1 }, 'others are compared')
})

t.test('a place of the origin is not blamed for what a member sent', async t => {
  const { bytesAt, disputes, group } = await groupOf(t, honest)
  await bytesAt(0, unitBytes, { isProven: true })
  await bytesAt(0, unitBytes, { isProven: true, isDisputed: true })
  await bytesAt(0, unitBytes, { isProven: true, isDisputed: true })
  t.same(disputes, [false, true], 'the member first, then the origin')
  t.equal(group.status().members.filter(({ health }) => health === 'passed-by').length, 1)
})

t.test('a member that breaks off is followed by the next one, from where it stopped', async t => {
  let first = true
  const { bytesAt, asked, originReads } = await groupOf(t, range => {
    if (!first) return honest(range)
    first = false
    range.target.subarray(0, 3 * blockBytes).fill(2)
    return { kind: 'lost', goodBytes: 3 * blockBytes, why: 'gone' }
  })
  t.ok((await bytesAt(0, unitBytes)).every(byte => byte === 2))
  t.same(
    asked.map(({ offset }) => offset),
    [0, 3 * blockBytes],
  )
  t.same(originReads, [])
})

t.test('members that are silent, lie or lack it lead to the origin, never to an error', async t => {
  const outcomes: AskOutcome[] = [{ kind: 'silent' }, { kind: 'wrong', why: 'sums' }, { kind: 'absent' }]
  for (const outcome of outcomes) {
    const { bytesAt, asked } = await groupOf(t, () => outcome)
    t.ok(
      (await bytesAt(0, unitBytes)).every(byte => byte === 1),
      outcome.kind,
    )
    t.ok(asked.length <= 2)
  }
})

t.test('members that are busy for ever are waited for within a bound', async t => {
  const { bytesAt, group } = await groupOf(t, () => ({ kind: 'busy', replicas: 2 }))
  t.ok((await bytesAt(0, unitBytes)).every(byte => byte === 1))
  t.equal(group.status().originReads.late, 1)
})

t.test('one block that differs from the origin: the member is asked no more, and its units are dropped', async t => {
  const dropped: unknown[] = []
  const more = { random: () => 0, dropMemberUnits: (units: readonly unknown[]) => void dropped.push(...units) }
  const { bytesAt, group, asked } = await groupOf(t, honest, more)
  await bytesAt(0, unitBytes)
  const isQuarantined = () => group.status().members.some(({ health }) => health === 'quarantined')
  await until(isQuarantined, 60_000, 'a sample is compared')
  t.match(dropped, [{ imageId: image.id, unit: 0 }])
  const before = asked.length
  for (let unit = 0; unit < 8; unit++) await bytesAt(unit * unitBytes, unitBytes)
  t.ok(asked.length - before >= 1, 'the other member is asked')
  t.ok(group.status().audits.different >= 1)
})

t.test('a lie after a reload drops what the member had sent before it, too', async t => {
  const dropped: { readonly unit: number }[] = []
  const turns: (() => void)[] = []
  const every = (_: number, work: () => void) => {
    turns.push(work)
    return () => {}
  }
  const random = [1, 0]
  const more = { every, dropMemberUnits: (units: readonly { readonly unit: number }[]) => void dropped.push(...units) }
  const { bytesAt, group, reopen, asked } = await groupOf(t, honest, { ...more, random: () => random[0]! })
  const units = [0, 1, 2, 3, 4, 5, 6, 7]
  for (const unit of units) await bytesAt(unit * unitBytes, unitBytes)
  reopen()
  random.shift()
  await bytesAt(0, blockBytes)
  await until(
    () => {
      for (const turn of turns) turn()
      return group.status().audits.different === 1
    },
    60_000,
    'a sample is compared',
  )
  t.ok(dropped.length >= 1 && asked.length === 9)
  const liar = group.status().members.find(({ health }) => health === 'quarantined')!
  const sent = units.filter(unit => group.explain(image.id, unit).ranks[0] === liar.id)
  t.same(dropped.map(({ unit }) => unit).sort(), sent)
})

t.test('an origin that is wrapped anew, and a group that is closed, leave no timer', async t => {
  let timers = 0
  const every = () => {
    timers++
    return () => void timers--
  }
  const { group } = await groupOf(t, honest, { every })
  const before = timers
  group.wrap({ url: 'https://o/' } as unknown as Origin, { isAway: () => false, failed: () => {} })
  t.equal(timers, before, 'its samples are compared by one task')
  await group.close()
  t.equal(timers, 0)
})

t.test('a group that is closed has written its view', async t => {
  let isWritten = false
  const settled = async () => {
    await new Promise(resolve => setImmediate(resolve))
    isWritten = true
  }
  const viewFile = { read: async () => ({ members: [], memberSince: null }), keep: () => {}, settled }
  const { group } = await groupOf(t, honest, { viewFile })
  await group.close()
  t.ok(isWritten)
})

t.test('a range is known as one that the origin is read for, as long as that goes on', async t => {
  const { bytesAt, group, wasKnown } = await groupOf(t, () => ({ kind: 'absent' }))
  await bytesAt(0, unitBytes)
  t.same(wasKnown, [true])
  t.notOk(group.originReads.covers(image.id, 0, 1))
})

t.test('reads that are optional, or no whole blocks, go to the origin', async t => {
  const { bytesAt, asked } = await groupOf(t, honest)
  t.equal((await bytesAt(0, unitBytes, { isOptional: true }))[0], 1)
  t.equal((await bytesAt(10, 100))[0], 1)
  t.same(asked, [])
})

t.test('a host hears whether others take part in reads, and of each change', async t => {
  const heard: boolean[] = []
  let list: (members: readonly Member[]) => void = () => {}
  const registry = {
    state: new StaticRegistry([], facts).state,
    watch: ({ onMembers }: RegistryListener) => {
      list = onMembers
    },
    register: () => {},
    close: async () => {},
  }
  const { group } = await groupOf(t, honest, { registry })
  group.followSharing(isShared => void heard.push(isShared))
  list([{ id: 'm', url: urls[0]!, ...facts, state: 'up', since: 0 }])
  t.same(heard, [false, true])
  t.ok(group.hasRanks('m'))
  list([])
  t.ok(group.view.find('m'), 'it keeps its ranks for a while')
  t.notOk(group.hasRanks('m'), 'and may not know of this host')
})

t.test('the view outlasts a restart without a registry; a damaged file is none', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-view-'))
  t.teardown(() => rmSync(directory, { recursive: true, force: true }))
  const path = join(directory, 'members.json')
  const logger = keepingLogger()
  const members: Member[] = urls.map(url => ({ id: new URL(url).host, url, ...facts, state: 'up', since: 3 }))
  const file = new ViewFile(path, 'g', logger)
  file.keep({ members: [], memberSince: null })
  file.keep({ members, memberSince: 7 })
  await file.settled()
  t.same(await new ViewFile(path, 'g', logger).read(), { members, memberSince: 7 })
  t.same((await new ViewFile(path, 'other', logger).read()).members, [])
  writeFileSync(path, '{"group":"g","members":[1,["x"]]')
  t.same((await file.read()).members, [])
  const nowhere = new ViewFile(join(directory, 'none', 'f'), 'g', logger)
  nowhere.keep({ members, memberSince: null })
  await nowhere.settled()
  t.match(logger.lines, [{ message: /are not kept/ }])
})

/** Milliseconds since 1970 of these tests. */
const wallNowMs = 1_700_000_000_000
const hourMs = 3_600_000

t.test('a clock of the day that is an hour off makes no new member of a host, or for ten minutes at most', async t => {
  const own: Member = { id: '10.0.0.9:1', url: 'https://10.0.0.9:1', ...facts, state: 'up', since: 1 }
  for (const [memberSince, isNew] of [
    [wallNowMs - hourMs, false],
    [wallNowMs + hourMs, true],
    [null, true],
  ] as const) {
    const clock = fakeClock()
    let wallMs = wallNowMs
    const kept: (number | null)[] = []
    const viewFile = {
      read: async () => ({ members: [], memberSince }),
      keep: (view: RememberedView) => void kept.push(view.memberSince),
      settled: async () => {},
    }
    const more = { own, viewFile, now: clock.now, wallMs: () => wallMs }
    const { bytesAt, asked, group } = await groupOf(t, () => ({ kind: 'absent' }), more)
    const unit = Array.from({ length: 8 }, (_, k) => k).find(k => group.explain(image.id, k).ownRank === 0)!
    /** Are former owners asked for a unit that is ours? */
    const asksFormer = async () => {
      const before = asked.length
      await bytesAt(unit * unitBytes, unitBytes)
      return asked.length > before
    }
    t.equal(await asksFormer(), isNew, `a member since ${memberSince}`)
    t.ok(kept[0]! <= wallNowMs, 'no later start is misled')
    // It is set back while the host runs.
    wallMs -= hourMs
    await clock.advance(joiningMs)
    t.notOk(await asksFormer(), 'ten minutes by the clock that never goes back')
  }
})

t.test('ten minutes without a word of the registry lose nobody, and move no unit', async t => {
  const clock = fakeClock()
  const { bytesAt, group, originReads } = await groupOf(t, honest, { now: clock.now })
  const owners = Array.from({ length: 8 }, (_, unit) => group.explain(image.id, unit).ranks[0])
  const before = group.view.revision
  await clock.advance(10 * 60_000)
  t.same(
    Array.from({ length: 8 }, (_, unit) => group.explain(image.id, unit).ranks[0]),
    owners,
  )
  t.equal(group.view.revision, before)
  t.match(group.status(), { viewAgeSeconds: 600, members: [{ state: 'up' }, { state: 'up' }] })
  t.ok((await bytesAt(0, unitBytes)).every(byte => byte === 2))
  t.same(originReads, [])
})

for (const prefersSooner of [true, false]) {
  const taken = prefersSooner ? 'the origin where it is sooner' : 'members although the origin is sooner'
  t.test(`a host reads from ${taken}`, async t => {
    const clock = fakeClock()
    // The members lack everything at first, so that the origin's time is known; then they take 40 ms.
    let areEmpty = true
    const answer = async (range: AskedRange): Promise<AskOutcome> => {
      if (areEmpty) return { kind: 'absent' }
      await clock.advance(40)
      return honest(range)
    }
    const settings = { patienceMs: 60_000, hedgeShare: 0, prefersSooner }
    const { bytesAt, originReads, asked } = await groupOf(t, answer, { now: clock.now, settings })
    for (let k = 0; k < samplesMin; k++) await bytesAt(0, unitBytes)
    t.equal(originReads.length, samplesMin)
    areEmpty = false
    // Either member gets to be known.
    for (let k = 0; k < 4 * samplesMin; k++) await bytesAt((k % 8) * unitBytes, unitBytes)
    const before = { origin: originReads.length, asked: asked.length }
    for (let unit = 0; unit < 8; unit++) await bytesAt(unit * unitBytes, unitBytes)
    t.equal(originReads.length - before.origin, prefersSooner ? 8 : 0)
    t.equal(asked.length - before.asked, prefersSooner ? 0 : 8)
  })
}
