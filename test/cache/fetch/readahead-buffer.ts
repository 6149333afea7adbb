import t from 'tap'
import { type BlockRun, Geometry } from '../../../src/base/image.ts'
import { BufferPool } from '../../../src/cache/fetch/buffer-pool.ts'
import {
  prefetchBytesMax,
  readaheadBufferBytesMax,
  readaheadBufferMsMax,
  readaheadReadBytesMax,
} from '../../../src/cache/fetch/limits.ts'
import { ReadaheadBuffer } from '../../../src/cache/fetch/readahead-buffer.ts'
import type { StoredImage } from '../../../src/store/image/stored-image.ts'

const KiB = 1024
const MiB = 1024 * KiB
const blockBytes = 64 * KiB

/**
 * A read-ahead buffer, an image with ranges in it, and the reports to native threads and to callers that expect ranges.
 */
function world({ isScarce = false, isSound = true } = {}) {
  const log: string[] = []
  const state = { nowMs: 0, isScarce, isSound }
  const memory = new BufferPool()
  const readahead = new ReadaheadBuffer({
    memory: {
      get isScarce() {
        return state.isScarce
      },
    },
    now: () => state.nowMs,
    isSound: () => state.isSound,
  })
  const file = {
    insertBuffered: (offset: number, bytes: Uint8Array, unitBytes: number, told: bigint) => {
      log.push(`shelve ${offset / KiB} ${bytes.length / KiB} by ${unitBytes / KiB} told ${told}`)
      return true
    },
    releaseBuffered: (offset: number) => void log.push(`letGo ${offset / KiB}`),
    removeBuffered: (offset: number) => void log.push(`unshelve ${offset / KiB}`),
  }
  const stored = { geometry: new Geometry(1024 * MiB, blockBytes), file } as unknown as StoredImage
  const name = ({ first, count }: BlockRun) => `${first}+${count}`
  const expect = (object: number, run: BlockRun, unitBlocks = run.count) => {
    const lease = memory.lend(run.count * blockBytes)
    const expectation = {
      unitBlocks,
      onRead: (unit: BlockRun) => void log.push(`read ${name(unit)}`),
      onUnread: (unit: BlockRun) => void log.push(`unread ${name(unit)}`),
    }
    const expected = readahead.expect({ stored, object, run, expectation })
    const put = () => {
      expected.insert(lease)
      lease.release() // The inflight has ended.
    }
    const whenGone = () => expected.whenGone(() => void log.push('gone'))
    return { put, drop: () => expected.remove(), whenGone, lease }
  }
  const said = () => log.splice(0)
  return { readahead, stored, state, expect, said }
}

t.test('a piece is told of once, and leaves when it was read to its end and as much was after it', async t => {
  const { readahead, stored, expect, said } = world()
  const pieces = [0, 1, 2, 3].map(object => expect(object, { first: 0, count: 64 }))
  for (const { put } of pieces) put()
  t.same(said()[0], 'shelve 0 4096 by 4096 told 0')
  t.equal(readahead.usedBytes, 16 * MiB)
  readahead.touched(stored, 10, 100)
  readahead.touched(stored, 200, 100)
  t.same(said(), ['read 0+64'])
  readahead.touched(stored, 4 * MiB - 1, 2)
  t.same(said(), ['read 0+64'], 'the first is read to its end; the second has begun')
  readahead.touched(stored, 8 * MiB - 1, 1)
  t.equal(readahead.usedBytes, 16 * MiB)
  readahead.touched(stored, 12 * MiB - 1, 1)
  t.same(said(), ['read 0+64', 'unshelve 0'])
  t.equal(readahead.usedBytes, 16 * MiB - 4 * MiB)
  t.ok(readahead.usedBytes - 4 * MiB <= readaheadReadBytesMax)
  t.throws(() => pieces[0]!.lease.release(), /after its end/, 'nobody has it any more')
  readahead.close()
  t.same(said(), ['unshelve 4096', 'unshelve 8192', 'unshelve 12288', 'unread 0+64'])
  t.equal(readahead.usedBytes, 0)
})

t.test('blocks that are looked after one by one are told of one by one, also those read before they came', async t => {
  const { readahead, stored, expect, said } = world()
  const { put } = expect(2, { first: 4, count: 4 }, 1)
  readahead.touched(stored, 8 * MiB + 5 * blockBytes + 7, blockBytes)
  t.same(said(), ['read 5+1', 'read 6+1'])
  put()
  t.same(said(), [`shelve ${8 * KiB + 4 * 64} 256 by 64 told 6`])
  readahead.touched(stored, 8 * MiB, 5 * blockBytes)
  t.same(said(), ['read 4+1'])
  readahead.close()
  t.same(said(), [`unshelve ${8 * KiB + 4 * 64}`, 'unread 7+1'])
})

t.test('what never comes is unread, what comes too late is not kept', async t => {
  const { readahead, expect, said } = world()
  expect(0, { first: 0, count: 1 }).drop()
  t.same(said(), ['unread 0+1'])
  const late = expect(1, { first: 0, count: 1 })
  readahead.close()
  late.put()
  t.same(said(), ['unread 0+1'])
  t.throws(() => late.lease.release(), /after its end/)
})

t.test(
  'when there is too much, bytes are let go: first those that were read, then the oldest; and reads are told all the same',
  async t => {
    const { readahead, stored, expect, said } = world()
    const fit = readaheadBufferBytesMax / (4 * MiB)
    for (let object = 0; object < fit; object++) expect(object, { first: 0, count: 64 }).put()
    readahead.touched(stored, 8 * MiB - 1, 1)
    said()
    expect(fit, { first: 0, count: 64 }).put()
    t.same(said().slice(1), [`letGo ${4 * KiB}`])
    expect(fit + 1, { first: 0, count: 64 }).put()
    t.same(said().slice(1), ['letGo 0'])
    t.equal(readahead.usedBytes, readaheadBufferBytesMax)
    readahead.touched(stored, 0, 1)
    t.same(said(), ['read 0+64'])
    readahead.close()
  },
)

t.test('where much is on its way, less is kept', async t => {
  const { readahead, expect, said } = world()
  const put = [0, 1, 2].map(object => expect(object, { first: 0, count: 64 }))
  const coming = Array.from({ length: prefetchBytesMax / (4 * MiB) }, (_, k) => expect(3 + k, { first: 0, count: 64 }))
  for (const piece of put) piece.put()
  t.equal(readahead.usedBytes, readaheadReadBytesMax)
  t.ok(said().includes('letGo 0'))
  for (const piece of coming) piece.drop()
  for (const object of [20, 21, 22]) expect(object, { first: 0, count: 64 }).put()
  t.equal(readahead.usedBytes, readaheadReadBytesMax + 12 * MiB)
  readahead.close()
})

t.test('when memory is scarce, what was read is not kept', async t => {
  const { readahead, stored, state, expect, said } = world()
  expect(0, { first: 0, count: 64 }).put()
  expect(1, { first: 0, count: 64 }).put()
  readahead.touched(stored, 8 * MiB - 1, 1)
  state.isScarce = true
  said()
  expect(2, { first: 0, count: 64 }).put()
  t.same(said().slice(1), [`letGo ${4 * KiB}`])
  t.equal(readahead.usedBytes, 8 * MiB)
  readahead.close()
})

t.test('there is room for a window of what nobody has read yet', async t => {
  const { readahead, stored, expect } = world()
  const windowBytes = readaheadBufferBytesMax - readaheadReadBytesMax
  t.ok(readahead.hasRoom(windowBytes) && !readahead.hasRoom(windowBytes + 1))
  expect(0, { first: 0, count: 64 }).put()
  t.ok(readahead.hasRoom(windowBytes - 4 * MiB) && !readahead.hasRoom(windowBytes - 4 * MiB + 1))
  readahead.touched(stored, 4 * MiB - 1, 1)
  t.ok(readahead.hasRoom(windowBytes))
  readahead.close()
})

t.test('what nobody reads for long is unread, and forgotten', async t => {
  const { readahead, stored, state, expect, said } = world()
  expect(0, { first: 0, count: 2 }).put()
  state.nowMs = readaheadBufferMsMax - 1
  expect(0, { first: 2, count: 2 }).put()
  readahead.sweep()
  said()
  state.nowMs = readaheadBufferMsMax
  readahead.sweep()
  t.same(said(), ['unshelve 0', 'unread 0+2'])
  readahead.touched(stored, 0, 1)
  t.same(said(), [])
  readahead.close()
})

t.test('what is fetched again takes the place of what was there before', async t => {
  const { readahead, expect, said } = world()
  expect(0, { first: 0, count: 4 }).put()
  said()
  const again = expect(0, { first: 2, count: 4 })
  t.same(said(), ['unshelve 0', 'unread 0+4'])
  again.put()
  t.same(said(), ['shelve 128 256 by 256 told 0'])
  readahead.close()
})

t.test('bytes of an image that is not sound are not served', async t => {
  const { readahead, state, expect, said } = world()
  const { put } = expect(0, { first: 0, count: 4 })
  state.isSound = false
  put()
  t.same(said(), ['unread 0+4'])
  t.equal(readahead.usedBytes, 0)
})

t.test('who asks hears when the bytes of a piece are gone, once', async t => {
  const { readahead, stored, expect, said } = world()
  const never = expect(0, { first: 0, count: 8 })
  never.drop()
  never.whenGone()
  t.same(said(), ['unread 0+8', 'gone'], 'at once where it never came')
  const first = expect(1, { first: 0, count: 64 })
  first.put()
  first.whenGone()
  said()
  for (let object = 2; object < 5; object++) {
    expect(object, { first: 0, count: 64 }).put()
    readahead.touched(stored, (object - 1) * 4 * MiB, 4 * MiB)
  }
  t.equal(said().filter(line => line === 'gone').length, 1, 'what was read made room')
  first.whenGone()
  t.same(said(), ['gone'])
  readahead.close()
})
