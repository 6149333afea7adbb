import { getEventListeners } from 'node:events'
import t from 'tap'
import { ByteSemaphore } from '../../src/async/byte-semaphore.ts'

const signal = new AbortController().signal

t.test('bytes over the budget wait, in the order of asking, and a large request is not overtaken', async t => {
  const budget = new ByteSemaphore(100)
  const order: string[] = []
  let release!: () => void
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  const first = budget.run(60, signal, () => held)
  const large = budget.run(90, signal, async () => void order.push('large'))
  const small = budget.run(10, signal, async () => void order.push('small'))
  t.equal(budget.usedBytes, 60)
  t.equal(budget.waiting, 2)
  release()
  await Promise.all([first, large, small])
  t.same(order, ['large', 'small'])
  t.equal(budget.usedBytes, 0)
})

t.test('a request over the whole budget is granted alone', async t => {
  const budget = new ByteSemaphore(100)
  await budget.run(1000, signal, async () => t.equal(budget.usedBytes, 1000))
})

t.test('whoever gives up leaves the line, and those behind move up', async t => {
  const budget = new ByteSemaphore(100)
  let release!: () => void
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  const first = budget.run(60, signal, () => held)
  const controller = new AbortController()
  const given = t.rejects(
    budget.run(90, controller.signal, async () => t.fail('it left')),
    { code: 'aborted' },
  )
  const small = budget.run(40, signal, async () => 'small')
  controller.abort()
  await given
  t.equal(await small, 'small')
  release()
  await first
  t.equal(budget.usedBytes, 0)
})

t.test('whoever waited and was let in leaves nothing with its signal', async t => {
  const budget = new ByteSemaphore(100)
  const caller = new AbortController()
  const first = budget.run(100, signal, () => new Promise(resolve => setImmediate(resolve)))
  const second = budget.run(100, caller.signal, async () => {})
  t.equal(getEventListeners(caller.signal, 'abort').length, 1)
  await Promise.all([first, second])
  t.equal(getEventListeners(caller.signal, 'abort').length, 0)
})

t.test('a larger budget lets in who waits; a smaller one takes nothing back', async t => {
  const budget = new ByteSemaphore(100)
  const { signal } = new AbortController()
  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  const first = budget.run(100, signal, () => held)
  const second = budget.run(50, signal, () => held)
  t.equal(budget.waiting, 1)
  budget.resize(150)
  t.equal(budget.waiting, 0)
  budget.resize(10)
  t.equal(budget.usedBytes, 150)
  const third = budget.run(10, signal, () => held)
  t.equal(budget.waiting, 1)
  release()
  await Promise.all([first, second, third])
  t.equal(budget.usedBytes, 0)
})
