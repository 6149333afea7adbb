/** Hearing of the end of work. */
import t from 'tap'
import { callSafely, onSettled } from '../../src/async/on-settled.ts'

t.test('what work throws at once it rejects with', async t => {
  t.equal(await callSafely(async () => 7), 7)
  const bad = callSafely(() => {
    throw new Error('bad')
  })
  await t.rejects(bad, { message: 'bad' })
})

t.test('the end of work is heard of before who waits for it goes on, however it ended, and once', async t => {
  for (const settle of [() => Promise.resolve(7), () => Promise.reject(new Error('bad'))]) {
    const order: string[] = []
    const work = onSettled(settle(), () => order.push('ended'))
    await work.then(
      () => order.push('well'),
      () => order.push('badly'),
    )
    t.equal(order.length, 2)
    t.equal(order[0], 'ended')
  }
})
