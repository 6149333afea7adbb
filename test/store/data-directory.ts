import { readdirSync } from 'node:fs'
import t from 'tap'
import { loadAddon } from '../../src/native/addon.ts'
import { openCacheDirectory } from '../../src/store/cache-directory.ts'
import { RealDataDirectory } from '../../src/store/data-directory.ts'

t.test('a probe of a disk that works succeeds and leaves nothing', async t => {
  const addon = loadAddon()
  const directory = openCacheDirectory(t.testdir(), 4096, addon)
  const engine = addon.createEngine({ storeThreads: 1 })
  await new RealDataDirectory(directory, engine).probe()
  t.same(readdirSync(directory.path).sort(), ['VERSION', 'images'])
  await engine.close()
  directory.unlock()
})
