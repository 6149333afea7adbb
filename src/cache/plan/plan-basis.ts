/**
 * Basis of a plan: what a cache is like, and the sampled uses, as they travel to the command that simulates others.
 *
 * The simulation is the command's, so that it costs the mount nothing.
 */
import { blocksPerObject } from '../../base/image.ts'
import type { Store } from '../../store/store.ts'
import type { EvictionPolicyName } from '../evict/eviction-policy.ts'
import type { Evictor } from '../evict/evictor.ts'
import type { UseSample } from './use-log.ts'
import type { UseSampler } from './use-sampler.ts'

type Columns = Pick<UseSample, 'files' | 'objects' | 'lows' | 'highs' | 'counts'>

export interface PlanBasis {
  readonly capacityBytes: number
  readonly blockBytes: number
  readonly objectBytes: number
  readonly policy: EvictionPolicyName
  /** Share of the capacity above which objects are evicted, and the level they are evicted to as a share of that. */
  readonly highShare: number
  readonly lowShare: number
  readonly rate: number
  readonly countFrom: number
  readonly reads: number
  /** Uses of sampled objects that found no room, and are in no column. */
  readonly droppedSamples: number
  /** Columns of 32-bit numbers, little-endian, in base64. */
  readonly uses: Readonly<Record<keyof Columns, string>>
}

export function planBasis(parts: {
  readonly store: Pick<Store, 'capacity' | 'blockBytes'>
  readonly evictor: Pick<Evictor, 'policyName'>
  readonly sampler: Pick<UseSampler, 'sample' | 'dropped'>
}): PlanBasis {
  const { capacity, blockBytes } = parts.store
  const { rate, countFrom, reads, ...columns } = parts.sampler.sample()
  const encoded = Object.entries(columns).map(([name, column]) => [name, encode(column)] as const)
  return {
    capacityBytes: capacity.capacityBytes,
    blockBytes,
    objectBytes: blockBytes * blocksPerObject,
    policy: parts.evictor.policyName,
    highShare: capacity.highBytes / capacity.capacityBytes,
    lowShare: capacity.lowBytes / capacity.highBytes,
    ...{ rate, countFrom, reads, droppedSamples: parts.sampler.dropped },
    uses: Object.fromEntries(encoded) as PlanBasis['uses'],
  }
}

/** The uses in it. */
export function sampleOf({ rate, countFrom, reads, uses }: PlanBasis): UseSample {
  const { files, objects, lows, highs, counts } = uses
  const columns = { files: decode(files), objects: decode(objects), lows: decode(lows), highs: decode(highs) }
  return { rate, countFrom, reads, ...columns, counts: decode(counts) }
}

function encode(column: Uint32Array): string {
  return Buffer.from(column.buffer, column.byteOffset, column.byteLength).toString('base64')
}

function decode(text: string): Uint32Array {
  const bytes = Uint8Array.from(Buffer.from(text, 'base64'))
  return new Uint32Array(bytes.buffer)
}
