/**
 * Poison-request detector: finds the requests that kill workers, from those in flight at each crash. Pure.
 *
 * Most requests in flight at a crash are innocent, and come again. Those in flight at two crashes in a row are
 * suspects. The next worker handles one suspect at a time, so that at the third crash only the guilty one is in flight.
 */
import type { PoisonVerdict } from '../../fuse/kernel/inflight-journal.ts'
import type { JournalledRequest } from './inflight-journal-file.ts'
import { poisonDeaths } from './limits.ts'
import type { Fate } from './restart-policy.ts'

export class PoisonDetector {
  /** In how many deaths, one after the other, each was in work. */
  #deaths = new Map<string, number>()
  readonly #poisoned = new Set<string>()

  get verdict(): PoisonVerdict {
    const suspects = [...this.#deaths].filter(([, deaths]) => deaths === poisonDeaths - 1).map(([unique]) => unique)
    return { suspects, poisoned: [...this.#poisoned] }
  }

  /**
   * A worker has ended with these requests in flight. Only a crash counts: a worker that was killed from outside says
   * nothing of them.
   * @returns the requests to be refused from now on
   */
  ended(fate: Fate, inWork: readonly JournalledRequest[]): JournalledRequest[] {
    return fate === 'crashed' && inWork.length > 0 ? this.died(inWork) : []
  }

  /** A worker has died of itself, with this in work. @returns what is refused from now on */
  died(inWork: readonly JournalledRequest[]): JournalledRequest[] {
    const deaths = new Map<string, number>()
    for (const { unique } of inWork) deaths.set(unique, (this.#deaths.get(unique) ?? 0) + 1)
    const found = inWork.filter(({ unique }) => (deaths.get(unique) ?? 0) >= poisonDeaths)
    for (const { unique } of found) {
      this.#poisoned.add(unique)
      deaths.delete(unique)
    }
    this.#deaths = deaths
    return found
  }
}
