/** Closers run in the opposite order of opening. */
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { CloserStack } from '../../../src/daemon/worker/closer-stack.ts'

t.test('the last is closed first, each waits for the one before, and one that fails stops nobody', async t => {
  const unwinder = new CloserStack()
  const closed: string[] = []
  unwinder.push('first', () => closed.push('first'))
  unwinder.push('second', () => Promise.reject(new Error('no')))
  unwinder.push('third', async () => {
    await new Promise(resolve => setImmediate(resolve))
    closed.push('third')
  })
  const errors: string[] = []
  const logger = { ...silentLogger, error: (_: object, message: string) => void errors.push(message) }
  await Promise.all([unwinder.closeAll(logger), unwinder.closeAll(logger)])
  t.same(closed, ['third', 'first'])
  t.equal(errors.length, 1)
})
