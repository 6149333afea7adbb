import t from 'tap'
import { identify } from '../../../src/base/image.ts'
import { fileLineMsMin, fileRetryMs } from '../../../src/store/disk/limits.ts'
import { OpenBackoff } from '../../../src/store/disk/open-backoff.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

const imageOf = (key: string) => identify({ origin: 'o', key, sizeBytes: 1, validator: 'v', modifiedMs: 0 })
const [a, b, c] = ['a', 'b', 'c'].map(imageOf) as [
  ReturnType<typeof imageOf>,
  ReturnType<typeof imageOf>,
  ReturnType<typeof imageOf>,
]

t.test('a file that cannot be made is tried again after a pause, and said once', async t => {
  let nowMs = 0
  const logger = keepingLogger()
  const failed = new OpenBackoff(logger, () => nowMs)
  t.equal(failed.mayTry(a), true)
  failed.failed(a, new Error('no room'))
  t.equal(failed.mayTry(a), false)
  t.equal(failed.mayTry(b), true)
  nowMs = fileRetryMs - 1
  t.equal(failed.mayTry(a), false)
  for (let k = 0; k < 10; k++) {
    nowMs += fileRetryMs
    t.equal(failed.mayTry(a), true)
    failed.failed(a, new Error('no room'))
  }
  t.equal(logger.lines.length, 1)
  failed.succeeded(a)
  t.same(
    logger.lines.map(({ level }) => level),
    ['error', 'info'],
  )
  failed.succeeded(a)
  t.equal(logger.lines.length, 2, 'nothing was wrong')
})

t.test('many files at once are one line, and the next line counts them', async t => {
  let nowMs = 0
  const logger = keepingLogger()
  const failed = new OpenBackoff(logger, () => nowMs)
  for (const image of [a, b]) failed.failed(image, new Error('no room'))
  t.match(logger.lines, [{ facts: { images: 1 } }])
  nowMs = fileLineMsMin
  failed.failed(c, new Error('no room'))
  t.match(logger.lines, [{}, { facts: { images: 2 } }])
  t.equal(failed.size, 3)
  failed.forget(c.id)
  t.equal(failed.size, 2)
})
