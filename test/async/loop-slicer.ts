import t from 'tap'
import { SlicedQueue } from '../../src/async/loop-slicer.ts'

function work(ms: number): void {
  const startMs = performance.now()
  while (performance.now() - startMs < ms);
}

t.test('the first piece is done at once', async t => {
  let done = false
  new SlicedQueue().run(() => {
    done = true
  })
  t.ok(done)
})

t.test('pieces are done in order, and those that come meanwhile behind them', async t => {
  const slicer = new SlicedQueue()
  const seen: number[] = []
  await new Promise<void>(resolve => {
    for (let k = 0; k < 100; k++) {
      slicer.run(() => {
        seen.push(k)
        if (k === 50) slicer.run(() => seen.push(100))
        if (k === 99) setImmediate(() => setImmediate(resolve))
      })
    }
  })
  t.same(
    seen,
    Array.from({ length: 101 }, (_, k) => k),
  )
  t.equal(slicer.waiting, 0)
})

t.test('what follows from a piece is done before the next one begins', async t => {
  const slicer = new SlicedQueue()
  let [under, most, left] = [0, 0, 20]
  await new Promise<void>(resolve => {
    for (let k = 0; k < 20; k++) {
      slicer.run(async () => {
        most = Math.max(most, ++under)
        for (let step = 0; step < 10; step++) await null
        under--
        if (--left === 0) resolve()
      })
    }
  })
  t.equal(most, 1)
})

t.test('others have their turn between pieces that take long together, what follows from them included', async t => {
  const slicer = new SlicedQueue()
  let left = 64
  const turns: number[] = []
  for (let k = 0; k < 64; k++) {
    slicer.run(async () => {
      await null
      work(1)
      left--
    })
  }
  await new Promise<void>(resolve => {
    const look = () => {
      turns.push(left)
      if (left > 0) setTimeout(look)
      else resolve()
    }
    look()
  })
  const most = Math.max(...turns.slice(1).map((each, k) => turns[k]! - each))
  t.ok(most <= 6, `${most} pieces of a millisecond between two looks: ${turns.join(' ')}`)
})
