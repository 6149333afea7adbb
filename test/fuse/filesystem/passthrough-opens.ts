/** Opens that the kernel reads for: their counts, handles and backing files by node. */
import t from 'tap'
import type { Image } from '../../../src/base/image.ts'
import { identify } from '../../../src/base/image.ts'
import { passthroughRetryMs } from '../../../src/fuse/filesystem/limits.ts'
import { PassthroughOpens } from '../../../src/fuse/filesystem/passthrough-opens.ts'

const imageOf = (key: string) =>
  identify({ origin: 'memory://here', key, sizeBytes: 5, validator: 'v1', modifiedMs: 0 })
const [a, b] = [
  { image: imageOf('a'), nodeId: 101n },
  { image: imageOf('b'), nodeId: 102n },
]

function setUp({ readsDirect = false } = {}) {
  const state = { nowMs: 0, failure: null as Error | null }
  const [backings, ended] = [new Map<number, string>(), [] as string[]]
  let next = 1
  const kernel = {
    readsDirect,
    openBacking: (file: string) => {
      if (state.failure) throw state.failure
      backings.set(next, file)
      return next++
    },
    closeBacking: (id: number) => {
      if (!backings.delete(id)) throw new Error(`backing ${id} is not open`)
      if (state.failure) throw state.failure
    },
  }
  const onEnd = ({ key }: Image) => void ended.push(key)
  return { state, backings, ended, opens: new PassthroughOpens<string>(kernel, onEnd, () => state.nowMs) }
}

t.test('the kernel takes the file of the first open alone, and gives it back with the last', async t => {
  const { backings, ended, opens } = setUp()
  const first = opens.open(a, false, 'file a')
  const second = opens.open(a, false, 'another file')
  const other = opens.open(b, false, 'file b')
  t.same([...backings.values()], ['file a', 'file b'])
  t.same([second.backingId, second.handle], [first.backingId, first.handle])
  t.not(other.handle, first.handle)
  t.same([...opens.ids()], [a.image.id, b.image.id])
  t.same([opens.isOpen(101n), opens.isOpen(102n), opens.isOpen(103n)], [true, true, false])
  opens.release(first.handle)
  t.same([...backings.values()], ['file a', 'file b'], 'one open is left')
  opens.release(first.handle)
  t.same([...backings.values()], ['file b'])
  t.same(ended, ['a', 'a'], 'once for each open')
  t.equal(opens.isOpen(101n), false)
})

t.test('handles have bit 63, and none is given twice', async t => {
  const { opens } = setUp()
  const seen = new Set<bigint>()
  for (let k = 0; k < 100; k++) {
    const { handle } = opens.open(a, false, 'file')
    t.ok(handle >= 1n << 63n && handle < 1n << 64n)
    seen.add(handle)
    opens.release(handle)
  }
  t.equal(seen.size, 100)
  t.equal(opens.release([...seen][0]!), false, 'a release that comes late')
})

t.test('an open with O_DIRECT has a handle of its own, and ends as the others do', async t => {
  const { backings, ended, opens } = setUp()
  const passed = opens.open(a, false, 'file')
  const direct = opens.open(a, true, 'file')
  t.same([passed.isServed, direct.isServed], [false, true])
  t.not(passed.handle, direct.handle)
  t.equal(passed.backingId, direct.backingId)
  t.equal(opens.release(direct.handle), true)
  t.equal(backings.size, 1)
  t.equal(opens.release(passed.handle), true)
  t.same([backings.size, ended], [0, ['a', 'a']])
  const { opens: all } = setUp({ readsDirect: true })
  t.equal(all.open(a, true, 'file').isServed, false, 'where the kernel reads for O_DIRECT too')
})

t.test('a file that the kernel does not take leaves nothing open', async t => {
  const { state, backings, ended, opens } = setUp()
  state.failure = new Error('ELOOP')
  t.throws(() => opens.open(a, false, 'file'), { message: 'ELOOP' })
  t.same([[...opens.ids()], backings.size, ended], [[], 0, []])
  state.failure = null
  const { handle } = opens.open(a, false, 'file')
  state.failure = new Error('the session is over')
  t.equal(opens.release(handle), true, 'the kernel closes it with the connection')
  t.equal(opens.isOpen(101n), false)
})

t.test('the end of all opens leaves their backing files to the kernel', async t => {
  const { backings, ended, opens } = setUp()
  const { handle } = opens.open(a, false, 'file')
  for (const each of [a, b]) opens.open(each, false, 'file')
  opens.close()
  t.same([backings.size, ended], [2, ['a', 'a', 'b']])
  t.same([opens.release(handle), [...opens.ids()]], [false, []])
  opens.close()
  t.equal(ended.length, 3, 'once')
})

t.test('an image that was refused is not offered for a while, others are', async t => {
  const { state, opens } = setUp()
  t.match(opens.refuse(a.image), { code: 'stale-node' })
  state.nowMs = passthroughRetryMs - 1
  t.same([opens.isRefused(a.image), opens.isRefused(b.image)], [true, false])
  state.nowMs++
  t.equal(opens.isRefused(a.image), false)
})
