/** The log of lookups that the index answers in place of the origin. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { logUnanswered, noAnswer } from '../../../src/cache/names/unanswered-lookups.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

t.test('an origin that is away has its own line in the log: only other failures are warnings', async t => {
  const logger = keepingLogger()
  logUnanswered(logger, { name: 'a', err: new CacheError('origin-away', 'gone') })
  logUnanswered(logger, { name: 'a', err: noAnswer('a') })
  logUnanswered(logger, { name: 'a', err: new Error('of another kind') })
  t.same(
    logger.lines.map(({ level }) => level),
    ['debug', 'warn', 'warn'],
  )
  t.match(logger.lines[1]!.facts, { name: 'a', err: { code: 'origin-timeout' } })
})
