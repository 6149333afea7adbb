/** The in-flight journal: notes in slots of a file, suspects one at a time, and what is proven refused. */
import t from 'tap'
import { silentLogger } from '../../../src/base/logger.ts'
import {
  InflightJournal,
  noPoisonVerdict,
  slotBytes,
  slotHeadBytes,
} from '../../../src/fuse/kernel/inflight-journal.ts'
import { workNotesMax } from '../../../src/fuse/kernel/limits.ts'
import { nextIteration } from '../../fixtures/deferred.ts'

function journal(suspects: readonly string[] = []) {
  const file = Buffer.alloc(workNotesMax * slotBytes)
  const disk = { fails: false, writes: 0 }
  const write = (bytes: Uint8Array, position: number) => {
    disk.writes++
    if (disk.fails) throw new Error('EIO')
    file.set(bytes, position)
  }
  const made = new InflightJournal({ judgement: { ...noPoisonVerdict, suspects }, write, logger: silentLogger })
  const resumed: string[] = []
  made.onResume(request => resumed.push(Buffer.from(request).toString()))
  /** What the supervisor would find. */
  const noted = () => {
    const found: string[] = []
    for (let at = 0; at < file.length; at += slotBytes) {
      const unique = file.readBigUInt64LE(at)
      const bytes = Math.min(file.readUInt32LE(at + 8), slotBytes - slotHeadBytes)
      const end = at + slotBytes
      const [head, rest] = [file.subarray(at + slotHeadBytes, at + slotHeadBytes + bytes), at + slotHeadBytes + bytes]
      if (unique !== 0n)
        found.push(`${unique} ${head}${file.subarray(rest, end).some(byte => byte !== 0) ? ' and more' : ''}`)
    }
    return found
  }
  return { made, disk, resumed, noted, begin: (unique: bigint, text = 'x') => made.begin(unique, Buffer.from(text)) }
}

t.test('a request is noted while it is worked on, and a note has nothing of the one before', async t => {
  const { made, noted, begin } = journal()
  begin(2n, 'a long one')
  t.same(noted(), ['2 a long one'])
  made.end(2n)
  t.same(noted(), [])
  begin(4n, 'short')
  t.same(noted(), ['4 short'])
})

t.test('notes come back with the answers: there is always room for the next', async t => {
  const { made, noted, begin } = journal()
  for (let unique = 1n; unique <= BigInt(workNotesMax) + 1n; unique++) begin(unique)
  t.equal(noted().length, workNotesMax, 'the one over it has none')
  for (let unique = 1n; unique <= BigInt(workNotesMax) + 1n; unique++) made.end(unique)
  t.equal(noted().length, 0)
  for (let unique = 1n; unique <= BigInt(workNotesMax); unique++) begin(unique)
  t.equal(noted().length, workNotesMax)
})

t.test('suspects are worked on one after the other, and one that was answered is none any more', async t => {
  const { made, resumed, begin } = journal(['2', '4', '6'])
  t.equal(begin(2n), 'go')
  const request = Buffer.from('four')
  t.equal(made.begin(4n, request), 'later')
  request.fill('?') // It was a view of its batch.
  t.equal(begin((1n << 63n) | 6n, 'six'), 'later')
  t.equal(begin(8n), 'go', 'no suspect waits for none')
  made.end(2n)
  await nextIteration()
  t.same(resumed, ['four'])
  t.equal(begin(4n), 'go')
  t.equal(begin(2n), 'go', 'it has proven that it kills nobody')
  made.end(4n)
  await nextIteration()
  t.same(resumed, ['four', 'six'])
})

t.test('a file that cannot be written ends the notes, and nothing else', async t => {
  const { made, disk, noted, begin } = journal()
  disk.fails = true
  t.equal(begin(2n), 'go')
  made.end(2n)
  disk.fails = false
  t.equal(begin(4n), 'go')
  t.same([noted(), disk.writes], [[], 1])
})
