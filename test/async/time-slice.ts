/** Long work in slices: requests have their turn between two of them. */
import { isDeepStrictEqual } from 'node:util'
import t from 'tap'
import { sorted, TimeSlice } from '../../src/async/time-slice.ts'
import { between, seed, seeded } from '../fixtures/seeded.ts'

t.test('a slice is over when its time is, which is looked at now and then', async t => {
  const turns = new TimeSlice(4)
  const isOver = () => turns.isOver
  while (performance.now() % 1 > 0.5); // Whatever the clock says, three items are not looked at.
  const startMs = performance.now()
  while (performance.now() - startMs < 3);
  t.same([isOver(), isOver(), isOver(), isOver()], [false, false, false, true])
  let others = 0
  setImmediate(() => others++)
  await turns.yield()
  t.equal(others, 1, 'what waits has its turn')
})

t.test(
  `a long list is sorted as a short one, equal items as they were, and others have their turns (SEED=${seed})`,
  async t => {
    const random = seeded(seed)
    for (const count of [0, 1, 4096, 4097, 20_000]) {
      const items = Array.from({ length: count }, (_, k) => ({ k, rank: between(random, 0, 1000) }))
      let others = 0
      let ended = false
      const look = () => {
        others++
        if (!ended) setImmediate(look)
      }
      setImmediate(look)
      const found = await sorted(items, ({ rank }) => rank, new TimeSlice())
      ended = true
      t.ok(
        isDeepStrictEqual(
          found,
          items.toSorted((a, b) => a.rank - b.rank),
        ),
        `${count} items`,
      )
      t.ok(others >= Math.ceil(count / 4096), `${others} turns of others`)
    }
  },
)
