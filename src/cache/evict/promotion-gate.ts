/**
 * Promotion gate: the rules by which a block that was fetched is not kept. Its readers have it all the same.
 *
 * Repairs are always let in: they are written over damaged bytes that the kernel reads by itself.
 */
import type { StoredImage } from '../../store/image/stored-image.ts'
import type { Store } from '../../store/store.ts'
import { HitSetTable, type HitSetTableContext } from './hit-set-table.ts'
import { WriteBudget, type WriteBudgetContext, type WriteBudgetOptions, type WrittenStatus } from './write-budget.ts'

/** Why a block is not kept: see the settings of these names. */
export type GateRefusal = 'recency' | 'write-budget' | 'max-objects' | 'too-young'

export interface PromotionGateOptions {
  /** Objects that are held at most; 0: no limit. */
  readonly objectsMax?: number
  /** No limit when absent. */
  readonly writeBudget?: WriteBudgetOptions
}

export interface PromotionGateContext extends PromotionGateOptions, Omit<HitSetTableContext, 'index'> {
  readonly index: HitSetTableContext['index'] & WriteBudgetContext['index']
  readonly store: HitSetTableContext['store'] & Pick<Store, 'objects' | 'onWritten'>
  /** Is there no room, and everything that could go too young? */
  readonly isHeldByAge: () => boolean
}

const noBudget: WriteBudgetOptions = { bytesPerDay: 0, burstBytes: 0 }

export class PromotionGate {
  readonly hitSets: HitSetTable
  readonly #parts: PromotionGateContext
  readonly #budget: WriteBudget
  #objectsMax: number

  constructor(parts: PromotionGateContext) {
    this.#parts = parts
    this.#objectsMax = parts.objectsMax ?? 0
    this.hitSets = new HitSetTable(parts)
    this.#budget = new WriteBudget(parts.writeBudget ?? noBudget, parts)
    parts.store.onWritten = bytes => this.#budget.written(bytes)
  }

  /** Bytes that were written, and those that may be. */
  get written(): WrittenStatus {
    return this.#budget.status
  }

  /** Other settings from now on, those of the origins too. */
  reconfigure({ objectsMax = 0, writeBudget = noBudget }: PromotionGateOptions): void {
    this.hitSets.reconfigure()
    this.#budget.change(writeBudget)
    this.#objectsMax = objectsMax
  }

  /**
   * Let bytes of an object in, which are on their way then until {@link settled}.
   * @param isPassed by an image that comes from the front alone: it was paid for, and is not had again
   * @returns null, or why not
   */
  enter(stored: StoredImage, object: number, bytes: number, isPassed: boolean): GateRefusal | null {
    const { store, isHeldByAge } = this.#parts
    const isRepair = stored.damaged(object) !== 0n
    if (!isRepair) {
      if (!isPassed && !this.hitSets.mayPromote(stored, object)) return 'recency'
      if (isHeldByAge()) return 'too-young'
      const isNew = stored.held(object) === 0n
      if (this.#objectsMax > 0 && isNew && store.objects >= this.#objectsMax) return 'max-objects'
    }
    return this.#budget.take(bytes, isRepair) ? null : 'write-budget'
  }

  settled(bytes: number): void {
    this.#budget.arrived(bytes)
  }

  /** Keep what outlives a restart. Never rejects. */
  async close(): Promise<void> {
    await this.hitSets.close()
    await this.#budget.close()
  }
}
