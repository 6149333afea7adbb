/**
 * The portable transport: libfuse 2 by way of the optional package fuse-native, which mounts in this process.
 *
 * It can do less than the kernel's own protocol: see {@link fuseNativeCapabilities}. It ends with the process, and the
 * mount is dead then: no other process can go on with it.
 */
import { PeriodicTask } from '../../async/periodic-task.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import { noLatencies } from '../../base/latency-histogram.ts'
import { missSecondsMax, nameSecondsValid } from '../../base/limits.ts'
import type { Logger } from '../../base/logger.ts'
import type { Libfuse2 } from '../../native/libfuse2.ts'
import { type Presentation, presentationDefault } from '../filesystem/attributes.ts'
import type { Backend } from '../filesystem/backend.ts'
import { unmounted } from '../filesystem/errno.ts'
import { FileSystem } from '../filesystem/file-system.ts'
import type {
  Deadlines,
  SupersededEntry,
  Transport,
  TransportCounters,
  TransportGauges,
  TransportLatencies,
} from '../filesystem/transport.ts'
import type { TransportCapabilities } from '../filesystem/transport-capabilities.ts'
import { libfuseHandlers } from './handlers.ts'
import {
  fuseNativeBackgroundMax,
  fuseNativeLookMs,
  fuseNativeReadBytesMax,
  fuseNativeTextBytesMax,
  pinnedNamesMax,
} from './limits.ts'
import { createFuse, loadFuseNative, type NativeFuse } from './load-package.ts'
import { OpenFiles } from './open-files.ts'
import { PendingRequests, type PendingRequestsGauges } from './pending-requests.ts'
import { VersionPins } from './version-pins.ts'

export const fuseNativeCapabilities: TransportCapabilities = {
  seek: false,
  attributesInListings: false,
  readBytesMax: fuseNativeReadBytesMax,
  nativeHits: false,
  interrupts: false,
  passthrough: false,
  versionsSideBySide: false,
}

export interface FuseNativeTransportOptions {
  readonly addon: Libfuse2
  /** An existing directory with nothing mounted on it; absolute. */
  readonly mountpoint: string
  /** Shown in the mount table. */
  readonly source: string
  readonly allowOther: boolean
  readonly backend: Backend
  /** Owners and permissions; the process's own and 0444 where they are left out. */
  readonly presentation?: Partial<Presentation>
  readonly logger: Logger
  /** The time for which a request may wait for the rooms below; other than the default in tests only. */
  readonly deadlineMs?: number
  /** The same of a READ, null for ever; as the others where it is left out. */
  readonly readDeadlineMs?: number | null
}

export interface FuseNativeGauges extends TransportGauges, PendingRequestsGauges {}

/** Nothing is answered natively. */
const counters: TransportCounters = { hits: 0, hitBytes: 0, droppedSamples: 0 }
const latencies: TransportLatencies = { memory: noLatencies, disk: noLatencies }

/** They hold memory that native threads use until the process ends. */
const mounts: NativeFuse[] = []

interface Parts {
  readonly calls: PendingRequests
  /** `now` can be set. */
  readonly deadlines: { now: Deadlines }
  /** Does libfuse serve? It does not tell when it stops. */
  readonly isServing: () => boolean
  readonly names: VersionPins
}

export class FuseNativeTransport implements Transport {
  /** See Transport: ENODEV at any end but `stop`, since libfuse keeps the reason to itself. */
  readonly ended: Promise<number>
  readonly #fileSystem: FileSystem
  readonly #names: VersionPins
  readonly #calls: PendingRequests
  readonly #fuse: NativeFuse
  readonly #deadlines: Parts['deadlines']
  readonly #looks: PeriodicTask
  #end: (errno: number) => void = () => {}

  private constructor(fuse: NativeFuse, fileSystem: FileSystem, { calls, deadlines, names, isServing }: Parts) {
    this.#deadlines = deadlines
    this.#fuse = fuse
    this.#names = names
    this.#fileSystem = fileSystem
    this.#calls = calls
    this.ended = new Promise(resolve => (this.#end = resolve))
    this.#looks = new PeriodicTask(fuseNativeLookMs, () => {
      if (!isServing()) this.#finish(unmounted)
    })
    this.#looks.start()
  }

  /**
   * Mount, and serve; resolves when the kernel has said INIT.
   * @throws CacheError invalid-argument: the package is not there; mount-failed: something may be mounted all the same
   */
  static async mount(options: FuseNativeTransportOptions): Promise<FuseNativeTransport> {
    const { addon, mountpoint, backend, presentation, logger } = options
    const Fuse = loadFuseNative(addon)
    const fileSystem = new FileSystem({
      backend,
      presentation: { ...presentationDefault(), ...presentation },
      binder: { bind: () => {}, unbind: () => {} },
      passthrough: null,
      firstDirectoryHandle: 1n,
    })
    const names = new VersionPins(fileSystem, pinnedNamesMax)
    const deadlineMs = options.deadlineMs ?? missSecondsMax * 1000
    const { readDeadlineMs = deadlineMs } = options
    const calls = new PendingRequests({ logger, nowMs: () => performance.now() })
    const files = new OpenFiles((path, nodeId) => names.release(path, nodeId))
    const deadlines = { now: { deadlineMs, readDeadlineMs } }
    const handlers = libfuseHandlers({ fileSystem, names, files, calls, deadlines: () => deadlines.now })
    const fuse = createFuse(Fuse, mountpoint, mountOptions(options), handlers)
    mounts.push(fuse)
    await mounted(fuse, mountpoint)
    const loop = addon.latestLibfuse2Loop()
    const isServing = () => addon.isLibfuse2LoopRunning(loop)
    return new FuseNativeTransport(fuse, fileSystem, { calls, deadlines, names, isServing })
  }

  /** All that the kernel knows it learned here. */
  async knows(nodeId: bigint, lost: SupersededEntry | null): Promise<boolean> {
    if (lost) this.#names.drop(['', lost.directory, lost.name].filter(part => part !== null).join('/'))
    return this.#fileSystem.knows(nodeId)
  }

  readonly passthroughOff = 'fuse-native has none'

  gauges(): FuseNativeGauges {
    return { ...this.#calls.gauges(), ...this.#fileSystem.gauges(), interrupted: 0 }
  }

  rebind(): Promise<void> {
    return this.#fileSystem.rebind()
  }

  setDeadlines(deadlines: Deadlines): void {
    this.#deadlines.now = deadlines
  }

  /** All reads come to the main thread. */
  takeSamples(): Float64Array {
    return new Float64Array(0)
  }

  counters(): TransportCounters {
    return counters
  }

  latencies(): TransportLatencies {
    return latencies
  }

  stop(): Promise<void> {
    this.#calls.stop()
    this.#fileSystem.close()
    this.#finish(0)
    return Promise.resolve()
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop()
  }

  #finish(errno: number): void {
    this.#looks.stop()
    this.#fuse.unmount(() => {})
    this.#end(errno)
  }
}

/**
 * Attributes are asked for at every open and stat: see version-pins.ts.
 * @throws CacheError invalid-argument: the path is too long for fuse-native, which would cut it
 */
function mountOptions({ mountpoint, source, allowOther }: FuseNativeTransportOptions): string {
  if (Buffer.byteLength(mountpoint) > fuseNativeTextBytesMax) {
    const what = `mountpoint ${mountpoint} has more than ${fuseNativeTextBytesMax} bytes`
    throw new CacheError(
      'invalid-argument',
      `${what}, which transport fuse-native cannot mount: choose another directory`,
    )
  }
  const options = ['ro', 'nosuid', 'nodev', 'default_permissions', 'subtype=parentfs']
  options.push('attr_timeout=0', `entry_timeout=${nameSecondsValid}`, `max_background=${fuseNativeBackgroundMax}`)
  options.push(`congestion_threshold=${(fuseNativeBackgroundMax * 3) / 4}`)
  if (allowOther) options.push('allow_other')
  // libfuse refuses directories that are not empty unless it is told; fusermount3 does not, and does not know the word.
  if (process.geteuid?.() === 0) options.push('nonempty')
  const shown = `fsname=${source.replace(/[\\,]/g, '\\$&')}`
  const fits = Buffer.byteLength(['-o', ...options, shown].join(',')) <= fuseNativeTextBytesMax
  return [...options, fits ? shown : 'fsname=parentfs'].join(',')
}

function mounted(fuse: NativeFuse, mountpoint: string): Promise<void> {
  return new Promise((resolve, reject) => {
    fuse.mount(error => {
      if (!error) return resolve()
      const what = `mountpoint ${mountpoint}: libfuse could not mount (${messageOf(error)}; see what it wrote to standard error)`
      reject(new CacheError('mount-failed', what, { cause: error }))
    })
  })
}
