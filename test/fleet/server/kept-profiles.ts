/** Boot profiles that other hosts leave here: merged with those of the same version, bounded. */
import t from 'tap'
import { type ByteRange, formatProfileFile, parseProfileFile } from '../../../src/cache/prefetch/profile-file.ts'
import { KeptProfiles } from '../../../src/fleet/server/kept-profiles.ts'

const textOf = (ranges: readonly ByteRange[], sizeBytes = 1_000, validator = 'v') =>
  formatProfileFile({ sizeBytes, validator, ranges })

t.test('what one host has learned is merged into what the last one left', t => {
  const kept = new KeptProfiles()
  const rangesOf = () => parseProfileFile(kept.get('h')!).ranges
  t.equal(kept.get('h'), null)
  t.ok(kept.merge('h', textOf([[100, 100]])))
  t.ok(kept.merge('h', textOf([[150, 100]])))
  t.same(rangesOf(), [
    [150, 100],
    [100, 50],
  ])
  t.notOk(kept.merge('h', 'nonsense'))
  t.equal(rangesOf().length, 2)
  t.ok(kept.merge('h', textOf([[0, 5]], 2_000)))
  t.same(rangesOf(), [[0, 5]], 'an image of another size is another one')
  t.ok(kept.merge('h', textOf([[5, 5]], 2_000, 'w')))
  t.same(rangesOf(), [[5, 5]], 'another version, too')
  t.end()
})

t.test('one profile more than there may be takes the place of the oldest', t => {
  const kept = new KeptProfiles(3_000, 3)
  for (const hash of ['a', 'b', 'c']) kept.merge(hash, textOf([[0, 1]]))
  kept.get('a')
  kept.merge('d', textOf([[0, 1]]))
  t.same(
    ['a', 'b', 'c', 'd'].map(hash => kept.get(hash) !== null),
    [true, false, true, true],
  )
  t.end()
})
