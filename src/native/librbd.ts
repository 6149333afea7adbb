/**
 * The addon's part of the librbd socket, as native-bindings/bridge/librbd.cc defines it: the keeper of connections in
 * the supervisor, and the responder in the worker.
 */
import type { StoreFile } from './addon.ts'

/** Accepts connections and holds them for one worker after the other; reads nothing. */
export interface LibrbdKeeper {
  /** From now on connections go to another worker. @returns the worker's end of the channel, which is the caller's */
  attach(): number
  /** Accept no more; connections stay. */
  stopListening(): void
  /** The descriptor of the journal of answers, which stays the keeper's. */
  journal(): number
  connections(): number
  /** Connections that were closed at once, because there were too many. */
  refused(): number
  /** Closes everything; the service manager holds no connection any more. Idempotent. */
  close(): void
}

/** The service manager that holds connections for the next keeper, each as `librbd-SLOT-NUMBER`. */
export interface ConnectionHolder {
  /** Its socket: a path, or `@` and an abstract name. */
  readonly socket: string
  /** Connections that it has room for. */
  readonly connectionsMax: number
}

/** One that was held; the descriptor is the next keeper's. */
export interface KeptConnection {
  readonly fd: number
  readonly slot: number
  readonly number: number
}

/** The journal and the connections of a keeper that has died; all descriptors are the next keeper's. */
export interface KeptConnections {
  readonly journal: number
  readonly connections: readonly KeptConnection[]
}

/** A snapshot as librbd names it when it asks for objects. */
export interface ParentName {
  readonly poolId: bigint
  readonly snapshotId: bigint
  readonly namespace: string
  readonly prefix: string
}

/** A parent whose objects the view has. */
export interface KnownParent {
  /** The upper half of the node ids of its objects. */
  readonly image: number
  /** The size of its objects is 2 to the power of this. */
  readonly order: number
  readonly sizeBytes: number
  /** Null: the store has none, or is not asked. */
  readonly file: StoreFile | null
  /** Bit k of the bytes: object k exists. Null: that is not known. */
  readonly existing: Uint8Array | null
  readonly left: LeftToCluster
}

/** The part of a parent that its mode leaves to the cluster: 0 nothing, 1 objects that are not held whole, 2 all. */
export type LeftToCluster = 0 | 1 | 2

export interface LibrbdCounters {
  readonly connections: number
  readonly registered: number
  readonly broken: number
  /** By kind, see src/librbd/answer-kinds.ts. */
  readonly answers: readonly number[]
}

/** Limits of what goes to the cluster because of answers; 0: none. */
export interface LibrbdThrottles {
  readonly readsPerSecond: number
  readonly readsBurst: number
  readonly bytesPerSecond: number
  readonly bytesBurst: number
}

/** Answers clients, on a thread of its own. */
export interface LibrbdResponder {
  setParent(name: ParentName, parent: KnownParent): void
  /** All parents that the image is. */
  changeParent(image: number, file: StoreFile | null, left: LeftToCluster): void
  /** The kind of answer that an ask for an object would get now, by its number; nothing is counted. */
  look(name: ParentName, object: number): number
  /** Its objects are read from the cluster. @param reason counted as the kind `refused` + reason */
  refuseParent(name: ParentName, reason: number): void
  /** It is unknown from now on. */
  removeParent(name: ParentName): void
  /** Was it asked for since the last such question? */
  takeAsked(name: ParentName): boolean
  /** Parents that were asked for and are unknown. */
  takeUnknown(): readonly ParentName[]
  setThrottles(throttles: LibrbdThrottles): void
  /** An object of which nothing is held goes by path from the ask of that number on, or that long after the first. */
  setColdPolicy(asks: number, ms: number): void
  counters(): LibrbdCounters
  /** Every READ is answered READ_RADOS from now on. */
  retreat(): void
  /** Nothing is answered from now on. */
  fallSilent(): void
  /** Shut all connections. */
  hangUp(): void
  /** Ends the thread; the connections stay with the supervisor. Idempotent. */
  close(): void
}

export interface Librbd {
  /**
   * A socket that listens at `path`, where nothing must be.
   * @param mode permission bits
   * @param group its group; null: the process's own
   */
  listenAt(path: string, mode: number, group: number | null): number
  /**
   * @param listener the keeper's from now on
   * @param manager null: connections end with this process
   * @param kept null: there were none
   */
  createLibrbdKeeper(listener: number, manager: ConnectionHolder | null, kept: KeptConnections | null): LibrbdKeeper
  /**
   * @param channel the responder's from now on
   * @param directory of the object view
   * @param onUnknown there is something to take, once until it is taken
   */
  createLibrbdResponder(channel: number, directory: string, onUnknown: () => void): LibrbdResponder
}
