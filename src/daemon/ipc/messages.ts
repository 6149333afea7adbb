/**
 * Messages between supervisor and worker, as lines of JSON (line-channel.ts). Descriptors go beside them, over a socket
 * pair.
 *
 * The order at start: `hello`, `boot`, `booted`, then the descriptor and `mounted`, then `negotiated` and `ready`;
 * where the transport mounts by itself, `hello`, `boot`, `booted`, `mount`, `ready`. The values told to the kernel are
 * plain JSON and stay with the supervisor, which outlives the worker.
 */
import type { ErrorCode } from '../../base/errors.ts'
import type { PoisonVerdict } from '../../fuse/kernel/inflight-journal.ts'
import type { Negotiated } from '../../fuse/kernel/negotiation.ts'
import type { ConfigurationDocument, LibrbdPlace, Settings } from '../config/settings.ts'
import type { Holder } from '../mount/mount-holders.ts'

/**
 * The process that mounts, by its name on the wire: `keeper` is the supervisor, `server` the worker. A transport may
 * leave no choice.
 */
export type MounterProcess = 'keeper' | 'server'

export type ToWorker =
  | {
      readonly type: 'boot'
      readonly settings: Settings
      readonly keeperPid: number
      /** Why the cache must be passed by: earlier workers have died of it, perhaps. Null where all is well. */
      readonly bypass: string | null
      /** Why an index that was not closed may be damaged, and has to be copied; null: it need not be. */
      readonly indexDoubt: string | null
      /** Requests of guests wait for this worker: it warms up later. */
      readonly isAwaited: boolean
    }
  /** Instead of `boot`, which may follow: say whether you could, and touch nothing. `isAwaited`: as in `boot`. */
  | { readonly type: 'prepare'; readonly settings: Settings; readonly isAwaited: boolean }
  /**
   * The fate of the workers before, once requests are answered; `kept`: the mount stays when the supervisor dies.
   * `librbdKept`: so do librbd's connections; older supervisors do not say.
   */
  | { readonly type: 'history'; readonly takeovers: Takeovers; readonly kept: boolean; readonly librbdKept?: boolean }
  /** The answer to `upgrade-request`: refused, or another worker is ready and `stop` follows. */
  | { readonly type: 'upgrade-answer'; readonly id: number; readonly outcome: UpgradeOutcome }
  /**
   * The descriptor of /dev/fuse is in the socket. `negotiated`: the agreement of an earlier worker with the kernel, or
   * null. `judgement`: requests that may kill. `kept`: as in `history`.
   */
  | {
      readonly type: 'mounted'
      readonly negotiated: Negotiated | null
      readonly judgement: PoisonVerdict
      readonly kept: boolean
      /**
       * Two more descriptors are in the socket: /dev/fuse of the object view, and the channel of librbd's connections.
       * `negotiated`: as above, of the view. `kept`: as `librbdKept`. Null: librbd has no socket.
       */
      readonly librbd?: { readonly negotiated: Negotiated | null; readonly kept?: boolean } | null
    }
  /** Librbd's socket is closed: retreat, fall silent, hang up, and say `librbd-ended`. */
  | { readonly type: 'librbd-end' }
  /** To the worker that mounts: do so, and serve. */
  | { readonly type: 'mount' }
  /** The answer to `unmount`; null: it is unmounted, and `stop` follows. */
  | { readonly type: 'unmount-answer'; readonly id: number; readonly refusal: UnmountRefused | null }
  /** The configuration file says this now; `id` of the request, null where no client waits for an answer. */
  | { readonly type: 'reload'; readonly id: number | null; readonly document: ConfigurationDocument }
  /** It could not be read, and nothing has changed. */
  | { readonly type: 'reload-failed'; readonly id: number; readonly code: ErrorCode; readonly message: string }
  /** Say `pong`: whether the event loop still turns. */
  | { readonly type: 'ping' }
  /** Nothing is mounted any more (or never was): close everything and exit 0. */
  | { readonly type: 'stop' }

export type ToSupervisor =
  /** The first message of a worker, once its program is loaded: its version, and its version of these messages. */
  | { readonly type: 'hello'; readonly version: string; readonly protocol: number }
  /** Everything but the mount is up. `source`: the origin without credentials. */
  | {
      readonly type: 'booted'
      readonly source: string
      readonly allowOther: boolean
      readonly mounter: MounterProcess
      readonly restarts: Restarts
      /** Paths of the addons that it has loaded. */
      readonly addons: readonly string[]
      /** The socket for librbd and the directory of its objects; null: there is none. Earlier workers do not say. */
      readonly librbd?: LibrbdPlace | null
    }
  /** It could boot. `protocol`: which messages it understands. */
  | { readonly type: 'prepared'; readonly version: string; readonly protocol: number }
  /** An operator asked for another worker: of the version in that directory, or of the supervisor's own. */
  | { readonly type: 'upgrade-request'; readonly id: number; readonly directory: string | null }
  /**
   * An operator moves the cache to `directory`: another worker has to take over there. `passed`: images that the kernel
   * reads by itself from files of the old one. The answer is an `upgrade-answer`.
   */
  | {
      readonly type: 'move-request'
      readonly id: number
      readonly from: string
      readonly directory: string
      readonly passed: readonly string[]
    }
  /** The directory that the cache has left is empty. */
  | { readonly type: 'move-cleaned'; readonly from: string }
  /** An origin is leaving the mount, and once nothing of it is left, it is removed. */
  | { readonly type: 'origin-leaving'; readonly directory: string }
  | { readonly type: 'origin-removed'; readonly directory: string }
  /** Another capacity, which holds for the workers that follow as well. */
  | { readonly type: 'capacity'; readonly capacityBytes: number }
  /** The worker cannot start and is about to exit. */
  | { readonly type: 'failed'; readonly code: ErrorCode; readonly message: string }
  /** The outcome of INIT: the supervisor knows it before the kernel does. */
  | { readonly type: 'negotiated'; readonly negotiated: Negotiated }
  /** The same of the object view. */
  | { readonly type: 'view-negotiated'; readonly negotiated: Negotiated }
  /** The answer to `librbd-end`. */
  | { readonly type: 'librbd-ended' }
  /** The session runs and INIT is answered. */
  | { readonly type: 'ready' }
  /** The session is over without our doing: unmounted from outside (`reason` null), or the device failed. */
  | { readonly type: 'ended'; readonly reason: string | null }
  /** An unmount was asked for through the admin socket. */
  | { readonly type: 'unmount'; readonly id: number; readonly force: boolean }
  /** A reload of the configuration file was asked for. */
  | { readonly type: 'reload-request'; readonly id: number }
  /** The answer to `ping`. */
  | { readonly type: 'pong' }
  /** The log level from now on, after a reload: `document` is in effect. Earlier workers do not say it. */
  | { readonly type: 'log-level'; readonly level: string; readonly document?: ConfigurationDocument }

/** Does it tell of settings that hold for the workers that follow? One that is being replaced may still say so. */
export function changesSettings({ type }: ToSupervisor): boolean {
  return ['capacity', 'log-level', 'origin-leaving', 'origin-removed', 'move-cleaned'].includes(type)
}

/** The version of these messages: a supervisor leads no worker that has another one. */
export const protocolVersion = 2

/**
 * The version that `prepared` names: a supervisor of version 1 knows no `hello`, and asks by `prepare` alone. It can
 * lead us: what has come since is left out or ignored. A later one goes by `hello`.
 */
export const preparedProtocol = 1

/** Workers that took the place of others on this mount. */
export interface Takeovers {
  readonly count: number
  /** The time that requests waited for the last one, and for the slowest. */
  readonly lastPauseMs: number
  readonly longestPauseMs: number
  /** Why the last upgrade ended with the version of before; null when it did not. */
  readonly refusedUpgrade: string | null
}

/** The history that goes on when workers get another supervisor. */
export interface TakeoverHistory {
  /** Of the version that serves; null: the supervisor's own. */
  readonly directory: string | null
  readonly takeovers: Takeovers
}

export const noTakeovers: Takeovers = { count: 0, lastPauseMs: 0, longestPauseMs: 0, refusedUpgrade: null }

export function oneMore(
  { count, longestPauseMs }: Takeovers,
  pauseMs: number,
  refusedUpgrade: string | null,
): Takeovers {
  return { count: count + 1, lastPauseMs: pauseMs, longestPauseMs: Math.max(pauseMs, longestPauseMs), refusedUpgrade }
}

/** The version that is about to serve, or why nothing has happened. */
export type UpgradeOutcome =
  | { readonly version: string; readonly refusal: null }
  | { readonly version: null; readonly refusal: { readonly code: ErrorCode; readonly message: string } }

/** The limits of a crash loop. */
export interface Restarts {
  /** So many that die in a row, none of which was well, are a loop. */
  readonly deathsMax: number
  /** A worker was well that had served this long. */
  readonly wellMs: number
}

/** Why an unmount was not done. */
export interface UnmountRefused {
  readonly code: ErrorCode
  readonly message: string
  readonly holders: readonly Holder[]
}
