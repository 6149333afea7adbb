/** Native uses of several connections to the kernel, as one. */
import t from 'tap'
import { nativeUsesOf, type SessionUses } from '../../../src/daemon/worker/native-use-samples.ts'

function sessionWith(hits: number, droppedSamples: number, ...samples: readonly number[]): SessionUses {
  let waiting = samples
  return {
    counters: () => ({ hits, droppedSamples }),
    takeSamples: () => {
      const taken = Float64Array.from(waiting)
      waiting = []
      return taken
    },
  }
}

t.test('samples of files and of objects come together, and each once', async t => {
  const below: number[] = []
  const sessions = [sessionWith(10, 1, 1, 2, 3, 4, 5), null, sessionWith(7, 2, 6, 7, 8, 9, 10)]
  const uses = nativeUsesOf({ setSampling: each => void below.push(each) }, () => sessions)
  uses.setSampling(9)
  t.same(below, [9])
  const { samples, ...counted } = uses.take()
  t.same([...samples], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  t.same(counted, { hits: 17, dropped: 3 })
  t.equal(uses.take().samples.length, 0)
})

t.test('one connection, or none, costs no copy', async t => {
  const samples = Float64Array.of(1, 2, 3, 4, 5)
  const session = { counters: () => ({ hits: 1, droppedSamples: 0 }), takeSamples: () => samples }
  t.equal(nativeUsesOf({ setSampling: () => {} }, () => [null, session]).take().samples, samples)
  t.same(nativeUsesOf({ setSampling: () => {} }, () => [null]).take(), {
    samples: new Float64Array(0),
    hits: 0,
    dropped: 0,
  })
})
