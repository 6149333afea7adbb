/** The request in work that kills workers. */
import { closeSync, existsSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import { makeAnonymousFile, takeJournal } from '../../../src/daemon/supervisor/inflight-journal-file.ts'
import { PoisonDetector } from '../../../src/daemon/supervisor/poison-detector.ts'
import { InflightJournal, noPoisonVerdict, type PoisonVerdict } from '../../../src/fuse/kernel/inflight-journal.ts'
import { workNotesMax } from '../../../src/fuse/kernel/limits.ts'

const resent = 1n << 63n

/** Notes in a file, as a worker writes them and a supervisor reads them. */
function setUp(judgement: PoisonVerdict = noPoisonVerdict) {
  const path = join(t.testdir(), 'work')
  const fd = makeAnonymousFile(path)
  t.teardown(() => closeSync(fd))
  t.notOk(existsSync(path))
  const write = (bytes: Uint8Array, position: number) => void writeSync(fd, bytes, 0, bytes.length, position)
  const notes = new InflightJournal({ judgement, write, logger: silentLogger })
  return { fd, notes }
}

t.test('what has no answer is found by the supervisor, as far as it was noted, once', async t => {
  const { fd, notes } = setUp()
  const long = Buffer.alloc(500, 7)
  notes.begin(2n, Buffer.from('abcd'))
  notes.begin(4n, Buffer.from('gone'))
  notes.begin(6n | resent, long)
  notes.end(4n)
  notes.end(8n)
  t.same(takeJournal(fd), [
    { unique: '2', hex: '61626364' },
    { unique: '6', hex: '07'.repeat(112) },
  ])
  t.same(takeJournal(fd), [])
})

t.test('more than can be noted go on without', async t => {
  const { fd, notes } = setUp()
  const verdicts = Array.from({ length: workNotesMax + 1 }, (_, k) => notes.begin(BigInt(2 * k + 2), Buffer.of(1)))
  t.same(new Set(verdicts), new Set(['go']))
  t.equal(takeJournal(fd).length, workNotesMax)
  const off = new InflightJournal({
    judgement: noPoisonVerdict,
    write: () => {
      throw new Error('EBADF')
    },
    logger: silentLogger,
  })
  t.equal(off.begin(2n, Buffer.of(1)), 'go')
  off.end(2n)
})

t.test('suspects are worked on one at a time, what kills not at all, all others at once', async t => {
  const { fd, notes } = setUp({ suspects: ['2', '4', '6'], poisoned: ['8'] })
  const resumed: string[] = []
  notes.onResume(request => void resumed.push(Buffer.from(request).toString()))
  t.equal(notes.begin(2n | resent, Buffer.from('two')), 'go')
  t.equal(notes.begin(4n | resent, Buffer.from('four')), 'later')
  t.equal(notes.begin(6n | resent, Buffer.from('six')), 'later')
  t.equal(notes.begin(8n | resent, Buffer.from('eight')), 'refuse')
  t.equal(notes.begin(10n, Buffer.from('ten')), 'go')
  t.same(
    takeJournal(fd).map(({ unique }) => unique),
    ['2', '10'],
  )
  notes.end(2n | resent)
  await new Promise(resolve => setImmediate(resolve))
  t.same(resumed, [String(Buffer.from('four'))])
  t.equal(notes.begin(4n | resent, Buffer.from('four')), 'go')
  t.equal(notes.begin(2n | resent, Buffer.from('two')), 'go', 'it has been answered once')
})

t.test('a request that is there at three deaths in a row is what kills; those beside it are not', async t => {
  const suspicion = new PoisonDetector()
  const items = (...uniques: string[]) => uniques.map(unique => ({ unique, hex: '' }))
  t.same(suspicion.died(items('2', '4', '6')), [])
  t.same(suspicion.verdict, noPoisonVerdict)
  t.same(suspicion.died(items('2', '4', '8')), [])
  t.same(suspicion.verdict, { suspects: ['2', '4'], poisoned: [] })
  t.same(suspicion.died(items('4', '10')), items('4'))
  t.same(suspicion.verdict, { suspects: [], poisoned: ['4'] })
  t.same(suspicion.died(items('2', '10')), [], 'it was not there the last time')
})
