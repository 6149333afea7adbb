/**
 * Name table: the images of all names of all origins, as many as images, in memory. It asks no origin, and records
 * nothing.
 */
import type { ImageEntry } from '../../index/index-database.ts'
import type { Origin } from '../../origin/contract/origin.ts'

/** An origin, by its URL. */
type Place = Pick<Origin, 'url'>

/** The facts about a name. */
export interface NameEntry {
  readonly entry: ImageEntry
  /** The time of the origin's answer; it is asked again when that is long ago. */
  checkedMs: number
  /** The time at which the origin named this version; null: in an earlier run, or it has not yet. */
  heardMs: number | null
  /** The member of the group by whose word it is; null: the origin named it. */
  toldBy: string | null
}

export class NameTable {
  /** By the origin's URL, then by name. */
  readonly #names = new Map<string, Map<string, NameEntry>>()

  /** All names of an origin, those of now. */
  of({ url }: Place): ReadonlyMap<string, NameEntry> {
    return this.#of(url)
  }

  get({ url }: Place, name: string): NameEntry | null {
    return this.#names.get(url)?.get(name) ?? null
  }

  set({ url }: Place, name: string, named: NameEntry): void {
    this.#of(url).set(name, named)
  }

  delete({ url }: Place, name: string): void {
    this.#names.get(url)?.delete(name)
  }

  /** The names of an origin with what they mean, sorted. */
  sorted(origin: Place): { name: string; entry: ImageEntry }[] {
    const names = this.of(origin)
    return [...names.keys()].sort().map(name => ({ name, entry: names.get(name)!.entry }))
  }

  /** Whatever was said of the names of this image is old. */
  doubt({ image: { id, origin } }: Pick<ImageEntry, 'image'>): void {
    for (const named of this.#of(origin).values()) {
      if (named.entry.image.id === id) named.checkedMs = Number.NEGATIVE_INFINITY
    }
  }

  #of(url: string): Map<string, NameEntry> {
    const names = this.#names.get(url) ?? new Map<string, NameEntry>()
    this.#names.set(url, names)
    return names
  }
}
