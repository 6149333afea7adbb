import { linkSync, mkdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { HeldDirectory } from '../../../src/base/held-directory.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { RealTreeDirectory } from '../../../src/store/seals/tree-directory.ts'

const KiB = 1024
const treeBytes = 64 * KiB

function treesIn(t: Test) {
  const path = t.testdir({ outside: {}, trees: {} })
  const engine = loadAddon().createEngine({ storeThreads: 1 })
  const held = HeldDirectory.open(join(path, 'trees'))
  t.teardown(async () => {
    await engine.close()
    held.close()
  })
  const trees = new RealTreeDirectory(held, engine)
  const open = async (name: string, sizeBytes = treeBytes) => (await trees.open(name, sizeBytes)).close()
  return { trees, open, outside: join(path, 'outside'), at: (name: string) => join(path, 'trees', name) }
}

t.test('a tree is a sparse file of its length, and opening it again keeps what it has', async t => {
  const { trees, open, at } = treesIn(t)
  await open('1')
  t.equal(statSync(at('1')).size, treeBytes)
  t.equal(trees.allocatedBytes('1'), 0)
  writeFileSync(at('1'), Buffer.alloc(treeBytes, 'x'))
  await open('1')
  t.equal(readFileSync(at('1')).toString(), 'x'.repeat(treeBytes))
  t.equal(trees.allocatedBytes('1'), treeBytes)
  t.same(await trees.names(), ['1'])
})

t.test('what was cut short is made longer, and what is longer than the tree is replaced', async t => {
  const { open, at } = treesIn(t)
  writeFileSync(at('short'), 'x'.repeat(KiB))
  await open('short')
  t.equal(readFileSync(at('short')).toString(), 'x'.repeat(KiB) + '\0'.repeat(treeBytes - KiB))
  writeFileSync(at('long'), 'x'.repeat(treeBytes + 1))
  await open('long')
  t.equal(readFileSync(at('long')).toString(), '\0'.repeat(treeBytes))
})

t.test('what is no file of its own is replaced, and what it leads to stays as it is', async t => {
  const { open, at, outside } = treesIn(t)
  const other = join(outside, 'file')
  writeFileSync(other, 'of somebody else')
  linkSync(other, at('hard'))
  symlinkSync(other, at('soft'))
  symlinkSync(outside, at('elsewhere'))
  mkdirSync(join(at('directory'), 'inner'), { recursive: true })
  for (const name of ['hard', 'soft', 'elsewhere', 'directory']) {
    await open(name)
    const { size, nlink } = statSync(at(name))
    t.same({ size, nlink }, { size: treeBytes, nlink: 1 }, name)
  }
  t.equal(readFileSync(other).toString(), 'of somebody else')
})

t.test('a removed tree takes nothing, and one that is not there is no error', async t => {
  const { trees, open, at } = treesIn(t)
  await open('1')
  writeFileSync(at('1'), Buffer.alloc(treeBytes, 'x'))
  mkdirSync(join(at('2'), 'inner'), { recursive: true })
  for (const name of ['1', '2', '3']) await trees.remove(name)
  t.same(await trees.names(), [])
  t.equal(trees.allocatedBytes('1'), 0)
})
