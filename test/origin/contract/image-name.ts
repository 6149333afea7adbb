/**
 * Names that can be files.
 */
import t from 'tap'
import { nameBytesMax } from '../../../src/base/limits.ts'
import { isImageName } from '../../../src/origin/contract/image-name.ts'

t.test('a name that a directory can hold is a name', async t => {
  const names = ['a', 'a.img', '...', '.hidden', ' ', 'a\nb', 'a\\b', '%2e%2e', 'ü', '😀', 'x'.repeat(nameBytesMax)]
  for (const name of names) t.ok(isImageName(name), JSON.stringify(name))
})

t.test('a name that a directory cannot hold is none', async t => {
  const names = [
    '',
    '.',
    '..',
    '/',
    'a/b',
    '../a',
    'a\0',
    '\ud800',
    'a\udc00',
    'x'.repeat(nameBytesMax + 1),
    'ü'.repeat(128),
  ]
  for (const name of names) t.notOk(isImageName(name), JSON.stringify(name))
})
