/** The boundary to the addon: what is shelved, and what lands past the page cache. */
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t from 'tap'
import { loadAddon } from '../../src/native/addon.ts'
import { allocateShared } from '../../src/native/shared-memory.ts'
import { writeBlocks } from '../fixtures/write-blocks.ts'

const run = promisify(execFile)
const addon = loadAddon()
const blockBytes = 4096
const objectBytes = 64 * blockBytes

t.test('what is shelved touches nothing else that is, and goes when it is told to, or the file is closed', async t => {
  const engine = addon.createEngine({ storeThreads: 4 })
  const file = await engine.openFile(join(t.testdir(), 'data'), 3 * objectBytes, blockBytes)
  t.teardown(async () => {
    file.close()
    await engine.close()
  })
  const bytes = Buffer.alloc(objectBytes, 1)
  t.equal(file.insertBuffered(0, bytes, objectBytes, 0n), true)
  t.equal(file.insertBuffered(objectBytes - 1, bytes, objectBytes, 0n), false)
  t.equal(file.insertBuffered(objectBytes, bytes, blockBytes, 1n), true)
  t.equal(file.insertBuffered(0, bytes, objectBytes, 0n), false)
  file.releaseBuffered(0)
  file.releaseBuffered(1)
  t.equal(file.insertBuffered(0, bytes, objectBytes, 0n), false, 'it is still watched')
  file.removeBuffered(0)
  file.removeBuffered(0)
  t.equal(file.insertBuffered(0, bytes, objectBytes, 0n), true)
  file.removeBuffered()
  t.equal(file.insertBuffered(0, Buffer.alloc(2 * objectBytes), objectBytes, 0n), true)
  t.equal(file.insertBuffered(2 * objectBytes, Buffer.alloc(0), objectBytes, 0n), false)
  t.throws(() => file.insertBuffered(2 * objectBytes, bytes, -1, 0n), RangeError)
  t.throws(() => file.insertBuffered(2 * objectBytes, bytes, 1, 1 as unknown as bigint), TypeError)
  const other = await engine.openFile(join(t.testdirName, 'other'), objectBytes, blockBytes)
  other.insertBuffered(0, bytes, objectBytes, 0n)
  other.close()
  t.equal(other.insertBuffered(0, bytes, objectBytes, 0n), false)
  other.releaseBuffered(0)
  other.removeBuffered(0)
  other.removeBuffered()
})

t.test('what lands on the disk is not in the page cache', async t => {
  const large = 64 * 1024
  const engine = addon.createEngine({ storeThreads: 4 })
  const path = join(t.testdir(), 'data')
  const file = await engine.openFile(path, 80 * large + 100, large)
  t.teardown(async () => {
    file.close()
    await engine.close()
  })
  const bytes = allocateShared(addon, 64 * large)
  t.equal(addon.bytesToPage(bytes), 0)
  t.equal(addon.bytesToPage(bytes.subarray(1)), 4095)
  for (let k = 0; k < bytes.length; k += 4096) bytes[k] = k / 4096 + 1
  bytes.fill(0, 3 * large, 4 * large)
  const { sums, zero } = await writeBlocks(file, 0, bytes, true)
  t.equal(zero, 8n)
  t.same(
    sums,
    Uint32Array.from({ length: 64 }, (_, k) => addon.crc32c(bytes.subarray(k * large, (k + 1) * large))),
  )
  const residentBytes = async () => Number((await run('fincore', ['-b', '-n', '-o', 'RES', path])).stdout)
  if ((await residentBytes()) > 0) t.pass('pages', { skip: 'this file system keeps its pages' })
  else {
    // At the end, what is no whole page goes through it.
    await writeBlocks(file, 64 * large, bytes.subarray(0, 16 * large + 100), true)
    t.ok((await residentBytes()) <= 4096)
    await writeBlocks(file, 0, bytes.subarray(0, large), false)
    t.ok((await residentBytes()) >= large)
    await writeBlocks(file, 0, bytes.subarray(0, large), true)
    t.ok((await residentBytes()) <= 4096, 'what was there has gone')
  }
  new BigUint64Array(file.table).fill(2n ** 64n - 1n)
  const target = Buffer.alloc(64 * large)
  t.equal(await file.read(0, target), true)
  t.ok(target.equals(bytes))
})
