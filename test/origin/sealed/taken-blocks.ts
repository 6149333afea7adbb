/** Blocks that were taken from an older version: found as a whole alone, and so many of them. */
import t from 'tap'
import { takenBlocksMax } from '../../../src/origin/sealed/limits.ts'
import { TakenBlocks } from '../../../src/origin/sealed/taken-blocks.ts'

t.test('a range has a place in the older version when it was taken as a whole', async t => {
  const taken = new TakenBlocks('older', 4096)
  taken.note(65_536, 65_536, 8192)
  t.equal(taken.sourceOf(65_536, 65_536), 8192)
  t.equal(taken.sourceOf(65_536 + 4096, 5000), 8192 + 4096)
  t.equal(taken.sourceOf(65_536, 65_537), null, 'one byte more')
  t.equal(taken.sourceOf(61_440, 8192), null)
  taken.note(65_536 + 8192, 4096, 0)
  t.equal(taken.sourceOf(65_536, 65_536), null, 'it lies in pieces')
})

t.test('the oldest of too many are forgotten', async t => {
  const taken = new TakenBlocks('older', 4096)
  taken.note(0, takenBlocksMax * 4096, 0)
  t.equal(taken.sourceOf(0, takenBlocksMax * 4096), 0)
  taken.note(takenBlocksMax * 4096, 4096, 0)
  t.equal(taken.sourceOf(0, 4096), null)
  t.equal(taken.sourceOf(4096, 4096), 4096)
})
