import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import t from 'tap'
import { messageOf } from '../../../src/base/errors.ts'
import { type Engine, loadAddon } from '../../../src/native/addon.ts'
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

/** A data file that notes what is done with it, on a disk that fails as it is told. */
function probed(fails: { readonly write?: Error; readonly lost?: boolean }) {
  const steps: string[] = []
  let sent = Buffer.alloc(0)
  const file = {
    writeBlocks: async (_offsets: number[], [bytes]: Buffer[]) => {
      steps.push('write')
      sent = Buffer.from(bytes!)
      return { error: fails.write ?? null, sums: Uint32Array.of(crc32(sent)) }
    },
    sync: async () => void steps.push('sync'),
    verify: async (object: number, blocks: bigint, sums: Uint32Array, fromDisk: boolean) => {
      steps.push(fromDisk ? 'read from the disk' : 'read')
      const isRight = !fails.lost && object === 0 && blocks === 1n && sums[0] === crc32(sent) && sent.length === 4096
      return { good: isRight ? 1n : 0n, unread: 0n }
    },
    close: () => void steps.push('close'),
  }
  const engine = {
    openFile: async (path: string) => {
      writeFileSync(path, '')
      return file
    },
  } as unknown as Engine
  return { steps, engine }
}

t.test('a probe is a write, a sync and a read from the disk, and says what fails of them', async t => {
  const directory = openCacheDirectory(t.testdir(), 4096, loadAddon())
  const probe = async (fails: Parameters<typeof probed>[0]) => {
    const { steps, engine } = probed(fails)
    const outcome = await new RealDataDirectory(directory, engine).probe().then(
      () => 'works',
      error => messageOf(error),
    )
    t.notOk(existsSync(join(directory.top.path, 'PROBE')), 'and leaves nothing')
    return [...steps, outcome]
  }
  const whole = ['write', 'sync', 'read from the disk', 'close']
  t.same(await probe({}), [...whole, 'works'])
  t.same(await probe({ write: new Error('EIO') }), ['write', 'close', 'EIO'])
  t.match(await probe({ lost: true }), [...whole, /does not come back/])
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
