/**
 * Peer table: the members of a group as they are asked, each with its channel and its health. A channel is opened when
 * its member is asked for the first time.
 */
import type { GroupView, KnownMember } from '../group/group-view.ts'
import type { Member } from '../group/member.ts'
import type { MemberChannel } from './member-channel.ts'
import { PeerHealth } from './peer-health.ts'
import type { Peer } from './unit-reader.ts'

export interface PeerTableContext {
  readonly view: Pick<GroupView, 'find'>
  /** Milliseconds, never going back. */
  readonly now: () => number
  openChannel(member: Member): MemberChannel
}

interface OpenPeer extends Peer {
  readonly url: string
  readonly since: number
}

export class PeerTable {
  readonly #parts: PeerTableContext
  readonly #peers = new Map<string, OpenPeer>()
  readonly #closing = new Set<Promise<void>>()

  constructor(parts: PeerTableContext) {
    this.#parts = parts
  }

  of(member: KnownMember): Peer {
    const known = this.#peers.get(member.id)
    const isSame = known && known.since === member.since && known.url === member.url
    if (isSame) return known
    if (known) this.#drop(member.id)
    const { now, openChannel } = this.#parts
    const { url, since } = member
    // Another address does not make an honest member of a liar.
    const health = known?.since === since ? known.health : new PeerHealth(now)
    const peer = { channel: openChannel(member), health, url, since }
    this.#peers.set(member.id, peer)
    return peer
  }

  /** The health of a member that was asked; null: it never was. */
  healthOf(id: string): PeerHealth | null {
    return this.#peers.get(id)?.health ?? null
  }

  /** May it be asked now? One that never was may be. */
  isUsable({ id, since }: Pick<KnownMember, 'id' | 'since'>): boolean {
    const peer = this.#peers.get(id)
    return peer?.since !== since || peer.health.isUsable
  }

  /** Members that the view has forgotten are asked no more. */
  forgetUnknown(): void {
    for (const id of this.#peers.keys()) if (!this.#parts.view.find(id)) this.#drop(id)
  }

  /** Channels are opened anew, so that certificates and tokens are read again. */
  reopen(): void {
    for (const [id, peer] of this.#peers) {
      this.#closeChannel(peer)
      this.#peers.set(id, { ...peer, url: '' }) // Its health stays.
    }
  }

  /** Resolves when all channels are closed. */
  async close(): Promise<void> {
    for (const id of [...this.#peers.keys()]) this.#drop(id)
    await Promise.all([...this.#closing])
  }

  #drop(id: string): void {
    const peer = this.#peers.get(id)
    this.#peers.delete(id)
    if (peer) this.#closeChannel(peer)
  }

  #closeChannel({ channel }: OpenPeer): void {
    const closing = channel.close().catch(() => {}) // Its requests say so themselves.
    this.#closing.add(closing)
    void closing.then(() => this.#closing.delete(closing))
  }
}
