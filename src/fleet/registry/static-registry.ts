/**
 * Static registry: the members that the configuration lists. Each is known by its URL; its facts are its own.
 */
import { type Member, placeOfMember } from '../group/member.ts'
import type { MemberRegistry, RegistryListener, RegistryState } from './registry.ts'

/** The facts that a list of URLs lacks: all members have ours. */
export type SharedFacts = Pick<Member, 'rack' | 'weight' | 'blockBytes'>

export class StaticRegistry implements MemberRegistry {
  readonly #members: readonly Member[]

  /** @param urls of all members, ourselves included or not */
  constructor(urls: readonly string[], facts: SharedFacts) {
    this.#members = membersOfUrls(urls, facts)
  }

  get state(): RegistryState {
    return { engine: 'list', state: 'connected', reason: '', registeredAnew: 0, lists: 1 }
  }

  watch({ onMembers }: RegistryListener): void {
    onMembers(this.#members)
  }

  /** The others' lists have us. */
  register(): void {}

  async close(): Promise<void> {}
}

/** Members that are known by their URLs alone. Those that are none are left out. */
export function membersOfUrls(urls: readonly string[], facts: SharedFacts): readonly Member[] {
  const places = urls.map(placeOfMember).filter(place => place !== null)
  return [...new Set(places)].map(url => ({ id: idOfUrl(url), url, ...facts, state: 'up', since: 0 }))
}

/** The id of a host that is known by its URL: host and port. */
export function idOfUrl(url: string): string {
  return new URL(url).host
}
