/** Pending calls: each gets the answer with its number, and none waits after the end. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { PendingCalls } from '../../../src/daemon/ipc/pending-calls.ts'

t.test('each call gets its own answer, in any order; an answer to nothing is none', async t => {
  const calls = new PendingCalls<string>()
  const sent: number[] = []
  const send = async (id: number) => void sent.push(id)
  const both = [calls.call(send), calls.call(send)]
  t.same(sent, [1, 2])
  calls.answered(3, 'nobody')
  calls.answered(2, 'second')
  calls.answered(1, 'first')
  t.same(await Promise.all(both), ['first', 'second'])
})

t.test('a question that cannot be put fails', async t => {
  const calls = new PendingCalls<string>()
  await t.rejects(
    calls.call(() => Promise.reject(new Error('gone'))),
    { message: 'gone' },
  )
})

t.test('at the end those that wait fail, and so do those that come', async t => {
  const calls = new PendingCalls<string>()
  const waiting = calls.call(async () => {})
  const ended = t.rejects(waiting, { code: 'closed' })
  calls.end(new CacheError('closed', 'the end'))
  await ended
  let isSent = false
  const late = calls.call(async () => {
    isSent = true
  })
  await t.rejects(late, { code: 'closed' })
  t.notOk(isSent)
})
