/** Versions that members tell in place of an origin that does not answer: the freshest counts, nonsense does not. */
import t from 'tap'
import type { LightAbortSignal } from '../../../src/async/light-abort-signal.ts'
import { silentLogger } from '../../../src/base/logger.ts'
import { relayedMembersMax, relayMsMax } from '../../../src/fleet/asking/limits.ts'
import { MemberVersions } from '../../../src/fleet/asking/member-versions.ts'
import { GroupView } from '../../../src/fleet/group/group-view.ts'
import type { Member } from '../../../src/fleet/group/member.ts'
import { type ToldVersion, versionBytesMax } from '../../../src/fleet/wire/version.ts'
import { imageBytesMax } from '../../../src/origin/wrappers/limits.ts'
import { forever } from '../../fixtures/rooms.ts'

const blockBytes = 4_096
const origin = 'https://o/'
const version: ToldVersion = { sizeBytes: 9, validator: 'v', modifiedMs: 1, ageMs: 0, isFresh: true }

type Said = ToldVersion | 'nothing' | 'an error' | 'never' | string

function memberOf(k: number): Member {
  const url = `https://10.0.0.${k}:1`
  return { id: `m${k}`, url, rack: '', weight: 1, blockBytes, state: 'up', since: 0 }
}

/** A host `m0` among so many others, by a clock of the test. */
function versionsOf(members: number, answer: (id: string) => Said) {
  const asked: string[] = []
  const signals: LightAbortSignal[] = []
  const timers = new Set<{ readonly ms: number; readonly work: () => void }>()
  const view = new GroupView({ own: memberOf(0), blockBytes, rack: '', now: () => 0 })
  view.update(Array.from({ length: members + 1 }, (_, k) => memberOf(k)))
  const versions = new MemberVersions({
    ...{ view, logger: silentLogger, isUsable: ({ id }) => id !== 'unusable' },
    after: (ms, work) => {
      const timer = { ms, work }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    messagesOf: ({ id }) => ({
      request: async ({ image, bytesMax }, signal) => {
        t.match([image, bytesMax], [{ origin, key: 'a' }, versionBytesMax])
        asked.push(id)
        signals.push(signal as LightAbortSignal)
        const said = answer(id)
        if (said === 'an error') throw new Error('no connection')
        if (said === 'never') return await new Promise(() => {})
        if (said === 'nothing') return { status: 404, text: 'not here' }
        return { status: 200, text: typeof said === 'string' ? said : JSON.stringify(said) }
      },
    }),
  })
  return { versions, asked, signals, timers }
}

t.test('the first fresh answer counts, and the others are left', async t => {
  const { versions, signals, timers } = versionsOf(4, id => (id === 'm2' ? version : 'never'))
  const facts = { origin, key: 'a', sizeBytes: 9, validator: 'v', modifiedMs: 1, toldBy: 'm2' }
  t.same(await versions.find(origin, 'a', forever), facts)
  t.ok(signals.every(({ aborted }) => aborted))
  t.same([timers.size, versions.counters], [0, { told: 1, untold: 0 }])
})

t.test('without a fresh one the youngest counts; one of an earlier run is the oldest', async t => {
  const ages: Record<string, number | null> = { m1: null, m2: 70, m3: 50, m4: null }
  const old = (id: string) => ({ ...version, validator: id, ageMs: ages[id] ?? null, isFresh: false })
  const { versions } = versionsOf(4, old)
  t.match(await versions.find(origin, 'a', forever), { validator: 'm3', toldBy: 'm3' })
  const unsure = versionsOf(2, id => (id === 'm1' ? old('m1') : 'an error'))
  t.match(await unsure.versions.find(origin, 'a', forever), { validator: 'm1' })
})

t.test('hostile answers are none', async t => {
  const answers: Said[] = [
    '{',
    'null',
    '[]',
    ...[
      { sizeBytes: -1 },
      { sizeBytes: 1.5 },
      { sizeBytes: imageBytesMax + 1 },
      { validator: '' },
      { validator: 7 },
    ].map(wrong => JSON.stringify({ ...version, ...wrong })),
    ...[{ validator: 'v'.repeat(1_025) }, { ageMs: -1 }, { ageMs: '0' }, { isFresh: 1 }, { modifiedMs: null }].map(
      wrong => JSON.stringify({ ...version, ...wrong }),
    ),
    'nothing',
    'an error',
  ]
  for (const answer of answers) {
    const { versions } = versionsOf(2, () => answer)
    t.equal(await versions.find(origin, 'a', forever), null, String(answer))
    t.same(versions.counters, { told: 0, untold: 1 })
  }
})

t.test('silent members are waited for as long as for relayed bytes, and not more of them', async t => {
  const { versions, asked, timers, signals } = versionsOf(relayedMembersMax + 3, () => 'never')
  const finding = versions.find(origin, 'a', forever)
  t.equal(asked.length, relayedMembersMax)
  t.same(
    [...timers].map(({ ms }) => ms),
    [relayMsMax],
  )
  for (const { work } of timers) work()
  t.equal(await finding, null)
  t.ok(signals.every(({ aborted }) => aborted))
})

t.test('a caller that leaves is not kept, and a host that is alone asks nobody', async t => {
  const { versions, timers } = versionsOf(3, () => 'never')
  const leaver = new AbortController()
  const finding = versions.find(origin, 'a', leaver.signal)
  leaver.abort()
  t.equal(await finding, null)
  t.equal(timers.size, 0)
  t.equal(await versionsOf(0, () => version).versions.find(origin, 'a', forever), null)
})
