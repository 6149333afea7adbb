/** Leaves that are fetched together: singly where a reader jumps, more where it goes on, and none twice. */
import t from 'tap'
import { LeafWindows } from '../../../src/origin/sealed/leaf-windows.ts'
import { leafStreamsMax } from '../../../src/origin/sealed/limits.ts'

t.test('a read that jumps gets its leaves alone', async t => {
  const windows = new LeafWindows(1000, 32, 1)
  for (const first of [500, 3, 700, 10]) t.same(windows.of(first, first), [{ begin: first, end: first + 1 }])
  t.same(windows.of(20, 24), [{ begin: 20, end: 25 }])
})

t.test('a stream gets twice as many each time, up to a run and to the end', async t => {
  const windows = new LeafWindows(150, 32, 1)
  const sizes: number[] = []
  for (let at = 0; at < 150; ) {
    const [window] = windows.of(at, at)
    t.equal(window!.begin, at, 'none twice')
    sizes.push(window!.end - at)
    at = window!.end
  }
  t.same(sizes, [1, 2, 4, 8, 16, 32, 32, 32, 23])
})

t.test('readers of what is on its way share it', async t => {
  const windows = new LeafWindows(1000, 32, 1)
  const [first] = windows.of(4, 7)
  t.equal(windows.of(6, 6)[0], first)
  const [same, next] = windows.of(7, 8)
  t.equal(same, first)
  t.same(next, { begin: 8, end: 16 })
})

t.test('windows are whole pages of the disk', async t => {
  const windows = new LeafWindows(1003, 256, 8)
  t.same(windows.of(13, 13), [{ begin: 8, end: 16 }])
  t.same(windows.of(15, 17), [
    { begin: 8, end: 16 },
    { begin: 16, end: 32 },
  ])
  t.same(windows.of(1001, 1001), [{ begin: 1000, end: 1003 }])
})

t.test('one stream more than are told apart begins anew', async t => {
  const windows = new LeafWindows(100_000, 32, 1)
  for (let k = 0; k <= leafStreamsMax; k++) windows.of(k * 100, k * 100)
  t.same(windows.of(101, 101), [{ begin: 101, end: 103 }], 'the second is remembered')
  t.same(windows.of(1, 1), [{ begin: 1, end: 2 }], 'the first is not')
})
