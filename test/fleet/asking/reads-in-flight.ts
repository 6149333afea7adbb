/** Reads of origins under way: ranges, their unions, their ends. */
import t from 'tap'
import { ReadsInFlight } from '../../../src/fleet/asking/reads-in-flight.ts'

t.test('a range is covered by one read or by neighbours, as long as all go on', async t => {
  const reads = new ReadsInFlight()
  const ends = [
    reads.begin('a', 100, 100),
    reads.begin('a', 0, 100),
    reads.begin('a', 150, 10),
    reads.begin('c', 100, 1),
  ]
  t.ok(reads.covers('a', 0, 200))
  t.ok(reads.covers('a', 120, 10))
  t.notOk(reads.covers('a', 0, 201))
  t.notOk(reads.covers('b', 0, 1))
  t.ok(reads.touches('a', 199, 10))
  t.notOk(reads.touches('a', 200, 10))
  t.notOk(reads.touches('c', 0, 100), 'it ends where the read begins')
  t.notOk(reads.touches('b', 0, 200))
  ends[1]!()
  t.notOk(reads.covers('a', 99, 2))
  t.ok(reads.covers('a', 100, 100))
  for (const end of ends) end()
  t.notOk(reads.covers('a', 100, 1))
})

t.test('the end of an old read does not end the reads that came since', async t => {
  const reads = new ReadsInFlight()
  const end = reads.begin('a', 0, 10)
  end()
  reads.begin('a', 0, 10)
  end()
  t.ok(reads.covers('a', 0, 10))
})
