/**
 * Units of former owners: the units of an image that a former owner had when it was asked. A host that owns a unit
 * since lately need not ask that member for any other: what it has got since came by way of the owner.
 *
 * A member tells its units once it knows that this host has ranks. All is forgotten when the ranks change.
 */
import { LruMap } from '../../base/lru-map.ts'
import type { GroupView } from '../group/group-view.ts'
import { formerOwnerUnitsBytesMax } from './limits.ts'

export class FormerOwnerUnits {
  readonly #view: Pick<GroupView, 'ownership'>
  readonly #known = new LruMap<string, Uint8Array>(formerOwnerUnitsBytesMax, { weightOf: ({ length }) => length + 128 })
  readonly #asked = new Set<string>()
  #of = 0

  constructor(view: Pick<GroupView, 'ownership'>) {
    this.#view = view
  }

  /** May a member have a unit that this host lacks? */
  mayHold(memberId: string, imageId: string, unit: number): boolean {
    this.#follow()
    const units = this.#known.use(keyOf(memberId, imageId))
    return !units || ((units[unit >> 3] ?? 0xff) & (1 << (unit & 7))) !== 0
  }

  /** @returns is the member to be asked for its units with the next question? {@link end} follows then */
  begin(memberId: string, imageId: string): boolean {
    this.#follow()
    const key = keyOf(memberId, imageId)
    if (this.#asked.has(key) || this.#known.has(key)) return false
    this.#asked.add(key)
    return true
  }

  /** @param units null: it told none. @returns is something known that was not? */
  end(memberId: string, imageId: string, units: Uint8Array | null, ownership: number): boolean {
    const key = keyOf(memberId, imageId)
    this.#asked.delete(key)
    this.#follow()
    if (units === null || ownership !== this.#of) return false
    this.#known.set(key, units)
    return true
  }

  #follow(): void {
    if (this.#view.ownership === this.#of) return
    this.#of = this.#view.ownership
    for (const key of [...this.#known.keys()]) this.#known.delete(key)
  }
}

const keyOf = (memberId: string, imageId: string) => `${memberId} ${imageId}`
