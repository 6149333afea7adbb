import { rmSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { isStrayRejection, reasonOf } from '../../../src/index/guard/stray-rejection.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'
import { makeLoopDisk } from '../../fixtures/loop-disk.ts'
import { attempt } from '../../fixtures/run.ts'

const skip = process.getuid?.() === 0 ? false : 'loop devices need root'

t.test('a full file system fails writes with its own reason; later ones succeed', { skip }, async t => {
  const disk = await makeLoopDisk(t, 'ext4', 24 * 1024 ** 2)
  const strays: unknown[] = []
  const onStray = (error: unknown) => strays.push(error)
  process.on('unhandledRejection', onStray)
  t.teardown(() => process.off('unhandledRejection', onStray))
  const index = new IndexDatabase(join(disk.mountpoint, 'index'))
  const names = Array.from({ length: 3000 }, (_, k) => `image-${k}.raw`)
  const put = (origin: string) => index.putListing(origin, names)
  await put('a')
  const filler = join(disk.mountpoint, 'filler')
  for (const size of ['1M', '4k']) await attempt('dd', 'if=/dev/zero', `of=${filler}-${size}`, `bs=${size}`)
  await t.rejects(put('b'), { code: 'index-failed', message: /No space left/ })
  t.equal((await index.listing('a'))?.length, 3000, 'reads go on')
  for (const size of ['1M', '4k']) rmSync(`${filler}-${size}`, { force: true })
  await put('c')
  t.equal((await index.listing('c'))?.length, 3000)
  await index.close()
  t.same(
    strays.filter(error => !isStrayRejection(error)),
    [],
    `${strays.length} strays, and we know them`,
  )
})

t.test('other errors are no strays, and are their own reason', async t => {
  const error = Object.assign(new Error('no'), { code: 28 })
  for (const other of [error, new Error('x'), 'lmdb', null, undefined]) {
    t.equal(isStrayRejection(other), false)
    t.equal(await reasonOf(other), other)
  }
})
