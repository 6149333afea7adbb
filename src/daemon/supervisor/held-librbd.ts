/**
 * Descriptors of librbd that the service manager holds beside the mount (descriptor-store.ts): the listening socket,
 * the journal of answers, /dev/fuse of the view, and every connection. All of that outlives the supervisor.
 *
 * Asks that are unanswered lie in their connections, and the journal says which of them were answered. So nothing is
 * lost and nothing is answered twice, whichever processes die.
 */
import type { Negotiated } from '../../fuse/kernel/negotiation.ts'
import type { ConnectionHolder, KeptConnections } from '../../native/librbd.ts'
import { librbdConnectionsHeldMax, mountDescriptorsMax } from './limits.ts'
import type { ServiceManager } from './service-manager.ts'

/** The part of the state of a mount that goes with these descriptors. Plain JSON. */
export interface LibrbdState {
  readonly socket: string
  readonly directory: string
  /** The mount of the view. See MountEntry. */
  readonly device: string
  /** The agreement with the kernel on the view. */
  readonly negotiated: Negotiated
}

/** All of it, of a supervisor that has died; the one that takes it closes the descriptors. */
export interface KeptLibrbd extends KeptConnections {
  readonly state: LibrbdState
  readonly listener: number
  readonly view: number
}

/** A descriptor that the service manager has handed to this process. */
export interface HandedDescriptor {
  readonly name: string
  readonly fd: number
}

const partNames = { listener: 'librbd-listener', journal: 'librbd-journal', view: 'librbd-view' } as const
type Part = keyof typeof partNames
const parts = ['listener', 'journal', 'view'] as const satisfies readonly Part[]

export function isOfLibrbd({ name }: HandedDescriptor): boolean {
  return name.startsWith('librbd-')
}

/** Null where a part is missing, or the view has gone. */
export function keptLibrbdIn(
  handed: readonly HandedDescriptor[],
  state: LibrbdState | null,
  isFuseConnected: (fd: number) => boolean,
): KeptLibrbd | null {
  const [listener, journal, view] = parts.map(part => handed.find(({ name }) => name === partNames[part])?.fd)
  if (state === null || listener === undefined || journal === undefined || view === undefined) return null
  if (!isFuseConnected(view)) return null
  const connections = handed.flatMap(({ name, fd }) => {
    const [, slot, number] = /^librbd-(\d+)-(\d+)$/.exec(name) ?? []
    return slot === undefined ? [] : [{ fd, slot: Number(slot), number: Number(number) }]
  })
  return { state, listener, journal, view, connections }
}

export class HeldLibrbd {
  readonly #manager: Pick<ServiceManager, 'hold' | 'drop' | 'socket' | 'descriptorsMax'>
  readonly #held = new Set<Part>()

  constructor(manager: Pick<ServiceManager, 'hold' | 'drop' | 'socket' | 'descriptorsMax'>) {
    this.#manager = manager
  }

  /** Null without a manager, or with one that has no room beside the mount. */
  get holder(): ConnectionHolder | null {
    const { socket, descriptorsMax } = this.#manager
    const room = descriptorsMax - mountDescriptorsMax - parts.length
    if (socket === null || room <= 0) return null
    return { socket, connectionsMax: Math.min(room, librbdConnectionsHeldMax) }
  }

  /** Another supervisor could go on with them. */
  get isWhole(): boolean {
    return this.#held.size === parts.length
  }

  /** The manager holds all of an earlier supervisor. */
  adopt(): void {
    for (const part of parts) this.#held.add(part)
  }

  /** Instead of what was held in its place. */
  hold(part: Part, fd: number): void {
    if (this.holder === null) return
    this.#drop(part)
    if (this.#manager.hold(partNames[part], fd)) this.#held.add(part)
  }

  /** @param kept connections that no keeper has taken; a keeper drops its own */
  drop(kept: Pick<KeptConnections, 'connections'> = { connections: [] }): void {
    for (const part of parts) this.#drop(part)
    for (const { slot, number } of kept.connections) this.#manager.drop(`librbd-${slot}-${number}`)
  }

  #drop(part: Part): void {
    if (this.#held.delete(part)) this.#manager.drop(partNames[part])
  }
}
