/**
 * What a mount was asked to be: the plain values that travel from the command line through the keeper to the server.
 *
 * Null means "not said": configuration.ts, in the server, fills in the default and judges the whole.
 */

/** Everything `parentfs mount` can say. Plain JSON: it crosses two processes. */
export interface Settings {
  /** URL of the origin, possibly with credentials: never logged as it is. */
  readonly origin: string
  /** Absolute path without symbolic links. */
  readonly mountpoint: string
  readonly cacheDirectory: string | null
  readonly capacityBytes: number | null
  readonly blockBytes: number | null
  readonly revalidateMs: number | null
  readonly transport: string
  readonly attributes: FileAttributes
  /** Null: allowed for root's mounts only. */
  readonly allowOther: boolean | null
  readonly log: LogSettings
}

/** Owner and permission bits of every file and directory of the mount; null means the default. */
export interface FileAttributes {
  readonly uid: number | null
  readonly gid: number | null
  /** Permission bits of files; directories get the matching x bits added. */
  readonly mode: number | null
}

export interface LogSettings {
  /** trace, debug, info, warn, error, fatal, silent */
  readonly level: string
  /** Lines for people, not JSON. */
  readonly pretty: boolean
  /** Append here instead of writing to standard error. */
  readonly file: string | null
}

/** Levels, from the most to the least said. */
export const logLevels = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const

/** Transports that `--transport` accepts. */
export const transports = ['kernel'] as const
