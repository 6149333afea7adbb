import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { HeldDirectory, removeDepthMax } from '../../src/base/held-directory.ts'
import { cannotMount } from '../fixtures/daemon.ts'
import { makeLoopDisk } from '../fixtures/loop-disk.ts'

t.test('what is done below a directory is done there, whatever takes its place', async t => {
  const top = t.testdir({
    ours: { inner: { file: '' }, file: 'ours' },
    theirs: { inner: { file: '' }, file: 'theirs' },
  })
  const held = HeldDirectory.open(join(top, 'ours'))
  const inner = held.below('inner')
  renameSync(join(top, 'ours'), join(top, 'away'))
  symlinkSync('theirs', join(top, 'ours'))
  t.equal(readFileSync(held.at('file'), 'utf8'), 'ours')
  t.equal(inner.path, join(top, 'ours', 'inner'), 'messages have its name')
  inner.remove('file')
  held.remove('inner')
  held.made('new').close()
  held.sync()
  t.same(held.names().sort(), ['file', 'new'])
  t.same(readdirSync(join(top, 'away')).sort(), ['file', 'new'])
  t.same(readdirSync(join(top, 'theirs', 'inner')), ['file'])
  for (const directory of [inner, held, held]) directory.close()
  t.throws(() => held.at('file'), /no longer held/, 'a number that may mean another directory by now')
})

t.test('no link is followed, neither to hold what it leads to nor to remove it', async t => {
  const top = t.testdir({ ours: {}, theirs: { file: 'theirs' } })
  symlinkSync(join(top, 'theirs'), join(top, 'ours', 'link'))
  const held = HeldDirectory.open(join(top, 'ours'))
  t.teardown(() => held.close())
  t.throws(() => held.below('link'), { code: 'ENOTDIR' })
  t.throws(() => held.made('link'), { code: 'ENOTDIR' })
  t.throws(() => HeldDirectory.open(join(top, 'ours', 'link')), { code: 'ENOTDIR' })
  mkdirSync(join(top, 'ours', 'tree'))
  symlinkSync(join(top, 'theirs'), join(top, 'ours', 'tree', 'link'))
  for (const name of ['link', 'tree', 'nothing']) held.remove(name)
  t.same(held.names(), [])
  t.equal(readFileSync(join(top, 'theirs', 'file'), 'utf8'), 'theirs')
  for (const name of ['', '.', '..', 'a/b', '/etc']) t.throws(() => held.at(name), /is not a name/)
})

t.test('directories in each other are removed down to a depth', async t => {
  const top = t.testdir()
  const held = HeldDirectory.open(top)
  t.teardown(() => held.close())
  const deep = (depth: number) => join(top, ...Array.from({ length: depth }, () => 'd'))
  mkdirSync(deep(removeDepthMax), { recursive: true })
  held.remove('d')
  t.same(held.names(), [])
  mkdirSync(deep(removeDepthMax + 1), { recursive: true })
  t.throws(() => held.remove('d'), /deeper than 64/)
})

t.test('nothing on another file system is removed', { skip: cannotMount }, async t => {
  const { mountpoint } = await makeLoopDisk(t, 'ext4', 4 * 1024 ** 2)
  writeFileSync(join(mountpoint, 'file'), 'theirs')
  const held = HeldDirectory.open(join(mountpoint, '..'))
  t.teardown(() => held.close())
  t.throws(() => held.remove('mnt'), /is another file system/)
  t.ok(existsSync(join(mountpoint, 'file')))
})
