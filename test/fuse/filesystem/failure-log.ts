/** Log lines of failures. */
import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { FailureLog } from '../../../src/fuse/filesystem/failure-log.ts'
import { FsError } from '../../../src/fuse/filesystem/fs-error.ts'
import { failureLinesPerSecondMax } from '../../../src/fuse/filesystem/limits.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

const request = { opcode: 'READ', nodeId: '7', readerPid: 42 }

t.test('bugs are errors, failures below are warnings, and what callers expect is quiet', async t => {
  const logger = keepingLogger()
  const log = new FailureLog(logger, () => 0)
  const cases: [unknown, string][] = [
    [new TypeError('a bug'), 'error'],
    [new CacheError('origin-failed', ''), 'warn'],
    [new CacheError('not-found', ''), 'debug'],
    [new CacheError('origin-away', ''), 'debug'],
    [new CacheError('aborted', ''), 'debug'],
    [new FsError('read-only'), 'debug'],
    [new FsError('malformed'), 'warn'],
    [new FsError('expired'), 'warn'],
  ]
  for (const [error] of cases) log.failed(request, error)
  t.same(
    logger.lines.map(({ level }) => level),
    cases.map(([, level]) => level),
  )
  t.match(logger.lines[0]?.facts, { opcode: 'READ', nodeId: '7', readerPid: 42, err: TypeError })
})

t.test('a flood is cut, and goes on in the next second', async t => {
  const logger = keepingLogger()
  let nowMs = 5000
  const log = new FailureLog(logger, () => nowMs)
  const failed = () => log.failed(request, new CacheError('origin-failed', ''))
  for (let k = 0; k <= failureLinesPerSecondMax; k++) failed()
  t.equal(logger.lines.length, failureLinesPerSecondMax)
  t.equal(log.suppressed, 1)
  nowMs = 6000
  failed()
  t.equal(logger.lines.length, failureLinesPerSecondMax + 1)
})
