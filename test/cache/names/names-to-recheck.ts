/** Names in doubt: each is asked for, and an origin that is away is left in peace for a while. */
import t from 'tap'
import { CacheError, type ErrorCode } from '../../../src/base/errors.ts'
import { NamesToRecheck } from '../../../src/cache/names/names-to-recheck.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever as signal } from '../../fixtures/rooms.ts'

const freshMs = 1000

function world() {
  const state = { nowMs: 0, answer: 'not-found' as ErrorCode | null }
  const asked: string[] = []
  const origin = new MemoryOrigin()
  const names = new NamesToRecheck({
    ask: async (_origin, name) => {
      asked.push(name)
      if (state.answer) throw new CacheError(state.answer, 'says the origin')
    },
    freshMs: () => freshMs,
    now: () => state.nowMs,
  })
  return { state, asked, origin, names }
}

t.test('each name is asked for once, whatever the answer is', async t => {
  const { state, asked, origin, names } = world()
  for (const answer of ['not-found', 'access-denied', null] as const) {
    state.answer = answer
    names.add(origin, `${answer}`)
    await names.ask(signal)
  }
  names.add(origin, 'dropped')
  names.drop(origin, 'dropped')
  await names.ask(signal)
  t.same(asked, ['not-found', 'access-denied', 'null'])
})

t.test('an origin that does not answer is asked again later, for all that is left', async t => {
  for (const code of ['origin-away', 'origin-unreachable', 'origin-timeout', 'origin-failed'] as const) {
    const { state, asked, origin, names } = world()
    for (const name of ['a', 'b']) names.add(origin, name)
    state.answer = code
    await names.ask(signal)
    state.nowMs = freshMs - 1
    await names.ask(signal)
    t.same(asked, ['a'], code)
    state.nowMs = freshMs
    state.answer = 'not-found'
    await names.ask(signal)
    t.same(asked, ['a', 'a', 'b'])
  }
})

t.test('a stop ends it, and keeps the names', async t => {
  const { asked, origin, names } = world()
  names.add(origin, 'a')
  await names.ask(AbortSignal.abort())
  t.same(asked, [])
  await names.ask(signal)
  t.same(asked, ['a'])
})
