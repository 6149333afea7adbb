/** Names and versions of NBD exports. */
import t from 'tap'
import {
  exportOfImageName,
  imageNameOfExport,
  imageNameOfOne,
  nbdValidatorOf,
} from '../../../src/origin/nbd/nbd-names.ts'

t.test('an export is an image of its name, where a file can have it', async t => {
  for (const name of ['a', 'with space', 'ü', 'Default']) {
    t.equal(imageNameOfExport(name), name)
    t.equal(exportOfImageName(name), name)
  }
  t.equal(imageNameOfExport(''), 'default')
  t.equal(exportOfImageName('default'), '')
  for (const name of ['.', '..', 'a/b', 'x'.repeat(256)]) {
    t.equal(imageNameOfExport(name), null)
    t.equal(exportOfImageName(name), null)
  }
})

t.test('the one export of a URL has the last part of its name', async t => {
  t.same(['a', 'a/b', '/disk', 'a/', '..'].map(imageNameOfOne), ['a', 'b', 'disk', 'default', 'default'])
})

t.test('a version changes with name, size and digest', async t => {
  const digest = { algorithm: 'sha-256', hex: '00' } as const
  const all = [
    nbdValidatorOf('a', 1, null),
    nbdValidatorOf('b', 1, null),
    nbdValidatorOf('a', 2, null),
    nbdValidatorOf('a', 1, digest),
    nbdValidatorOf('a', 1, { ...digest, hex: '01' }),
    nbdValidatorOf('a', 1, { ...digest, algorithm: 'sha-512' }),
  ]
  t.equal(new Set(all).size, all.length)
  t.equal(nbdValidatorOf('a', 1, { ...digest }), all[3])
})
