import { statfsSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { WriteProbe } from '../../../src/index/guard/write-probe.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { cannotMount } from '../../fixtures/daemon.ts'
import { makeLoopDisk } from '../../fixtures/loop-disk.ts'
import { attempt, run } from '../../fixtures/run.ts'

t.test('checks run one after another, and who comes before the next begins shares it', async t => {
  const begun: (() => void)[] = []
  const check = new WriteProbe('path', 4096, async (path, bytes) => {
    t.same([path, bytes], ['path', 4096])
    await new Promise<void>(resolve => begun.push(resolve))
  })
  const settled: number[] = []
  const ask = (k: number) => check.run().then(() => settled.push(k))
  const asked = [ask(0)]
  await new Promise(resolve => setImmediate(resolve))
  asked.push(ask(1), ask(2))
  await new Promise(resolve => setImmediate(resolve))
  t.equal(begun.length, 1, 'the second has not begun')
  begun[0]!()
  await new Promise(resolve => setImmediate(resolve))
  t.equal(begun.length, 2)
  begun[1]!()
  await Promise.all(asked)
  t.same(settled, [0, 1, 2], 'in the order of the calls')
})

t.test('one that fails says so to all who asked, and to nobody after', async t => {
  let full = true
  const check = new WriteProbe('path', 1, async () => {
    if (full) throw new Error('full')
  })
  const asked = [check.run(), check.run()]
  for (const each of asked) await t.rejects(each, /full/)
  full = false
  await check.run()
})

t.test(
  'a full disk rejects writes before LMDB meets it, and room makes them succeed',
  { skip: cannotMount },
  async t => {
    const disk = await makeLoopDisk(t, 'ext4', 64 * 1024 ** 2)
    const engine = loadAddon().createEngine({ storeThreads: 2 })
    const directory = join(disk.mountpoint, 'index')
    const check = new WriteProbe(join(directory, 'data.mdb'), 1024 ** 2, (...file) => engine.reserveAfterEnd(...file))
    const index = new IndexDatabase(directory, { beforeWrite: () => check.run() })
    t.teardown(() => engine.close())
    await index.putName('file:///o', 'first', '00')
    const filler = join(disk.mountpoint, 'filler')
    await attempt('dd', 'if=/dev/zero', `of=${filler}`, 'bs=64k', 'status=none')
    await attempt('dd', 'if=/dev/zero', `of=${filler}.2`, 'bs=4k', 'status=none')
    t.equal(statfsSync(disk.mountpoint).bavail, 0)
    const put = (k: number) => index.putName('file:///o', `${k}`.padStart(200, 'x'), 'y'.repeat(4000))
    let written = 0
    const putUntilFull = async () => {
      for (; written < 2000; written++) await put(written)
    }
    await t.rejects(putUntilFull(), { code: 'index-failed', cause: { code: 'ENOSPC', syscall: 'fallocate' } })
    t.ok(written > 50, `${written} fitted into what was set aside`)
    await run('rm', filler)
    await put(written)
    t.equal(index.names('file:///o').length, written + 2)
    await index.close()
  },
)

t.test('what was written before the close is there after it, however long its check took', async t => {
  const directory = t.testdir()
  const check = new WriteProbe('path', 1, () => new Promise(resolve => setTimeout(resolve, 20)))
  const index = new IndexDatabase(directory, { beforeWrite: () => check.run() })
  const writes = ['a', 'b'].map(name => index.putName('file:///o', name, '00'))
  await index.close()
  await Promise.all(writes)
  const again = new IndexDatabase(directory)
  t.equal(again.names('file:///o').length, 2)
  await again.close()
})
