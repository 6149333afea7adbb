/**
 * Time slice of long work: a walk over a million names yields now and then, so that requests are answered meanwhile.
 */
import { setImmediate } from 'node:timers/promises'

/** The time that work goes on before it yields: as long as a slice of requests, see loop-slicer.ts. */
const sliceMsMax = 2

export class TimeSlice {
  readonly #itemsPerLook: number
  #sinceMs = performance.now()
  #items = 0

  /** @param itemsPerLook how many items come between two looks at the clock: a good part of a millisecond of work */
  constructor(itemsPerLook = 1024) {
    this.#itemsPerLook = itemsPerLook
  }

  /** Call it for each item, before it. Is it time to {@link yield}? */
  get isOver(): boolean {
    return ++this.#items % this.#itemsPerLook === 0 && performance.now() - this.#sinceMs >= sliceMsMax
  }

  /** Let everything that waits have its turn. */
  async yield(): Promise<void> {
    await setImmediate()
    this.#sinceMs = performance.now()
  }
}

/** Items that are sorted in one piece: a millisecond or two. */
const sortedAtOnce = 4096

/** The same items in ascending order of `of`, equal ones as they were; the sort yields now and then. */
export async function sorted<T>(items: readonly T[], of: (item: T) => number, turns: TimeSlice): Promise<T[]> {
  let runs: T[][] = []
  for (let from = 0; from < items.length; from += sortedAtOnce) {
    runs.push(items.slice(from, from + sortedAtOnce).sort((a, b) => of(a) - of(b)))
    await turns.yield()
  }
  while (runs.length > 1) {
    const merged: T[][] = []
    for (let k = 0; k < runs.length; k += 2) merged.push(await merge(runs[k]!, runs[k + 1] ?? [], of, turns))
    runs = merged
  }
  return runs[0] ?? []
}

async function merge<T>(
  left: readonly T[],
  right: readonly T[],
  of: (item: T) => number,
  turns: TimeSlice,
): Promise<T[]> {
  const merged: T[] = []
  for (let [l, r] = [0, 0]; l < left.length || r < right.length; ) {
    if (turns.isOver) await turns.yield()
    const isLeft = r === right.length || (l < left.length && of(left[l]!) <= of(right[r]!))
    merged.push(isLeft ? left[l++]! : right[r++]!)
  }
  return merged
}
