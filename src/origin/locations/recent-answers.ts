/**
 * Recent answers: the places that gave the latest proven ranges of each image, so that one that is proven wrong is
 * asked of another place, and counts against its own.
 */
import { LruMap } from '../../base/lru-map.ts'
import { answeredImagesMax, rememberedAnswersMax } from './limits.ts'

interface Answer<P> {
  readonly offset: number
  readonly end: number
  readonly place: P
}

export class RecentAnswers<P> {
  readonly #answers = new LruMap<string, Answer<P>[]>(answeredImagesMax)

  note(imageId: string, offset: number, length: number, place: P): void {
    const known = this.#answers.use(imageId) ?? []
    known.push({ offset, end: offset + length, place })
    if (known.length > rememberedAnswersMax) known.shift()
    if (known.length === 1) this.#answers.set(imageId, known)
  }

  /** The places that gave any of a range, the latest one last; each once. */
  placesOf(imageId: string, offset: number, length: number): P[] {
    const found = new Set<P>()
    for (const { offset: begin, end, place } of this.#answers.get(imageId) ?? []) {
      if (begin >= offset + length || end <= offset) continue
      found.delete(place)
      found.add(place)
    }
    return [...found]
  }
}
