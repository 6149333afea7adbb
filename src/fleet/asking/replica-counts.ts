/**
 * Replica counts: the number of ranks of an image's units that are asked. It starts at one, doubles at a refusal, and
 * is forgotten after a minute: hot images get copies, and nobody has to know the heat.
 */
import { LruMap } from '../../base/lru-map.ts'
import { ranksMax } from '../group/limits.ts'
import { replicaImagesMax, replicasMs } from './limits.ts'

export class ReplicaCounts {
  readonly #now: () => number
  readonly #counts = new LruMap<string, { readonly count: number; readonly untilMs: number }>(replicaImagesMax)

  constructor(now: () => number) {
    this.#now = now
  }

  of(imageId: string): number {
    const known = this.#counts.use(imageId)
    return known && this.#now() < known.untilMs ? known.count : 1
  }

  /** A member was busy. @param hint the number that it knows of; 0: it said none */
  refused(imageId: string, hint: number): void {
    const count = Math.min(ranksMax, Math.max(this.of(imageId) * 2, Number.isSafeInteger(hint) ? hint : 0))
    this.#counts.set(imageId, { count, untilMs: this.#now() + replicasMs })
  }
}
