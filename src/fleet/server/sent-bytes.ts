/**
 * Bytes of images sent, by the member that asked for them. A member says its id itself; bytes to one that says none, or
 * nonsense, are not counted here. The members that were sent to least recently are forgotten first.
 */
import { LruMap } from '../../base/lru-map.ts'
import { isMemberId } from '../group/member.ts'
import { sentMembersMax } from './limits.ts'

export class SentBytes {
  readonly #bytes = new LruMap<string, number>(sentMembersMax)

  /** @param said the member's header, if it had one */
  add(said: string | string[] | undefined, bytes: number): void {
    if (typeof said !== 'string' || !isMemberId(said)) return
    this.#bytes.set(said, this.of(said) + bytes)
  }

  /** Those that are counted. */
  members(): string[] {
    return [...this.#bytes.keys()]
  }

  of(memberId: string): number {
    return this.#bytes.get(memberId) ?? 0
  }
}
