/**
 * Names that can be files.
 */
import t from 'tap'
import { nameBytesMax } from '../../../src/base/limits.ts'
import { isImageKey, isImageName } from '../../../src/origin/contract/image-name.ts'

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

t.test('keys are image names with slashes between them', async t => {
  for (const key of ['a', 'a/b.img', 'a b/é+(1).raw', `${'a/'.repeat(511)}b`]) t.ok(isImageKey(key), key.slice(0, 20))
  for (const key of ['', '/a', 'a/', 'a//b', 'a/../b', './a', `a/${'b'.repeat(256)}`, `${'a/'.repeat(512)}b`, 'a/\0'])
    t.notOk(isImageKey(key), key.slice(0, 20))
})
