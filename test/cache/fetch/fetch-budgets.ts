import t from 'tap'
import { FetchBudgets } from '../../../src/cache/fetch/fetch-budgets.ts'
import { MemoryOrigin } from '../../fixtures/memory-origin.ts'
import { forever, openRooms } from '../../fixtures/rooms.ts'
import { patienceMs, until } from '../../fixtures/until.ts'

const signal = forever
const KiB = 1024

t.test('misses of an origin that hangs do not hold up those of another, and both stay within the whole', async t => {
  const far = new MemoryOrigin('memory://far')
  const near = new MemoryOrigin('memory://near')
  for (const origin of [far, near]) origin.put('a', 1024 * KiB)
  const rooms = await openRooms({
    directory: t.testdir(),
    origin: [
      { directory: 'far', origin: far },
      { directory: 'near', origin: near },
    ],
    blockBytes: 16 * KiB,
    capacityBytes: 256 * 1024 * KiB,
    fetchBytesMax: 64 * KiB,
  })
  let release = () => {}
  const gate = new Promise<void>(resolve => {
    release = resolve
  })
  far.gate = () => gate
  const { image } = await rooms.cache.lookup('far', 'a', { signal })
  const hanging = Array.from({ length: 64 }, (_, k) => rooms.cache.read(image, 16 * KiB * k, 100, { signal }))
  await until(() => far.reads > 0, patienceMs, 'reads that hang')
  const other = await rooms.cache.lookup('near', 'a', { signal })
  const soon = AbortSignal.timeout(10_000)
  const bytes = await rooms.cache.read(other.image, 5, 100, { signal: soon })
  t.ok(near.bytes('a', 5, 100).equals(bytes))
  t.equal(far.reads, 2, 'half of the whole is two blocks')
  release()
  const all = await Promise.all(hanging)
  t.ok(all.every((read, k) => far.bytes('a', 16 * KiB * k, 100).equals(read)))
  await rooms.close()
})

t.test('another whole, or another origin, changes every share', async t => {
  const budgets = new FetchBudgets(100, ['a', 'b'])
  const held: (() => void)[] = []
  const take = (url: string, bytes: number) =>
    budgets.of(url).run(bytes, signal, () => new Promise<void>(resolve => held.push(resolve)))
  const working = [take('a', 50), take('a', 30), take('b', 50)]
  await until(() => held.length === 2, patienceMs, 'what fits')
  t.equal(budgets.of('a').waiting, 1)
  budgets.change(160, ['a', 'b'])
  await until(() => held.length === 3, patienceMs, 'what fits now')
  budgets.change(160, ['a', 'b', 'c', 'd'])
  working.push(take('c', 30), take('c', 20))
  await until(() => held.length === 4, patienceMs, 'what fits a quarter')
  t.equal(budgets.of('c').waiting, 1)
  while (held.length > 0) {
    held.pop()?.()
    await new Promise(setImmediate)
  }
  await Promise.all(working)
  for (const url of ['a', 'b', 'c', 'd']) t.equal(budgets.of(url).usedBytes, 0)
})
