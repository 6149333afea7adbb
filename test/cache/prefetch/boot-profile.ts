import t from 'tap'
import { profileRunsMax } from '../../../src/cache/fetch/limits.ts'
import { BootProfile } from '../../../src/cache/prefetch/boot-profile.ts'

const blockBytes = 65_536

t.test('a profile is kept in the order of first reads, and comes back as it was', async t => {
  const profile = BootProfile.of(blockBytes, [5, 6, 7, 100, 3, 4])
  t.same(profile.record, {
    blockBytes,
    openers: 1,
    runs: [
      [5, 3, 0],
      [100, 1, 0],
      [3, 2, 0],
    ],
  })
  t.same([...BootProfile.from(profile.record, blockBytes)!.blocks], [5, 6, 7, 100, 3, 4])
  t.equal(BootProfile.from(profile.record, 4096), null, 'of other blocks')
})

t.test('what is no profile is none', async t => {
  const wrong: unknown[] = [
    { blockBytes, openers: 1 },
    { blockBytes, openers: 1, runs: [[1, 2]] },
    { blockBytes, openers: 1, runs: [[-1, 2, 0]] },
    { blockBytes, openers: 1, runs: [[0, 2 ** 40, 0]] },
    { blockBytes, openers: 1, runs: [['1', 2, 0]] },
    { blockBytes, openers: 1.5, runs: [] },
  ]
  for (const record of wrong) t.equal(BootProfile.from(record as never, blockBytes), null, JSON.stringify(record))
})

t.test('openers are merged: the last one gives the order, and what three in a row did not read goes', async t => {
  const first = BootProfile.of(blockBytes, [1, 2, 3])
  const second = first.mergedWith(new Set([3, 9, 1]))
  t.same([...second.blocks], [3, 9, 1, 2])
  t.equal(second.openers, 2)
  const third = second.mergedWith(new Set([3, 9]))
  t.same([...third.blocks], [3, 9, 1, 2])
  const fourth = third.mergedWith(new Set([3, 1]))
  t.same([...fourth.blocks], [3, 1, 9], 'nobody but the first wanted 2')
})

t.test('what is fetched comes in large runs, within the image, each block once', async t => {
  const profile = BootProfile.of(blockBytes, [8, 2, 3, 1, 50, 9, 200, 51])
  const spans = [...profile.spans(100, 4)]
  t.same(spans, [
    { from: 1, to: 4 },
    { from: 8, to: 9 },
    { from: 9, to: 10 },
    { from: 50, to: 52 },
  ])
})

t.test('one run more than may be kept is not', async t => {
  const blocks = Array.from({ length: profileRunsMax + 1 }, (_, k) => 2 * k)
  t.equal(BootProfile.of(blockBytes, blocks).record.runs.length, profileRunsMax)
})
