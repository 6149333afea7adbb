/**
 * Programs that show an image of a web server as a file: parentfs, and what a user would pick instead. Each is set up as its
 * manual says for this purpose, and is started, measured and ended the same way.
 */

/** Where one contender works, for one life or several. */
export interface Place {
  /** Its own, empty before the first start; what it caches there outlives it. */
  readonly directory: string
  /** The web server; it ends in a slash. The same files are the objects of its bucket {@link bucketName}. */
  readonly originUrl: string
  readonly imageName: string
  /** The image on the local disk, as those read it that need no origin. */
  readonly imagePath: string
}

export const bucketName = 'bucket'

/** A contender that runs. */
export interface Running {
  /** The image. */
  readonly path: string
  /** Its processes now. */
  pids(): number[]
  /** Unmount and end; what it cached stays in its directory. */
  stop(): Promise<void>
  /** The same by force, where `stop` does not end. Never rejects. */
  kill(): Promise<void>
}

export interface Contender {
  readonly name: string
  /** Programs that must be there, as Debian packages have them. */
  readonly programs: readonly string[]
  /** Does it read from the web server, or the local file itself? */
  readonly far: boolean
  /** Does it keep what it cached over a restart, by its own account? */
  readonly keeps: boolean
  start(place: Place): Promise<Running>
}
