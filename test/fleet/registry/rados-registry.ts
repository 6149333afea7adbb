/** Members in an omap: counters that advance by nobody's clock but one's own, notices, an object that is away. */
import t, { type Test } from 'tap'
import { membersListedMax, membersMax } from '../../../src/fleet/group/limits.ts'
import type { Member } from '../../../src/fleet/group/member.ts'
import { RadosRegistry, type RegistryObject } from '../../../src/fleet/registry/rados-registry.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { until } from '../../fixtures/until.ts'

function memberOf(k: number, facts: Partial<Member> = {}): Member {
  const url = `https://10.0.0.${k}:1`
  return { id: `m${k}`, url, rack: '', weight: 1, blockBytes: 65_536, state: 'up', since: k, ...facts }
}

/** One object, as several hosts have it open. */
class Shared {
  readonly values = new Map<string, string>()
  readonly watchers = new Set<() => void>()
  failure: Error | null = null

  open(): RegistryObject {
    const mustAnswer = async () => {
      if (this.failure) throw this.failure
    }
    const own = new Set<() => void>()
    return {
      place: 'images/parentfs.g',
      entries: async (prefix, countMax) => {
        await mustAnswer()
        return [...this.values].filter(([key]) => key.startsWith(prefix)).slice(0, countMax)
      },
      set: async (key, value) => {
        await mustAnswer()
        this.values.set(key, value)
      },
      remove: async key => {
        await mustAnswer()
        this.values.delete(key)
      },
      notify: async () => {
        await mustAnswer()
        for (const tell of [...this.watchers]) tell()
      },
      noticed: () =>
        new Promise<void>((resolve, reject) => {
          const end = () => {
            this.watchers.delete(resolve)
            reject(new Error('closed'))
          }
          own.add(end)
          this.watchers.add(() => resolve())
        }),
      close: async () => {
        for (const end of own) end()
      },
    }
  }
}

interface Host {
  readonly registry: RadosRegistry
  ids(): string[]
  nowMs: number
}

function hostOf(t: Test, shared: Shared, own: Member | null, pollMs = 20, goneMs = 15_000): Host {
  let members: readonly Member[] = []
  const registry = new RadosRegistry({
    object: shared.open(),
    group: 'g',
    logger: keepingLogger(),
    now: () => host.nowMs,
    renewMs: 20,
    pollMs,
    goneMs,
    forgottenMs: 60_000,
  })
  const host: Host = { registry, ids: () => members.map(({ id }) => id).sort(), nowMs: 0 }
  registry.register(own)
  registry.watch({
    onMembers: listed => {
      members = listed
    },
    onHeard: () => {},
  })
  t.teardown(() => registry.close())
  return host
}

/** Time passes, with a look now and then. */
async function pass(host: Host, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += 4_000) {
    const { lists } = host.registry.state
    host.nowMs += Math.min(4_000, ms - passed)
    await until(() => host.registry.state.lists >= lists + 2, 30_000, 'a look')
  }
}

const knows = (host: Host, ...ids: string[]) =>
  until(() => host.ids().join() === ids.join(), 30_000, `it knows ${ids.join()}`)

t.test('members find each other, and one that leaves is gone at once', async t => {
  const shared = new Shared()
  const [a, b, asker] = [hostOf(t, shared, memberOf(1)), hostOf(t, shared, memberOf(2)), hostOf(t, shared, null)]
  for (const host of [a, b, asker]) await knows(host, 'm1', 'm2')
  t.match(a.registry.state, { engine: 'rados:images/parentfs.g', state: 'connected', reason: '' })
  await b.registry.close()
  for (const host of [a, asker]) await knows(host, 'm1')
  t.same([...shared.values.keys()], ['g/member/m1'])
  a.registry.register(memberOf(1, { state: 'leaving' }))
  await until(() => shared.values.get('g/member/m1')!.includes('leaving'), 30_000, 'another record')
})

t.test('a counter that stands still is a member that is gone, whatever any clock says', async t => {
  const shared = new Shared()
  shared.values.set('g/member/dead', `7.1 ${JSON.stringify({ v: 1, ...memberOf(9), since: 8e14 })}`)
  shared.values.set('g/member/odd', 'nonsense')
  const a = hostOf(t, shared, memberOf(1))
  await knows(a, 'dead', 'm1')
  await pass(a, 12_000)
  t.same(a.ids(), ['dead', 'm1'])
  await pass(a, 8_000)
  await knows(a, 'm1')
  shared.values.set('g/member/dead', shared.values.get('g/member/dead')!.replace('7.1', '7.2'))
  await knows(a, 'dead', 'm1')
  await pass(a, 60_000)
  await until(() => !shared.values.has('g/member/odd'), 30_000, 'what is forgotten is removed')
  t.ok(shared.values.has('g/member/m1'))
})

t.test('entries of hosts that are gone take no places of a full group', async t => {
  const shared = new Shared()
  const put = (id: string, k: number) =>
    shared.values.set(`g/member/${id}`, `1.1 ${JSON.stringify({ v: 1, ...memberOf(k % 200) })}`)
  for (let k = 0; k < membersMax; k++) put(`gone${k}`, k)
  for (let k = 0; k < membersMax + 1; k++) put(`there${k}`, k)
  const onlooker = hostOf(t, shared, null)
  await until(() => onlooker.ids().length > 0, 30_000, 'a list')
  t.equal(onlooker.ids().length, membersListedMax)
  t.equal(onlooker.ids().filter(id => id.startsWith('there')).length, membersMax)
})

t.test('a notice is seen long before the next look', async t => {
  const shared = new Shared()
  const a = hostOf(t, shared, memberOf(1), 3_600_000)
  await knows(a, 'm1')
  hostOf(t, shared, memberOf(2), 3_600_000)
  await knows(a, 'm1', 'm2')
})

t.test('without the cluster the view stays as it is, and all goes on afterwards', async t => {
  const shared = new Shared()
  const [a, b] = [hostOf(t, shared, memberOf(1)), hostOf(t, shared, memberOf(2))]
  await knows(a, 'm1', 'm2')
  shared.failure = new Error('no connection')
  await until(() => a.registry.state.state === 'away', 30_000, 'it is away')
  t.equal(a.registry.state.reason, 'no connection')
  a.nowMs = b.nowMs = 600_000
  t.same(a.ids(), ['m1', 'm2'])
  shared.failure = null
  await until(() => a.registry.state.state === 'connected', 30_000, 'it answers again')
  t.same(a.ids(), ['m1', 'm2'], 'ten minutes without it lose nobody')
})

t.test('a host that starts anew is seen, though its counter begins anew', async t => {
  const shared = new Shared()
  const a = hostOf(t, shared, memberOf(1))
  shared.values.set('g/member/m2', `2.1 ${JSON.stringify({ v: 1, ...memberOf(2) })}`)
  await knows(a, 'm1', 'm2')
  await pass(a, 20_000)
  await knows(a, 'm1')
  shared.values.set('g/member/m2', `3.1 ${JSON.stringify({ v: 1, ...memberOf(2, { since: 3 }) })}`)
  await knows(a, 'm1', 'm2')
})
