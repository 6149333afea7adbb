/**
 * Forgotten nodes: those on which every open is ours, in a process that has taken a mount over.
 *
 * The kernel may still read a file for an open that an earlier process has answered, and a second backing file on that
 * node would be EIO. A node that the kernel has forgotten has no open and no mapping. It is asked in the background;
 * until it has answered, and as long as it knows the node, the node counts as in use.
 */
import { LruMap } from '../../base/lru-map.ts'
import { forgottenNodesMax } from './limits.ts'

export class ForgottenNodes {
  readonly #hasForgotten: (nodeId: bigint) => Promise<boolean>
  /** Nodes that the kernel knows from us, if at all: false while it is being asked. */
  readonly #forgotten = new LruMap<bigint, boolean>(forgottenNodesMax)

  /** @param hasForgotten asks the kernel; never rejects */
  constructor(hasForgotten: (nodeId: bigint) => Promise<boolean>) {
    this.#hasForgotten = hasForgotten
  }

  /** Is every open of this node ours? A node that is not known yet is asked about, for the next lookup. */
  has(nodeId: bigint): boolean {
    const known = this.#forgotten.use(nodeId)
    if (known === undefined) {
      this.#forgotten.set(nodeId, false)
      void this.#hasForgotten(nodeId).then(hasForgotten => {
        if (hasForgotten) this.#forgotten.set(nodeId, true)
        else this.#forgotten.delete(nodeId)
      })
    }
    return known === true
  }
}
