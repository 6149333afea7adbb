import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { loadAddon } from '../../../src/native/addon.ts'
import { openCacheDirectory } from '../../../src/store/disk/cache-directory.ts'
import { RealDataDirectory } from '../../../src/store/disk/data-directory.ts'

t.test('a probe of a disk that works succeeds and leaves nothing', async t => {
  const addon = loadAddon()
  const directory = openCacheDirectory(t.testdir(), 4096, addon)
  const engine = addon.createEngine({ storeThreads: 1 })
  await new RealDataDirectory(directory, engine).probe()
  t.same(readdirSync(directory.top.path).sort(), ['VERSION', 'images', 'index', 'trees'])
  await engine.close()
  directory.unlock()
})

t.test('the lock and the descriptors are given up together', async t => {
  const addon = loadAddon()
  const open = () => readdirSync('/proc/self/fd').length
  const before = open()
  const directory = openCacheDirectory(t.testdir(), 4096, addon)
  t.equal(open() - before, 5, 'the lock, and four directories')
  directory.unlock()
  t.equal(open(), before)
})

t.test('what others left in a cache directory counts, and what a probe left is gone', async t => {
  const addon = loadAddon()
  const directory = openCacheDirectory(join(t.testdir(), 'cache'), 4096, addon)
  const engine = addon.createEngine({ storeThreads: 1 })
  t.teardown(async () => {
    await engine.close()
    directory.unlock()
  })
  const measured = () => new RealDataDirectory(directory, engine).measure([], 0).allocatedBytes
  const before = measured()
  mkdirSync(join(directory.top.path, 'somebody', 'else'), { recursive: true })
  writeFileSync(join(directory.top.path, 'somebody', 'else', 'notes'), Buffer.alloc(300_000, 1))
  writeFileSync(join(directory.top.path, 'PROBE'), Buffer.alloc(9000, 1))
  writeFileSync(join(directory.index.path, 'stray'), Buffer.alloc(100_000, 1))
  writeFileSync(join(directory.index.path, 'data.mdb'), Buffer.alloc(700_000, 1)) // The index counts its own.
  const more = measured() - before
  t.ok(more >= 400_000 && more < 500_000, `${more} bytes more`)
  t.equal(existsSync(join(directory.top.path, 'PROBE')), false)
})
