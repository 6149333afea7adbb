/** Native uses: the hits of session threads, as the sampler of the cache takes them. */
import type { NativeUses } from '../../cache/plan/use-sampler.ts'
import type { Transport } from '../../fuse/filesystem/transport.ts'
import type { Engine } from '../../native/addon.ts'

const nothing = new Float64Array(0)

/** @param transport null until something is mounted */
export function nativeUsesOf(engine: Pick<Engine, 'setSampling'>, transport: () => Transport | null): NativeUses {
  return {
    setSampling: below => engine.setSampling(below),
    take: () => {
      const { hits = 0, droppedSamples: dropped = 0 } = transport()?.counters() ?? {}
      return { samples: transport()?.takeSamples() ?? nothing, hits, dropped }
    },
  }
}
