/** Parts of the index that are locked in memory need no disk; a disk error in another part would end the process. */
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { indexLockedBytesMax } from '../../../src/index/guard/limits.ts'
import { MemoryLock } from '../../../src/index/guard/memory-lock.ts'
import { IndexDatabase } from '../../../src/index/index-database.ts'
import { loadAddon } from '../../../src/native/addon.ts'
import { cannotMount } from '../../fixtures/daemon.ts'
import { keepingLogger } from '../../fixtures/keeping-logger.ts'
import { run } from '../../fixtures/run.ts'
import { makeSickDevice, noSickDevice } from '../../fixtures/sick-device.ts'

const MiB = 1024 ** 2
const imageId = '00112233445566778899aabbccddeeff'
const objects = 20_000

t.test('sums are read from a disk that gives nothing but EIO', { skip: cannotMount || noSickDevice }, async t => {
  const disk = await makeSickDevice(t, 64 * MiB)
  const directory = join(disk.mountpoint, 'index')
  const index = new IndexDatabase(directory)
  const sums = new Uint32Array(64).fill(7)
  const entries = Array.from({ length: objects }, (_, object) => ({
    imageId,
    object,
    blocks: () => 1n,
    zero: 0n,
    sums,
  }))
  await index.record(entries)
  await index.close()
  const reader = fileURLToPath(new URL('../../fixtures/sums-reader-main.js', import.meta.url))
  const { NODE_OPTIONS: _, ...env } = process.env
  const child = spawn(process.execPath, [reader, directory, imageId, String(objects)], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env,
  })
  let said = ''
  const isReady = new Promise<void>(resolve => {
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      said += text
      if (said.includes('ready')) resolve()
    })
  })
  const ended = new Promise(resolve => child.once('close', (code, signal) => resolve([code, signal])))
  await isReady
  await run('sync', '-f', disk.mountpoint)
  await run('dd', `if=${join(directory, 'data.mdb')}`, 'iflag=nocache', 'count=0', 'status=none')
  disk.fail('reads')
  child.stdin.end('go\n')
  t.same(await ended, [0, null], 'it lives')
  t.match(said, `${objects} right`)
})

t.test('what is over the limit stays unlocked, is counted, and said once', async t => {
  const asked: number[] = []
  const logger = keepingLogger()
  let sizeBytes = indexLockedBytesMax
  const keep = async (_path: string, bytesMax: number) => {
    asked.push(bytesMax)
    return { lockedBytes: Math.min(sizeBytes, bytesMax), sizeBytes }
  }
  const lock = new MemoryLock('directory', keep, logger)
  await lock.renew()
  t.equal(lock.unlockedBytes, 0)
  t.same(logger.lines, [])
  sizeBytes++
  await Promise.all([lock.renew(), lock.renew()])
  await lock.renew()
  t.equal(lock.unlockedBytes, 1)
  t.match(logger.lines, [{ level: 'warn', facts: { unlockedBytes: 1, why: `over ${indexLockedBytesMax} bytes` } }])
  t.same([...new Set(asked)], [indexLockedBytesMax])
})

t.test('a file that grows is locked as far as it may be', async t => {
  const directory = mkdtempSync(join(tmpdir(), 'parentfs-lock-'))
  const engine = loadAddon().createEngine({ storeThreads: 2 })
  t.teardown(async () => {
    await engine.close()
    rmSync(directory, { recursive: true })
  })
  const path = join(directory, 'file')
  await t.rejects(engine.keepInMemory(path, 3 * MiB), { code: 'ENOENT' })
  const grown = async (bytes: number) => {
    writeFileSync(path, Buffer.alloc(bytes))
    return engine.keepInMemory(path, 3 * MiB)
  }
  t.same(await grown(4096), { lockedBytes: 4096, sizeBytes: 4096 })
  t.same(await grown(2 * MiB + 4096), { lockedBytes: 2 * MiB + 4096, sizeBytes: 2 * MiB + 4096 })
  t.same(await grown(3 * MiB + 1), { lockedBytes: 3 * MiB, sizeBytes: 3 * MiB + 1 })
  await engine.reserveAfterEnd(path, MiB)
  const { size, blocks } = statSync(path)
  t.equal(size, 3 * MiB + 1, 'its size stays')
  t.ok(blocks * 512 >= 4 * MiB, 'and there is room behind it')
  await t.rejects(engine.reserveAfterEnd(join(directory, 'no'), 1), { code: 'ENOENT' })
})
