import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { makeDirectories } from '../../src/base/make-directories.ts'

t.test('all that is missing is made, and what is there stays', async t => {
  const path = join(t.testdir({ a: {} }), 'a', 'b', 'c')
  makeDirectories(path, 0o700)
  makeDirectories(path, 0o700)
  t.equal(statSync(path).mode & 0o777, 0o700)
  makeDirectories('/')
})

t.test('a file system that takes no directories is an error, not an endless attempt', async t => {
  t.throws(() => makeDirectories('/proc/parentfs/a/b'), { code: 'ENOENT' })
  const file = join(t.testdir(), 'file')
  writeFileSync(file, '')
  t.throws(() => makeDirectories(join(file, 'a')), { code: 'ENOTDIR' })
})
