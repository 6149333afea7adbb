/**
 * The MemberRegistry interface: an engine that knows the members of a group. It is never on a read's path.
 *
 * Every implementation keeps trying by itself, for ever: an engine that is away shows in {@link RegistryState} alone.
 */
import type { Member } from '../group/member.ts'

export interface RegistryListener {
  /** The whole list, ourselves included where we are in it. Called after each change, and now and then. */
  onMembers(members: readonly Member[]): void
  /** The engine answers, and nothing has changed. */
  onHeard(): void
}

export interface RegistryState {
  /** The engine, without credentials. */
  readonly engine: string
  /** Does it answer, and are we in it? */
  readonly state: 'starting' | 'connected' | 'away'
  /** Why it is away; empty: it is not. */
  readonly reason: string
  /** Registrations that were made anew, because the engine had forgotten us. */
  readonly registeredAnew: number
  /** Lists that were asked for. */
  readonly lists: number
}

export interface MemberRegistry {
  readonly state: RegistryState
  /** Begin to follow the group. Call once. */
  watch(listener: RegistryListener): void
  /**
   * Be a member from now on, with this record; again with another one. Returns at once: registration goes on behind
   * it. Null: be none any more.
   */
  register(member: Member | null): void
  /** Leaves the group, where the engine answers in time. Idempotent. */
  close(): Promise<void>
}
