import t from 'tap'
import { CacheError } from '../../../src/base/errors.ts'
import { IndexWriteQueue } from '../../../src/cache/names/index-write-queue.ts'
import { deferred, nextIteration } from '../../fixtures/deferred.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'

/** A store that has room, or none, or an index that fails. */
class Room {
  readonly health = { readMsMax: 60_000 }
  state: 'room' | 'full' | 'failing' = 'room'
  async recordWithin(_bytes: number, _isNeeded: boolean, write: () => Promise<void>): Promise<boolean> {
    if (this.state === 'failing') throw new CacheError('index-failed', 'no')
    if (this.state === 'full') return false
    await write()
    return true
  }
}

t.test(
  'what finds no room, or a failing index, is written later: one line when it begins, one when it ends',
  async t => {
    for (const state of ['full', 'failing'] as const) {
      const room = new Room()
      const logger = keepingLogger()
      const recorder = new IndexWriteQueue(room, logger)
      const written: string[] = []
      const record = (what: string, value: string) =>
        recorder.record(what, 5, true, async () => {
          written.push(value)
        })
      await record('a', 'a1')
      room.state = state
      await record('a', 'a2')
      await record('b', 'b1')
      await record('a', 'a3')
      await record('c', 'c1')
      recorder.drop('c')
      await recorder.retry()
      t.same([written, recorder.unwritten], [['a1'], 2])
      room.state = 'room'
      await recorder.retry()
      t.same([written, recorder.unwritten], [['a1', 'a3', 'b1'], 0])
      t.same(
        logger.lines.map(({ level }) => level),
        ['warn', 'info'],
      )
    }
  },
)

t.test('any other error is the caller’s', async t => {
  const recorder = new IndexWriteQueue(new Room(), keepingLogger())
  const closed = () => Promise.reject(new CacheError('closed', 'closed'))
  await t.rejects(recorder.record('a', 1, true, closed), { code: 'closed' })
  t.equal(recorder.unwritten, 0)
})

t.test('a lookup waits for the index as long as a read waits for the disk; what is late goes on', async t => {
  const logger = keepingLogger()
  const room = Object.assign(new Room(), { health: { readMsMax: 1 } })
  const recorder = new IndexWriteQueue(room, logger)
  const writing = deferred()
  await recorder.record('a', 1, true, () => writing.promise)
  t.match(logger.lines, [{ level: 'warn', facts: { err: { message: /within 1 ms/ } } }])
  t.equal(recorder.unwritten, 1)
  writing.resolve()
  await nextIteration()
  t.equal(recorder.unwritten, 0)
})
