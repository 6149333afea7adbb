/** The copy of a database: damage is what the source says, never what the copy does. */
import t from 'tap'
import { addChecksum } from '../../../src/index/format/value-checksum.ts'
import { batchValues, copyValues } from '../../../src/index/recovery/copy-values.ts'

const refused = Object.assign(new Error('MDB_BAD_TXN'), { code: -30_782 })
const corrupted = Object.assign(new Error('MDB_CORRUPTED'), { code: -30_796 })

/** A source of so many whole values, in views of one buffer; then it throws, or ends. */
function sourceOf(count: number, failure: Error | null = null) {
  const state = { resets: 0 }
  function* getRange() {
    const key = Buffer.alloc(4)
    for (let k = 0; k < count; k++) {
      key.writeUInt32BE(k)
      yield { key, value: Buffer.from(addChecksum(key, Buffer.from('content'))) }
    }
    if (failure) throw failure
  }
  return { state, source: { getRange, resetReadTxn: () => void state.resets++ } }
}

t.test('values are put in batches; a damaged one is left out, and so is all behind a damaged page', async t => {
  const { state, source } = sourceOf(batchValues + 7, corrupted)
  const puts: number[] = []
  const keys = new Set<number>()
  copyValues(source, values => {
    puts.push(values.length)
    for (const [key] of values) keys.add(key.readUInt32BE(0))
  })
  t.same([puts, keys.size, state.resets], [[batchValues, 7], batchValues + 7, 1])
  const key = Buffer.from('a')
  const found: unknown[] = []
  const damaged = { getRange: () => [{ key, value: Buffer.from('no checksum') }], resetReadTxn: () => {} }
  copyValues(damaged, values => found.push(...values))
  t.same(found, [])
})

t.test('a commit of the copy that lmdb refuses is made once more, and nothing behind it is lost', async t => {
  const { state, source } = sourceOf(2 * batchValues)
  let [refusals, copied] = [1, 0]
  const put = (values: readonly unknown[]) => {
    if (refusals-- > 0) throw refused
    copied += values.length
  }
  copyValues(source, put)
  t.same([copied, state.resets], [2 * batchValues, 0])
  refusals = 2
  t.throws(() => copyValues(source, put), refused, 'once')
})

t.test('other errors of the copy, and of the disk below the source, end it', async t => {
  const full = Object.assign(new Error('MDB_MAP_FULL'), { code: -30_792 })
  const { state, source } = sourceOf(3)
  t.throws(
    () =>
      copyValues(source, () => {
        throw full
      }),
    full,
  )
  t.equal(state.resets, 0, 'that says nothing of the source')
  const eio = Object.assign(new Error('EIO'), { code: 5 })
  t.throws(() => copyValues(sourceOf(3, eio).source, () => {}), eio)
})
