/**
 * Opener of a mount's origins: from settings to an Origin with its further locations, told ones and native readers.
 *
 * The files that settings name are read once, apart from the opening: an origin is opened again with what was read.
 */
import { lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { DEFAULT_CIPHERS } from 'node:tls'
import type { CacheError } from '../../base/errors.ts'
import { originDescriptorsMax } from '../../base/limits.ts'
import type { Logger } from '../../base/logger.ts'
import type { OriginReach } from '../../fleet/asking/relayed-origin.ts'
import type { Addon } from '../../native/addon.ts'
import { loadCephAddon } from '../../native/ceph-addon.ts'
import type { RangeReceiver } from '../../native/range-receiver.ts'
import type { StreamDecoders } from '../../native/stream-decoder.ts'
import type { Unpacker } from '../../native/unpacker.ts'
import { ReaderTable } from '../../origin/contract/native-read-sources.ts'
import type { Origin } from '../../origin/contract/origin.ts'
import type { ParentFinder } from '../../origin/contract/parent-finder.ts'
import type { ExtentFinder } from '../../origin/file/file-origin.ts'
import type { LocationRegistrar } from '../../origin/glance/location-registrar.ts'
import type { LocatedOrigin } from '../../origin/locations/located-origin.ts'
import { type OriginDependencies, type OriginOptions, openOrigin } from '../../origin/open-origin.ts'
import type { OriginSeals } from '../../origin/sealed/origin-seals.ts'
import type { CircuitState } from '../../origin/wrappers/circuit-state.ts'
import type { Hedges } from '../../origin/wrappers/hedge.ts'
import type { Meter } from '../../origin/wrappers/meter.ts'
import { locationSettingsOf, type OriginSettings, originOptionsOf } from '../config/origin-settings.ts'
import { onlyIfCached } from './only-if-cached.ts'

export interface OriginOpenerContext {
  readonly addon: ExtentFinder &
    Pick<Addon, 'createReceiver' | 'createGrant' | 'createFileReaders'> &
    StreamDecoders &
    Unpacker
  readonly logger: Logger
  /** Why a told location at a URL is not for this host; null: it may be. */
  refusalOf(url: URL): string | null
}

/** The parts of an origin that outlive its opening. */
export interface OriginState {
  readonly meter: Meter
  readonly hedges: Hedges
  readonly availability: CircuitState
  readonly seals: OriginSeals
}

/** Settings with the contents of the files that they name, for the origin and its further locations. */
export interface ReadSettings {
  readonly settings: OriginSettings
  readonly options: OriginOptions
  readonly locations: readonly { readonly settings: OriginSettings; readonly options: OriginOptions }[]
}

/** An origin that was opened; `origin` as members of a group hold its images, `unshared` without them. */
export interface Opened {
  readonly origin: Origin
  readonly unshared: Origin
  readonly readers: ReaderTable
  /** Shows and compares the locations of its images; null where it has none but its own. */
  readonly located: LocatedOrigin | null
  /** Of a pool of a Ceph cluster; null for all others. */
  readonly finder: ParentFinder | null
  /** Of an image service; null for all others. */
  readonly registrar: LocationRegistrar | null
}

/** Puts an origin behind other hosts. */
export type ShareOrigin = (inner: Origin, reach: OriginReach) => Origin

export class OriginOpener {
  readonly #parts: OriginOpenerContext
  readonly #receiver: RangeReceiver
  /** Does the addon know the OpenSSL of this Node.js? Asked for the first https: origin. */
  #knowsOpenssl: boolean | undefined

  constructor(parts: OriginOpenerContext) {
    this.#parts = parts
    this.#receiver = parts.addon.createReceiver()
    // OpenSSL ends with the process, and must not be in use then.
    process.once('exit', this.#endReceiving)
  }

  /** Read the files that settings name. @throws CacheError invalid-argument when one is not usable */
  read(settings: OriginSettings): ReadSettings {
    const { logger } = this.#parts
    const locations = locationSettingsOf(settings).map(location => {
      return { settings: location, options: { ...originOptionsOf(location, logger), views: [] } }
    })
    return { settings, options: originOptionsOf(settings, logger), locations }
  }

  /** @param share null: other hosts take no part. @throws CacheError invalid-argument */
  open(read: ReadSettings, { meter, hedges, availability, seals }: OriginState, shareWith: ShareOrigin | null): Opened {
    const { addon, logger } = this.#parts
    const { settings, options } = read
    if (settings.url.startsWith('https:')) this.#sayIfTlsIsSlow()
    const { reads, bytes } = options.throttle ?? {}
    const grant = addon.createGrant((reads?.perSecond ?? 0) > 0, (bytes?.perSecond ?? 0) > 0)
    const readers = new ReaderTable(originDescriptorsMax, grant)
    const native = { addon, loadCeph: loadCephAddon, receiver: this.#receiver, unpacker: addon }
    let unshared: Origin | null = null
    const share = (origin: Origin) => {
      unshared = origin
      const failed = (error: CacheError) => void availability.enterAtOnce()?.failed(error)
      return shareWith!(origin, { isAway: () => availability.state === 'away', failed })
    }
    const parts = { ...native, meter, hedges, availability, logger, seals, readers, ...(shareWith ? { share } : {}) }
    const createFileReaders = () => addon.createFileReaders()
    const locations = read.locations.map(location => this.#openLocation(location))
    let located: LocatedOrigin | null = null
    const onLocated = (origin: LocatedOrigin) => {
      located = origin
    }
    let finder: ParentFinder | null = null
    const onParentFinder = (found: ParentFinder) => {
      finder = found
    }
    let registrar: LocationRegistrar | null = null
    const onRegistrar = (found: LocationRegistrar) => {
      registrar = found
    }
    const heard = { onLocated, onParentFinder, onRegistrar, told: this.#toldOf(options) }
    const origin = openOrigin(settings.url, { ...parts, createFileReaders, options, locations, ...heard })
    const found = { located: located as LocatedOrigin | null, finder: finder as ParentFinder | null }
    const own = { unshared: (unshared as Origin | null) ?? origin, registrar: registrar as LocationRegistrar | null }
    return { origin, readers, ...found, ...own }
  }

  /** Opens told locations with the trust and the time-outs of their origin, and without its secrets. */
  #toldOf({ http, ...options }: OriginOptions): NonNullable<OriginDependencies['told']> {
    const { addon, logger } = this.#parts
    const parts = { addon, loadCeph: loadCephAddon, receiver: this.#receiver, logger }
    const open = (base: string, lookup: LookupFunction) => {
      const own = { ...options, views: [], verify: null, imageStores: [], names: { include: null, exclude: [] } }
      return openOrigin(base, { ...parts, options: { ...own, http: { ...http, lookup, authorizer: onlyIfCached } } })
    }
    return { lookup, open, refusal: url => this.#parts.refusalOf(url) }
  }

  /** A further location: judged and counted by itself, and read by TypeScript alone. */
  #openLocation({ settings, options }: ReadSettings['locations'][number]): Origin {
    const { addon, logger } = this.#parts
    if (settings.url.startsWith('https:')) this.#sayIfTlsIsSlow()
    return openOrigin(settings.url, { addon, loadCeph: loadCephAddon, receiver: this.#receiver, logger, options })
  }

  #sayIfTlsIsSlow(): void {
    if (this.#knowsOpenssl !== undefined) return
    this.#knowsOpenssl = this.#receiver.trust('', DEFAULT_CIPHERS) !== null
    if (this.#knowsOpenssl) return
    const message = 'the addon does not know the OpenSSL of this Node.js: TLS is received in JavaScript, more slowly'
    this.#parts.logger.warn({ node: process.version, openssl: process.versions.openssl }, message)
  }

  readonly #endReceiving = () => this.#receiver.close()

  /** Its origins are closed. Idempotent. */
  close(): void {
    process.off('exit', this.#endReceiving)
    this.#endReceiving()
  }
}
