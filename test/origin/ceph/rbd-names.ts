/**
 * Names of the files of an RBD pool, and the images that they stand for.
 */
import t from 'tap'
import type { CephImageDescription } from '../../../src/native/ceph-types.ts'
import { namesOf, parentOf, partsOfName, rbdValidatorOf, versionOf } from '../../../src/origin/ceph/rbd-names.ts'

/** An image with snapshots of these names, protected where there is an exclamation mark. */
function imageWith(...snapshots: readonly string[]): CephImageDescription {
  const made = snapshots.map((name, k) => ({
    id: BigInt(k + 1),
    name: name.replace('!', ''),
    sizeBytes: k + 100,
    isProtected: name.endsWith('!'),
    createdMs: k,
  }))
  return { id: 'abc', sizeBytes: 7, modifiedMs: 5, snapshots: made }
}

t.test('snapshots have names of their own, and one protected one has the name of its image', async t => {
  const names = (image: CephImageDescription, allowMutable = false) => namesOf('i', image, allowMutable)
  t.same(names(imageWith()), [])
  t.same(names(imageWith('a', 'b')), ['i@a', 'i@b'])
  t.same(names(imageWith('a', 'b!')), ['i@a', 'i@b', 'i'])
  t.same(names(imageWith('a!', 'b!')), ['i@a', 'i@b'])
  t.same(names(imageWith(), true), ['i'])
  t.same(names(imageWith('a!'), true), ['i@a', 'i'], 'the protected one, also where all may be shown')
  t.same(names(imageWith('a!', 'b!'), true), ['i@a', 'i@b', 'i'])
  t.same(names(imageWith('x/y', 'x'.repeat(255))), [], 'what could be no file is left out')
  t.equal(parentOf(imageWith('a!', 'b!')), null)
})

t.test('names and versions are taken apart as they were put together', async t => {
  t.same(partsOfName('i'), { image: 'i', snapshot: null })
  t.same(partsOfName('i@s'), { image: 'i', snapshot: 's' })
  t.same(partsOfName('i@s@t'), { image: 'i', snapshot: 's@t' })
  for (const version of [
    { imageId: 'abc', snapshot: 2n ** 60n },
    { imageId: 'abc', snapshot: 0n },
  ]) {
    t.same(versionOf(rbdValidatorOf(version, 17)), version)
  }
  t.not(rbdValidatorOf({ imageId: 'a', snapshot: 0n }, 1), rbdValidatorOf({ imageId: 'a', snapshot: 0n }, 2))
})
