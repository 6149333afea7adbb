/** The recency saver: saves again and again, whatever became of the last time. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { recencySaveMs } from '../../../src/cache/evict/limits.ts'
import { RecencySaver } from '../../../src/cache/evict/recency-saver.ts'
import { nextIteration } from '../../fixtures/deferred.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

t.test('a failure is logged, and the next time it is saved all the same; not after its end', async t => {
  const logger = keepingLogger()
  let [saves, fails, ms, ended] = [0, true, 0, 0]
  let work = () => {}
  const saveRecency = async () => {
    saves++
    if (fails) throw new CacheError('index-failed', 'no')
  }
  const saver = new RecencySaver({ saveRecency }, logger, (everyMs, what) => {
    ms = everyMs
    work = what
    return () => void ended++
  })
  t.same([ms, saves], [recencySaveMs, 0])
  work()
  await nextIteration()
  t.match(logger.lines, [{ level: 'warn', facts: { err: { code: 'index-failed' } } }])
  fails = false
  work()
  await nextIteration()
  t.same([saves, logger.lines.length], [2, 1])
  saver.close()
  t.equal(ended, 1)
})
