/**
 * The settings of a mount as they were asked for: plain values that travel from the command line through the supervisor
 * to the worker.
 *
 * The document holds the lines of a configuration file, or those of the command line in its place. configuration.ts, in
 * the worker, fills in the defaults and judges the whole.
 */
import type { ErrorCode } from '../../base/errors.ts'
import type { ReadAroundChoice } from '../../cache/fetch/limits.ts'

/** Plain JSON: it crosses two processes. */
export interface Settings {
  /** The file that the document was read from, absolute; null when the command line said everything. */
  readonly configFile: string | null
  /** Absolute path without symbolic links; in the document it may be written otherwise. */
  readonly mountpoint: string
  /** The cache directory that the document names, for advice to people. */
  readonly cacheDirectory: string | null
  /**
   * The source in the mount table, where it is not to be the origins: mount(8) knows by it that this is mounted
   * already.
   */
  readonly source: string | null
  /** Both processes log before anything is judged. */
  readonly log: LogSettings
  readonly document: ConfigurationDocument
  /** The last move of the cache to another directory, which the document names then; null or absent: none. */
  readonly move?: CacheMove | null
  /** Directories of origins that the document names, and that are leaving the mount; none when absent. */
  readonly leaving?: readonly string[]
}

/** A move of the cache to another directory. */
export interface CacheMove {
  readonly from: string
  readonly to: string
  /** No worker has booted there yet: what lies in the new directory is of a move that failed. */
  readonly isNew: boolean
  /** The old directory has been emptied. */
  readonly isClean: boolean
  /** Directories of earlier moves that are not empty yet; none when absent. */
  readonly earlier?: readonly string[]
  /** Ids of images that the kernel reads by itself, from files of an old directory. */
  readonly passed: readonly string[]
}

/** Settings by the names of docs/OPERATIONS.md, not yet judged. */
export type ConfigurationDocument = Readonly<Record<string, unknown>>

/** The outcome of reading a configuration file: what it says, or why it is not usable. */
export type ReadConfiguration =
  | { readonly document: ConfigurationDocument }
  | { readonly code: ErrorCode; readonly message: string }

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

/** The fate of a miss whose origin is away when its time is over. */
export const outageChoices = ['fail', 'wait'] as const

/** Choices of the bytes that may be fetched around misses in vain; src/cache/fetch/limits.ts has their meaning. */
export const readAroundWords = ['frugal', 'balanced', 'fast'] as const satisfies readonly ReadAroundChoice[]

/** Transports that `--transport` accepts; with the first, the supervisor mounts, with the second, the worker. */
export const transports = ['kernel', 'fuse-native'] as const

/** Opens of complete images for which the kernel reads the data file itself. */
export const passthroughModes = ['auto', 'buffered', 'always', 'never'] as const

/** Choice between a member and the origin for a read. */
export const fleetPreferences = ['sooner', 'origin-relief'] as const

/** Services that are told of the copies of this host. */
export const fleetRegistrations = ['none', 'glance'] as const

/** The socket on which librbd asks, and the directory that shows objects to it. */
export interface LibrbdPlace {
  readonly socket: string
  readonly directory: string
  /** Permission bits of the socket. */
  readonly mode: number
  /** Of socket and objects; null: the process's own. */
  readonly group: number | null
}
