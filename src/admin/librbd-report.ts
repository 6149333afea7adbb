/**
 * Report of the librbd socket for operators: in the status, in metrics, and about one object.
 */
import { CacheError } from '../base/errors.ts'

/** The socket, since this worker started. */
export interface LibrbdReport {
  readonly connections: number
  /** Connections that were closed because their bytes were no frames. */
  readonly broken: number
  /** By kind: `resident` and `partial` are answered by path, `absent` as such, all others with "read it yourself". */
  readonly answers: Readonly<Record<string, number>>
  /** Parents that are answered by path. */
  readonly parentsKnown: number
  readonly parents: readonly LibrbdParent[]
}

/** A parent as librbd names it. */
export interface LibrbdParent {
  readonly poolId: string
  readonly namespace: string
  readonly prefix: string
  readonly snapshotId: string
  /** The file that shows it; null where it is refused. */
  readonly image: string | null
  readonly refusal: string | null
}

/** One object of a parent, and the answer that an ask for it would get now. */
export interface LibrbdObject {
  readonly parent: LibrbdParent
  readonly object: number
  /** Its place in the image; null where the parent is refused. */
  readonly place: { readonly image: string; readonly offset: number; readonly bytes: number } | null
  /** The path that a client is told; null where it reads the cluster. */
  readonly path: string | null
  readonly kind: string
  readonly why: string
}

export interface LibrbdHandlers {
  /** Null where librbd is not served. */
  status(): LibrbdReport | null
  /**
   * @param name of an object as librbd has it, `@` and the id of a snapshot behind it where more than one is known
   * @throws CacheError not-found, invalid-argument
   */
  explain(name: string): LibrbdObject
}

/** Those of a mount that does not serve librbd. */
export const noLibrbd: LibrbdHandlers = {
  status: () => null,
  explain: () => {
    throw new CacheError('invalid-argument', 'this mount does not serve librbd: "librbd.socket" names a socket')
  },
}
