/**
 * Opens this host's part in a group: its registry, its record, its trust, from the settings.
 */
import { resolveSrv } from 'node:dns/promises'
import { readFile } from 'node:fs/promises'
import type { FleetHandlers } from '../../admin/fleet-handlers.ts'
import type { Progress } from '../../admin/progress-stream.ts'
import { OwnTime } from '../../async/own-time.ts'
import { runAfter } from '../../async/timers.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import { TiB } from '../../base/limits.ts'
import type { Logger } from '../../base/logger.ts'
import type { CacheOperations, LongOptions } from '../../cache/operations/operations.ts'
import { FleetGroup } from '../../fleet/asking/fleet-group.ts'
import type { FleetStatus, UnitExplanation } from '../../fleet/asking/fleet-status.ts'
import { GroupPromotion, type PromotedMember } from '../../fleet/asking/group-promotion.ts'
import { MemberClient, type MemberTrust } from '../../fleet/asking/member-client.ts'
import { ownedRanges } from '../../fleet/asking/owned-units.ts'
import type { OwnProfiles } from '../../fleet/asking/profile-exchange.ts'
import type { SecondHandUnit } from '../../fleet/asking/second-hand-audit.ts'
import { ViewFile } from '../../fleet/asking/view-file.ts'
import { boundedWeight, type Member } from '../../fleet/group/member.ts'
import { DnsRegistry } from '../../fleet/registry/dns-registry.ts'
import { EtcdRegistry } from '../../fleet/registry/etcd-registry.ts'
import { registryRequestMsMax } from '../../fleet/registry/limits.ts'
import { RadosRegistry } from '../../fleet/registry/rados-registry.ts'
import type { MemberRegistry } from '../../fleet/registry/registry.ts'
import { idOfUrl, type SharedFacts, StaticRegistry } from '../../fleet/registry/static-registry.ts'
import type { PromotionProgress } from '../../fleet/server/promotion-requests.ts'
import type { PromotionPart } from '../../fleet/wire/promotion.ts'
import { unitBlocks } from '../../fleet/wire/wire.ts'
import { loadCephAddon } from '../../native/ceph-addon.ts'
import type { UnitPermitTables } from '../../native/unit-permits.ts'
import { cephPlaceOf, isCephUrl } from '../../origin/ceph/ceph-url.ts'
import { OmapObject } from '../../origin/ceph/omap-object.ts'
import { Secret } from '../../origin/http/secret.ts'
import { cephOptionsOf } from '../config/ceph-settings.ts'
import type { Configuration } from '../config/configuration.ts'
import type { FleetSettings } from '../config/fleet-settings.ts'

export interface GroupContext {
  readonly logger: Logger
  /** Path of the file that keeps the view. */
  readonly viewPath: string
  readonly permitTables: UnitPermitTables
  /** crc32c. */
  sumOf(bytes: Uint8Array): number
  dropMemberUnits(units: readonly SecondHandUnit[]): void
  readonly ownProfiles: OwnProfiles
  /** Bytes of images that a member was sent. */
  sentTo(memberId: string): number
  readonly operations: Pick<CacheOperations, 'imageOf' | 'promoteImage'>
}

/** Units of one explanation. */
const explainedUnitsMax = 64

/** A group, and the trust of its channels, which is read again at a reload. */
export class OpenGroup implements FleetHandlers {
  readonly group: FleetGroup
  readonly #trust: TrustFiles
  readonly #blockBytes: number
  readonly #operations: GroupContext['operations']
  readonly #promotion: GroupPromotion

  private constructor(
    group: FleetGroup,
    trust: TrustFiles,
    blockBytes: number,
    operations: GroupContext['operations'],
  ) {
    this.group = group
    this.#trust = trust
    this.#blockBytes = blockBytes
    this.#operations = operations
    this.#promotion = new GroupPromotion({
      view: group.view,
      messagesOf: member => group.messagesOf(member),
      promoteHere: (...part) => this.promoteHere(...part),
      now: () => performance.now(),
    })
  }

  /**
   * @returns null: this host is in no group
   * @throws CacheError invalid-argument when a file of the settings cannot be read, or no registry is named
   */
  static async open(configuration: Configuration, parts: GroupContext): Promise<OpenGroup | null> {
    const { fleet, cache } = configuration
    if (fleet.group === null) return null
    const { logger, viewPath, permitTables, sumOf, dropMemberUnits, ownProfiles, sentTo } = parts
    const trust = new TrustFiles(logger)
    await trust.read(fleet)
    const time = new OwnTime()
    const own = ownMemberOf(configuration)
    const ownId = own?.id ?? null
    const group = await FleetGroup.open({
      name: fleet.group,
      own,
      rack: fleet.rack ?? '',
      blockBytes: cache.blockSize,
      registry: registryOf(configuration, logger),
      viewFile: new ViewFile(viewPath, fleet.group, logger),
      settings: askSettingsOf(fleet),
      logger,
      now: () => performance.now(),
      wallMs: () => Date.now(),
      after: runAfter,
      random: Math.random,
      permitTables,
      sumOf,
      openChannel: ({ url }) =>
        new MemberClient({ url, trust: trust.current, ownId, blockBytes: cache.blockSize, time, sumOf }),
      dropMemberUnits,
      ownProfiles,
      sentTo,
    })
    return new OpenGroup(group, trust, cache.blockSize, parts.operations)
  }

  status(): FleetStatus {
    return this.group.status(this.#promotion.counters)
  }

  leave(): void {
    this.group.leave()
  }

  /** See {@link GroupPromotion.run}. */
  async promote(name: string, { signal, onProgress }: LongOptions<Progress>): Promise<readonly PromotedMember[]> {
    const image = await this.#operations.imageOf(name)
    return await this.#promotion.run(image, {
      signal,
      onProgress: progress => onProgress({ name, ...progress }),
    })
  }

  /** Bring the units that this host owns, or all. @throws CacheError, see CacheOperations.promote */
  async promoteHere(image: Image, part: PromotionPart, options: LongOptions<PromotionProgress>) {
    const { view } = this.group
    const whole = [{ from: 0, to: image.sizeBytes }]
    const ranges = part === 'all' ? whole : await ownedRanges(image, view, this.#blockBytes)
    return await this.#operations.promoteImage(image.key, image, ranges, options)
  }

  explain(imageId: string, offset: number, length: number): readonly UnitExplanation[] {
    const unitBytes = unitBlocks * this.#blockBytes
    const [first, last] = [offset, offset + Math.max(1, length) - 1].map(at => Math.floor(at / unitBytes))
    const count = Math.min(explainedUnitsMax, last! - first! + 1)
    return Array.from({ length: count }, (_, k) => this.group.explain(imageId, first! + k))
  }

  /** Other settings; files are read again. Never rejects: the trust of before stays where they cannot be read. */
  async reconfigure({ fleet }: Configuration): Promise<void> {
    await this.#trust.read(fleet).catch(error => this.#trust.warn(error))
    this.group.reconfigure(askSettingsOf(fleet))
  }
}

/** The PEM files and the token of the group. */
class TrustFiles {
  readonly #logger: Logger
  current: MemberTrust = { ca: null, certificate: null, key: null, token: null }

  constructor(logger: Logger) {
    this.#logger = logger
  }

  /** @throws CacheError invalid-argument */
  async read({ tls, token }: FleetSettings): Promise<void> {
    const [ca, certificate, key] = await Promise.all([tls.ca, tls.certificate, tls.key].map(pemOf))
    const secret = token === undefined ? null : new Secret(token, { logger: this.#logger })
    this.current = {
      ca: ca ?? null,
      certificate: certificate ?? null,
      key: key ?? null,
      token: secret && (() => secret.value()),
    }
  }

  warn(error: unknown): void {
    this.#logger.warn({ reason: messageOf(error) }, 'the certificates of the fleet are those of before')
  }
}

/** @throws CacheError invalid-argument */
async function pemOf(path: string | null): Promise<string | null> {
  if (path === null) return null
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new CacheError('invalid-argument', `fleet: ${messageOf(cause)}`, { cause })
  }
}

function askSettingsOf({ patience, hedgeShare, prefer }: FleetSettings) {
  return { patienceMs: patience, hedgeShare, prefersSooner: prefer === 'sooner' }
}

/** The URL by which other hosts reach this one; null: nothing is served. */
export function placeOf({ fleet }: Pick<Configuration, 'fleet'>): string | null {
  if (fleet.listen === null) return null
  const scheme = fleet.tls.certificate === null ? 'http' : 'https'
  return new URL(fleet.url ?? `${scheme}://${fleet.listen}`).origin
}

/** Ourselves as the group is told; null where nothing is served, or nothing is brought for others. */
function ownMemberOf(configuration: Configuration): Member | null {
  const { fleet, cache } = configuration
  const { etcd, rados } = fleet.registry
  const url = placeOf({ fleet })
  if (url === null || fleet.share === 0) return null
  const facts = sharedFactsOf(configuration)
  // Where the registry tells no weights, the others know none of ours.
  const weight = etcd !== null || rados.pool !== null ? boundedWeight(cache.capacity / TiB) : facts.weight
  return { id: idOfUrl(url), url, ...facts, weight, state: 'up', since: Date.now() }
}

/** The facts of every member of a registry that tells places alone. */
function sharedFactsOf({ fleet, cache }: Configuration): SharedFacts {
  return { rack: fleet.rack ?? '', weight: 1, blockBytes: cache.blockSize }
}

/** @throws CacheError invalid-argument */
function registryOf(configuration: Configuration, logger: Logger): MemberRegistry {
  const { fleet } = configuration
  const { etcd, rados, dns, members, prefix, user, password, ca, certificate, key } = fleet.registry
  const facts = sharedFactsOf(configuration)
  if (etcd !== null) {
    const secret = password === undefined ? null : new Secret(password, { logger })
    const login = { user, password: secret && (() => secret.renew()) }
    const place = { servers: etcd, ca, certificate, key, ...login }
    return new EtcdRegistry({ ...place, prefix: prefix ?? 'parentfs', group: fleet.group!, logger })
  }
  if (rados.pool !== null) {
    const object = omapObjectOf(configuration, rados.pool, rados.object ?? `parentfs.${fleet.group}`)
    return new RadosRegistry({ object, group: fleet.group!, logger, now: () => performance.now() })
  }
  if (dns !== null) {
    const scheme = fleet.tls.certificate === null && fleet.tls.ca === null ? 'http' : 'https'
    return new DnsRegistry({ name: dns, scheme, facts, logger, resolve: resolveSrv })
  }
  if (members !== null) return new StaticRegistry(members, facts)
  const advice = 'give fleet.registry.etcd, rados, dns or members'
  throw new CacheError('invalid-argument', `fleet.group: the group ${fleet.group} has no registry: ${advice}`)
}

/** In the cluster of the first origin in one. @throws CacheError invalid-argument where none is, or Ceph is missing */
function omapObjectOf({ places }: Configuration, pool: string, object: string): OmapObject {
  const found = places.find(({ settings }) => isCephUrl(settings.url))
  if (!found) {
    const advice = 'fleet.registry.rados: no origin is in a Ceph cluster: take etcd, dns or members'
    throw new CacheError('invalid-argument', advice)
  }
  const { cluster } = cephPlaceOf(found.settings.url)
  const { id, configurationFile, keyring } = { ...cephOptionsOf(found.settings as Parameters<typeof cephOptionsOf>[0]) }
  try {
    const addon = loadCephAddon()
    const options = { addon, id: id ?? null, configurationFile: configurationFile ?? null, keyring: keyring ?? null }
    return new OmapObject({ cluster, pool }, object, { ...options, callMsMax: registryRequestMsMax })
  } catch (cause) {
    throw new CacheError('invalid-argument', `fleet.registry.rados: ${messageOf(cause)}`, { cause })
  }
}
