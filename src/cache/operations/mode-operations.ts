/**
 * Modes for operators: says the mode of the mount, of an origin or of an image, and lists what is in force and whose
 * word it is.
 */
import { CacheError } from '../../base/errors.ts'
import type { CacheMode } from '../modes/cache-mode.ts'
import type { ModePlace, ModeTable } from '../modes/mode-table.ts'
import { type NamedImages, type NamedOrigin, shownName } from './named-images.ts'

/** The place that an operator names: an image, else an origin, else the mount. */
export interface ModeScope {
  readonly origin: string | null
  readonly image: string | null
}

/** A mode in force. */
export interface ModeEntry {
  readonly scope: 'mount' | 'origin' | 'image'
  /** As operators name it; of the mount null. */
  readonly name: string | null
  readonly mode: CacheMode
  /** The author of the word; `inherited`: nothing is said of this place, and the wider one counts. */
  readonly by: 'operator' | 'configuration' | 'inherited'
}

export interface ModeOperationsContext {
  readonly names: NamedImages
  readonly origins: readonly NamedOrigin[]
  readonly modes: ModeTable
  /** Resolves when nothing goes on as the modes of before said. Never rejects. */
  modesChanged(): Promise<void>
}

export class ModeOperations {
  readonly #parts: ModeOperationsContext

  constructor(parts: ModeOperationsContext) {
    this.#parts = parts
  }

  /** The mount, its origins, and the images with a mode of their own. */
  list(): ModeEntry[] {
    const { modes, origins } = this.#parts
    const mount = modes.said({ origin: null, name: null })
    const all: ModeEntry[] = [{ scope: 'mount', name: null, mode: modes.ofMount, by: mount?.by ?? 'configuration' }]
    for (const { directory, origin } of origins) {
      const { url } = origin
      const by = modes.said({ origin: url, name: null })?.by ?? 'inherited'
      all.push({ scope: 'origin', name: directory ?? url, mode: modes.ofOrigin(url), by })
      for (const key of modes.namesOf(url)) {
        const mode = modes.of({ origin: url, key })
        all.push({ scope: 'image', name: shownName(directory, key), mode, by: 'operator' })
      }
    }
    return all
  }

  /**
   * Resolves when the mode is recorded and in force: what was fetched before is not promoted any more where it says so.
   * @param mode null takes the operator's word back
   * @throws CacheError not-found, invalid-argument, origin-*, index-failed
   */
  async set(scope: ModeScope, mode: CacheMode | null, signal: AbortSignal): Promise<ModeEntry[]> {
    const { modes, modesChanged } = this.#parts
    const place = await this.#place(scope, mode, signal)
    if (mode === null && modes.said(place)?.by !== 'operator') {
      const what = scope.image ?? scope.origin ?? 'the mount'
      throw new CacheError('not-found', `${what} has no mode of its own: "parentfs mode" shows what has`)
    }
    await modes.say(place, mode)
    await modesChanged()
    return this.list()
  }

  /** An image must be there to get a mode, and need not be to lose it. */
  async #place({ origin, image }: ModeScope, mode: CacheMode | null, signal: AbortSignal): Promise<ModePlace> {
    const { names } = this.#parts
    if (image !== null && origin !== null) {
      throw new CacheError('invalid-argument', 'an origin and an image do not go together: give one of them')
    }
    if (image !== null) {
      const { origin: of, own } = mode === null ? names.place(image) : await names.find(image, signal)
      return { origin: of.url, name: own }
    }
    return { origin: origin === null ? null : names.origin(origin).origin.url, name: null }
  }
}
