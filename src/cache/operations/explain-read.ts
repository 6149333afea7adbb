/**
 * Explains a read: the source of each block of a range at this moment, and the reason. It only looks, and touches
 * nothing.
 */
import { runsOf } from '../../base/image.ts'
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import { tickMs } from '../evict/limits.ts'
import type { InflightTable } from '../fetch/inflight-table.ts'
import type { DigestState } from '../integrity/digest-verifier.ts'
import { type CacheMode, keepsMisses, servesHits } from '../modes/cache-mode.ts'

/**
 * - `published`: in the store, verified since this start: answered natively when the image is open
 * - `zero`: the same, and known to be zeros
 * - `held`: in the store, to be verified by its first read
 * - `in flight`: being fetched or promoted
 * - `missing`: only the origin has it
 */
export type BlockState = 'published' | 'zero' | 'held' | 'in flight' | 'missing'

/** Consecutive blocks of one object in the same state. */
export interface ExplainedRun {
  /** First block within the object. */
  readonly block: number
  readonly blocks: number
  /** Bytes within the image, whole blocks. */
  readonly offset: number
  readonly length: number
  readonly state: BlockState
}

export interface ExplainedObject {
  readonly object: number
  readonly generation: number
  /** Seconds of running since its last use; null: never used. */
  readonly lastUseSeconds: number | null
  readonly runs: readonly ExplainedRun[]
}

export interface Explanation {
  readonly name: string
  /** The origin's URL without credentials. */
  readonly origin: string
  readonly imageId: string
  /** The inode number. */
  readonly nodeId: string
  readonly validator: string
  /** The member by whose word this is the version of the name; null: the origin has named it. */
  readonly toldBy: string | null
  readonly sizeBytes: number
  readonly offset: number
  readonly length: number
  readonly digest: DigestState
  readonly mode: CacheMode
  readonly pinned: boolean
  readonly open: boolean
  /** The boot profile that its next cold open has, or why it has none. */
  readonly profile: string
  readonly health: { readonly state: string; readonly reason: string }
  readonly objects: readonly ExplainedObject[]
  readonly answer: ReadVerdict<'store' | 'store after verification' | 'origin' | 'error' | 'nobody'>
  readonly promotion: ReadVerdict<'there already' | 'yes' | 'no'>
}

/** The source, and the reason in a sentence. */
export interface ReadVerdict<T> {
  readonly verdict: T
  readonly why: string
}

/** The parts of an explanation. */
export interface ExplanationContext {
  readonly facts: Omit<Explanation, 'objects' | 'answer' | 'promotion' | 'health'>
  /** Null: the store has none of it. */
  readonly stored: StoredImage | null
  readonly store: Store
  readonly fetches: InflightTable
  /** Would the promotion queue let that many bytes in? */
  mayQueue(bytes: number): boolean
}

export function explain(parts: ExplanationContext): Explanation {
  const { facts, stored, store } = parts
  const { state, reason } = store.health
  const objects =
    stored && facts.length > 0
      ? stored.geometry.parts(facts.offset, facts.length).map(({ object, blocks }) => objectOf(parts, object, blocks))
      : []
  const runs = objects.flatMap(object => object.runs)
  return {
    ...facts,
    health: { state, reason },
    objects,
    answer: answerOf(parts, runs),
    promotion: promotionOf(parts, runs),
  }
}

function objectOf({ stored, store, fetches }: ExplanationContext, object: number, blocks: bigint): ExplainedObject {
  const image = stored!
  const held = image.held(object)
  const published = image.residency.resident(object)
  const flying = fetches.overlapping(image, object, blocks).reduce((mask, inflight) => mask | inflight.blocks, 0n)
  const masks: readonly (readonly [BlockState, bigint])[] = [
    ['zero', published & image.zero(object)],
    ['published', published & ~image.zero(object)],
    ['held', held & ~published],
    ['in flight', flying & ~held],
    ['missing', ~(held | flying)],
  ]
  const runs = masks
    .flatMap(([state, mask]) =>
      runsOf(mask & blocks).map(run => {
        const { offset, length } = image.geometry.bytesOf(object, run)
        return { block: run.first, blocks: run.count, offset, length, state }
      }),
    )
    .sort((a, b) => a.block - b.block)
  const lastUse = image.residency.lastUse(object)
  const lastUseSeconds = lastUse === 0 ? null : (Math.max(0, store.tick - lastUse) * tickMs) / 1000
  return { object, generation: image.generation(object), lastUseSeconds, runs }
}

function answerOf({ facts, stored, store }: ExplanationContext, runs: readonly ExplainedRun[]): Explanation['answer'] {
  const has = (...states: readonly BlockState[]) => runs.some(run => states.includes(run.state))
  if (facts.length === 0) return { verdict: 'nobody', why: 'the offset is at or past the end of the image' }
  if (facts.digest === 'mismatch') {
    return {
      verdict: 'error',
      why: 'the image is damaged, or differs from the digest of its publisher, and is not served',
    }
  }
  if (!servesHits(facts.mode)) return { verdict: 'origin', why: 'its mode is none: the cache is not asked' }
  if (!stored) return { verdict: 'origin', why: 'the store has nothing of this image' }
  if (!store.health.mayRead && !has('in flight', 'missing', 'held')) {
    return {
      verdict: 'store',
      why: 'only what is in the page cache: the cache disk is bypassed, and the rest goes to the origin',
    }
  }
  if (!store.health.mayRead) return { verdict: 'origin', why: 'the cache disk is bypassed' }
  if (has('missing')) return { verdict: 'origin', why: 'blocks are missing; what is held comes from the store' }
  if (has('in flight')) return { verdict: 'origin', why: 'blocks are in flight: the read joins their fetch' }
  if (has('held')) return { verdict: 'store after verification', why: 'blocks were not read since the start' }
  const how = facts.open ? 'natively' : 'natively, once it is open'
  return { verdict: 'store', why: `${how}: all blocks are published` }
}

function promotionOf(parts: ExplanationContext, runs: readonly ExplainedRun[]): Explanation['promotion'] {
  const { facts, stored, store } = parts
  const missing = runs.filter(({ state }) => state === 'missing' || state === 'in flight')
  const no = (why: string) => ({ verdict: 'no', why }) as const
  if (facts.length === 0) return no('there is nothing to read')
  if (facts.digest === 'mismatch') return no('the image is quarantined')
  if (stored && missing.length === 0) return { verdict: 'there already', why: 'every block is held' }
  if (!keepsMisses(facts.mode)) return no(`its mode is ${facts.mode}: what is fetched is not kept`)
  if (!store.health.mayWrite) return no(`the cache disk is ${store.health.state}: ${store.health.reason}`)
  const bytes = stored ? missing.reduce((sum, { length }) => sum + length, 0) : facts.length
  if (!parts.mayQueue(bytes)) return no('the promotion queue is full; the next read tries again')
  if (!store.capacity.fits(bytes)) return no('there is no room until something colder is evicted')
  return { verdict: 'yes', why: 'after the answer' }
}
