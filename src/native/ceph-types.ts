/**
 * Types of the librados and librbd calls that are used, as native-bindings/bridge/rbd/ defines them, in its order.
 *
 * Nothing here waits on the main thread or in libuv's pool. Calls that block run on a few threads of the connection's
 * own, which may hang as long as the library does; a waiter can leave. A failure rejects with an error that has the
 * errno's name as its `code` and the library's function as its `syscall`.
 */

import type { OriginReader } from './origin-reader.ts'

export interface CephAddon {
  /** Open the libraries. @returns null, or the dynamic linker's words about what is missing */
  openLibraries(): string | null
  connect(options: CephOptions): Promise<CephCluster>
}

export interface CephOptions {
  readonly cluster: string
  /** As in `client.admin`. */
  readonly user: string
  /** null: where Ceph looks by default. */
  readonly configurationFile: string | null
  /** Options of Ceph's own, which overrule the file: name, value, name, value. */
  readonly options: readonly string[]
  /** For calls that block. */
  readonly threads: number
  /** Calls that may wait for a thread, and reads that may wait to be sent; one more fails with EBUSY. */
  readonly waitingMax: number
}

/** A connection. It ends when it, its pools and their images have been closed and the last read is over. */
export interface CephCluster {
  openPool(name: string, namespace: string): Promise<CephPool>
  /** Calls that run on its threads now. */
  running(): number
  /** Resolves when the connection has ended. To be called once. */
  close(): Promise<void>
}

export interface CephSnapshot {
  readonly id: bigint
  readonly name: string
  readonly sizeBytes: number
  readonly isProtected: boolean
  readonly createdMs: number
}

export interface CephImageDescription {
  /** Never used again, as names are. Empty for an image of the first format. */
  readonly id: string
  readonly sizeBytes: number
  readonly modifiedMs: number
  /** Those that users made. */
  readonly snapshots: readonly CephSnapshot[]
}

export interface CephObjectFacts {
  readonly sizeBytes: number
  readonly modifiedMs: number
  readonly version: bigint
}

/** A read under way. */
export interface CephRead<T> {
  readonly done: Promise<T>
  /** The target is not touched any more; `done` settles in its time. */
  leave(): void
}

export interface CephPool {
  /** Never used again, as names are. */
  readonly id: number
  images(): Promise<readonly { readonly id: string; readonly name: string }[]>
  describeImage(name: string): Promise<CephImageDescription>
  /** @param snapshot an id; 0 for the image as it is now */
  openImage(id: string, snapshot: bigint): Promise<CephImage>
  /** The ids of all snapshots that the image with this id has now. */
  snapshotIds(imageId: string): Promise<readonly bigint[]>
  /** Names of objects that begin with `prefix`, without it. */
  objects(prefix: string, countMax: number): Promise<readonly string[]>
  statObject(name: string): Promise<CephObjectFacts>
  /** Fails with EOVERFLOW or ERANGE when the object has another version, with ESTALE when it ends before. */
  readObject(name: string, version: bigint, offset: number, target: Uint8Array): CephRead<void>
  /** This version of an object, for native threads; it reads nothing any more once the pool is closed. */
  source(name: string, version: bigint): OriginReader
  /** The omap of an object: key, value, key, value, of keys that begin with `prefix`; none where there is no object. */
  omapEntries(name: string, prefix: string, countMax: number): Promise<readonly string[]>
  /** The object is made where there is none. */
  setOmapEntry(name: string, key: string, value: string): Promise<void>
  removeOmapEntry(name: string, key: string): Promise<void>
  /** Tell those that watch an object; they are waited for that long at most. */
  notifyWatchers(name: string, msMax: number): Promise<void>
  watch(name: string): Promise<CephWatch>
  close(): void
}

/** A watch of an object. */
export interface CephWatch {
  /** Resolves with the next notice; of one at a time. Rejects when the watch has ended. */
  next(): Promise<void>
  /** A promise that waits for a notice is rejected. */
  close(): void
}

/** The way in which an image lies in objects. */
export interface CephLayout {
  /** The image's. */
  readonly name: string
  /** Objects are named by it, a dot and their number. */
  readonly prefix: string
  readonly dataPoolId: bigint
  readonly objectBytes: number
  /** 1: no striping. */
  readonly stripeCount: number
  readonly isMigrating: boolean
}

export interface CephImage {
  readonly sizeBytes: number
  /** It is a clone: what it lacks is read from its parent. */
  readonly hasParent: boolean
  /** It can tell quickly what exists. */
  readonly hasObjectMap: boolean
  layout(): Promise<CephLayout>
  /**
   * The data in a range, by whole objects: offset, end, offset, end, ascending. What lies between is a hole.
   * @param withParent also what a clone has from its parent
   */
  data(offset: number, length: number, withParent: boolean): Promise<Float64Array>
  /** Resolves true when some piece of an object that was read is all zeros, as it would be if the object had gone. */
  read(offset: number, target: Uint8Array): CephRead<boolean>
  /** For native threads; it reads nothing any more once the image is closed. */
  source(): OriginReader
  close(): void
}
