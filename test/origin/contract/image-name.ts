/**
 * Names that can be files.
 */
import * as fc from 'fast-check'
import t from 'tap'
import { nameBytesMax } from '../../../src/base/limits.ts'
import { isImageKey, isImageName, keyOfPath, pathOfKey } from '../../../src/origin/contract/image-name.ts'

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

t.test('a key that no file could be called has an encoded path, and every path its key', async t => {
  const pairs = [
    ['a/b (1)+é%41.img', 'a/b (1)+é%41.img'],
    ['a//b', 'a/%2Fb'],
    ['/a', '%2Fa'],
    ['a///b', 'a/%2F%2Fb'],
    ['./a/../b', '%2E/a/%2E%2E/b'],
    ['a\0b', 'a%00b'],
    ['100%2F', '100%252F'],
    ['%25', '%2525'],
    ['a//.', 'a/%2F.'],
  ] as const
  for (const [key, path] of pairs) {
    t.equal(pathOfKey(key), path, key)
    t.equal(keyOfPath(path), key, path)
  }
  for (const key of ['', '/', 'a/', 'a//', `${'a'.repeat(256)}/b`, 'a\ud800']) t.equal(pathOfKey(key), null)
  const keys = fc.array(fc.constantFrom('/', '.', '%', '2', 'F', 'E', '5', '0', '\0', 'a'), { maxLength: 12 })
  const round = fc.property(keys, characters => {
    const key = characters.join('')
    const path = pathOfKey(key)
    return path === null ? key === '' || key.endsWith('/') : isImageKey(path) && keyOfPath(path) === key
  })
  fc.assert(round, { numRuns: 5_000 })
  t.pass('and so have 5,000 more')
})
