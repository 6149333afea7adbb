/**
 * Programs that show an image of a web server as a file: parentfs, and those that a user would pick instead. Each is
 * set up as its manual says for this purpose, and is started, measured and ended the same way.
 */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import type { Status } from '../../src/admin/status.ts'
import type { LifeKind } from '../compare/samples.ts'

/** Place of one contender, for one life or several. */
export interface Place {
  /** Its own, empty before the first start; its cache there outlives it. */
  readonly directory: string
  /** The web server; it ends in a slash. The same files are the objects of its bucket {@link bucketName}. */
  readonly originUrl: string
  readonly imageName: string
  /** The image on the local disk, in the directory that the web server serves. */
  readonly imagePath: string
  /** A boot profile of the boot image, as `parentfs profile export` prints it; null while there is none. */
  readonly profile: string | null
}

export const bucketName = 'bucket'

/** A contender that runs. */
export interface Running {
  /** The image. */
  readonly path: string
  /** Its processes now. */
  pids(): number[]
  /** Unmount and end; its cache stays in its directory. */
  stop(): Promise<void>
  /** The same by force, where `stop` does not end. Never rejects. */
  kill(): Promise<void>
  /** Of parentfs alone. */
  readonly status?: () => Promise<Status>
}

export interface Contender {
  readonly name: string
  readonly lives: readonly LifeKind[]
  /** @returns the reason why it cannot run here; null when it can */
  missing(): Promise<string | null>
  start(place: Place): Promise<Running>
}

/** All lives in which there is an image to mount. */
export const allLives: readonly LifeKind[] = ['misses', 'first', 'sequential', 'boot', 'storm', 'complete']

/** A check that programs are there, as Debian's packages have them. */
export function programs(...names: readonly string[]): () => Promise<string | null> {
  return async () => {
    const missing: string[] = []
    for (const name of names) {
      await promisify(execFile)('sh', ['-c', 'command -v "$0"', name]).catch(() => missing.push(name))
    }
    return missing.length === 0 ? null : `${missing.join(', ')} not installed`
  }
}
