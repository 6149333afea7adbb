/** Boot profiles asked of the members that keep them, and left with them. */
import t, { type Test } from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { pushesMax } from '../../../src/fleet/asking/limits.ts'
import type { MemberMessage } from '../../../src/fleet/asking/member-channel.ts'
import { ProfileExchange } from '../../../src/fleet/asking/profile-exchange.ts'
import { GroupView } from '../../../src/fleet/group/group-view.ts'
import type { Member } from '../../../src/fleet/group/member.ts'
import { until } from '../../fixtures/until.ts'

const blockBytes = 4_096

function memberOf(k: number): Member {
  const url = `https://10.0.0.${k}:1`
  return { id: `m${k}`, url, rack: '', weight: 1, blockBytes, state: 'up', since: 0 }
}

/** A host among eight, whose profiles lie in one map for each member. */
function exchangeOf(t: Test, answer?: (id: string, message: MemberMessage) => Promise<void>) {
  const kept = new Map<string, Map<string, string>>()
  const asked: string[] = []
  const keptOf = (id: string) => kept.get(id) ?? kept.set(id, new Map()).get(id)!
  const view = new GroupView({ own: memberOf(1), blockBytes, rack: '', now: () => 0 })
  view.update(Array.from({ length: 8 }, (_, k) => memberOf(k + 1)))
  const exchange = new ProfileExchange({
    view,
    own: { get: hash => keptOf('m1').get(hash) ?? null, merge: (hash, text) => keptOf('m1').set(hash, text).size > 0 },
    logger: silentLogger,
    messagesOf: ({ id }) => ({
      request: async (message, signal) => {
        asked.push(`${message.method} ${id}`)
        await answer?.(id, message)
        if (signal.aborted) throw new Error('aborted')
        if (message.method === 'PUT') keptOf(id).set(message.path, message.body!)
        const text = keptOf(id).get(message.path)
        return text === undefined ? { status: 404, text: 'none' } : { status: 200, text }
      },
    }),
    isUsable: ({ id }) => id !== 'm8',
  })
  t.teardown(() => exchange.close())
  return { exchange, kept, asked }
}

const origin = 'https://o/'

t.test('a profile is left with the first three ranks of its name, and found there', async t => {
  const { exchange, asked, kept } = exchangeOf(t)
  for (let k = 0; k < 10; k++) exchange.push(origin, `k${k}`, `text ${k}`)
  await until(() => exchange.counters.pushed === 30, 20_000, 'all members')
  t.equal(asked.filter(line => line === 'PUT m8').length, 0, 'one that is passed by has no rank')
  t.equal(
    [...kept.values()].reduce((sum, { size }) => sum + size, 0),
    30,
  )
  for (let k = 0; k < 10; k++) t.equal(await exchange.find(origin, `k${k}`), `text ${k}`)
  t.equal(await exchange.find('https://other/', 'k0'), null)
  t.match(exchange.counters, { found: 10, absent: 1, notPushed: 0 })
})

t.test('a member that never answers, or fails, costs the bound of time and no more', async t => {
  const { exchange } = exchangeOf(t, id => (id === 'm2' ? Promise.reject(new Error('no')) : new Promise(() => {})))
  t.equal(await exchange.find(origin, 'a'), null)
  t.equal(exchange.counters.absent, 1)
})

t.test('one more profile than may wait is not pushed', async t => {
  let go = () => {}
  const gate = new Promise<void>(resolve => {
    go = resolve
  })
  const { exchange } = exchangeOf(t, () => gate)
  for (let k = 0; k <= pushesMax; k++) exchange.push(origin, `k${k}`, 'text')
  t.equal(exchange.counters.notPushed, 0, 'the first one is under way')
  exchange.push(origin, 'more', 'text')
  t.equal(exchange.counters.notPushed, 1)
  go()
  await until(() => exchange.counters.pushed === 3 * (pushesMax + 1), 20_000, 'the rest')
  exchange.push(origin, 'long', 'x'.repeat(128 * 1024 + 1))
  t.equal(exchange.counters.notPushed, 2)
})
