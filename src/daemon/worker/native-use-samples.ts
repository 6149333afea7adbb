/** Native uses: reads that session threads answer, of files and of objects, as the sampler of the cache takes them. */
import type { NativeUses } from '../../cache/plan/use-sampler.ts'
import type { Engine, Session } from '../../native/addon.ts'

/** Session threads of one connection to the kernel. */
export interface SessionUses extends Pick<Session, 'takeSamples'> {
  counters(): { readonly hits: number; readonly droppedSamples: number }
}

/** @param sessions those that there are now; null: that one is not there yet */
export function nativeUsesOf(
  engine: Pick<Engine, 'setSampling'>,
  sessions: () => readonly (SessionUses | null)[],
): NativeUses {
  return {
    setSampling: below => engine.setSampling(below),
    take: () => {
      const there = sessions().filter(each => each !== null)
      const counted = there.map(each => each.counters())
      return {
        samples: joined(there.map(each => each.takeSamples())),
        hits: counted.reduce((sum, { hits }) => sum + hits, 0),
        dropped: counted.reduce((sum, { droppedSamples }) => sum + droppedSamples, 0),
      }
    },
  }
}

/** Most times all but one are empty. */
function joined(samples: readonly Float64Array[]): Float64Array {
  const some = samples.filter(({ length }) => length > 0)
  if (some.length < 2) return some[0] ?? new Float64Array(0)
  const all = new Float64Array(some.reduce((sum, { length }) => sum + length, 0))
  let at = 0
  for (const each of some) {
    all.set(each, at)
    at += each.length
  }
  return all
}
