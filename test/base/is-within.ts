/** Paths in a directory. */
import t from 'tap'
import { isWithin } from '../../src/base/is-within.ts'

t.test('a directory contains itself and what is below, and no other name that begins alike', async t => {
  for (const [path, directory, expected] of [
    ['/a', '/a', true],
    ['/a/b', '/a', true],
    ['/ab', '/a', false],
    ['/', '/a', false],
    ['', '/a', false],
    ['/a', '/', true],
    ['/', '/', true],
  ] as const) {
    t.equal(isWithin(path, directory), expected, `${path} in ${directory}`)
  }
})
