/**
 * Fleet of a worker: its serving port, and its part in a group. The port is opened first; each uses the other.
 */
import { type FleetHandlers, noFleet } from '../../admin/fleet-handlers.ts'
import type { RegistrationMeasurements } from '../../admin/measurements.ts'
import { PeriodicTask } from '../../async/periodic-task.ts'
import type { RunEvery } from '../../async/timers.ts'
import type { Logger } from '../../base/logger.ts'
import type { Cache } from '../../cache/cache.ts'
import type { ProfileGroup } from '../../cache/prefetch/group-profiles.ts'
import type { FleetService, FleetServiceContext } from '../../fleet/server/fleet-service.ts'
import type { PromotePart } from '../../fleet/server/promotion-requests.ts'
import type { Addon } from '../../native/addon.ts'
import type { LocationRegistrar } from '../../origin/glance/location-registrar.ts'
import type { Configuration } from '../config/configuration.ts'
import { GlanceRegistration } from './glance-registration.ts'
import { openRetryMs } from './limits.ts'
import { createFleetService } from './open-fleet.ts'
import { type GroupContext, OpenGroup, placeOf } from './open-group.ts'
import { RegistrationsFile } from './registrations-file.ts'

interface RegistrationParts {
  /** Of the file with what is registered. */
  readonly path: string
  readonly logger: Logger
  /** By the URL of the origin. */
  registrarOf(originUrl: string): LocationRegistrar | null
}

export class WorkerFleet {
  #service: FleetService | null = null
  #group: OpenGroup | null = null
  #registration: GlanceRegistration | null = null
  #retry: PeriodicTask | null = null
  #opening: Promise<void> = Promise.resolve()
  readonly #every: RunEvery | undefined

  /** @param every other than the timers of the process */
  constructor(every?: RunEvery) {
    this.#every = every
  }

  /**
   * Open the port and the group. Where guests wait, they go on without what fails, as a certificate that is not there,
   * and it is tried again until it is open.
   * @throws CacheError invalid-argument where no guest waits
   */
  async open(open: () => Promise<void>, isAwaited: boolean, logger: Logger): Promise<void> {
    if (!isAwaited) return await open()
    const attempt = () => (this.#opening = open().then(isOpen, isShut))
    const retry = (this.#retry = new PeriodicTask(openRetryMs, attempt, this.#every))
    const isOpen = () => {
      if (retry.isStarted) logger.info({}, 'the fleet is open')
      retry.stop()
    }
    const isShut = (err: unknown) => {
      if (!retry.isStarted) logger.error({ err }, 'the fleet is not open; the mount goes on without, and tries again')
      retry.start()
    }
    await attempt()
  }

  /** Open by then. */
  get service(): FleetService {
    return this.#service!
  }

  /** Has complete copies registered at image services, where the settings want it. */
  startRegistration(
    configuration: () => Configuration,
    cache: Cache,
    { path, logger, registrarOf }: RegistrationParts,
  ): void {
    if (this.#registration) return
    const file = new RegistrationsFile(path, logger)
    this.#registration = new GlanceRegistration({
      kept: file,
      logger,
      now: () => performance.now(),
      place: () => (configuration().fleet.register === 'glance' ? placeOf(configuration()) : null),
      copies: () => cache.served.verifiedCopies(),
      registrarOf: ({ origin }) => registrarOf(origin),
    })
    this.#registration.start()
  }

  get registrations(): RegistrationMeasurements {
    return this.#registration?.counters ?? { registered: 0, added: 0, removed: 0, refused: 0 }
  }

  get group(): OpenGroup | null {
    return this.#group
  }

  get handlers(): FleetHandlers {
    return this.#group ?? noFleet
  }

  /** The group, once there is one. */
  get profileGroup(): ProfileGroup {
    return {
      find: async (origin, key) => (await this.#group?.group.profiles.find(origin, key)) ?? null,
      push: (...profile) => this.#group?.group.profiles.push(...profile),
    }
  }

  /** @throws CacheError invalid-argument when a certificate is not usable */
  async openService(
    { fleet }: Configuration,
    cache: Cache,
    {
      addon,
      ...parts
    }: Pick<FleetServiceContext, 'logger' | 'createFront'> & { readonly addon: Pick<Addon, 'crc32c'> },
  ): Promise<void> {
    const promote = () => {
      const group = this.#group
      return group && ((...part: Parameters<PromotePart>) => group.promoteHere(...part))
    }
    this.#service ??= await createFleetService(fleet, addon, { ...parts, source: cache.served, promote })
    await this.#service.open()
  }

  /** @returns null: this host is in no group. @throws CacheError invalid-argument, see {@link OpenGroup.open} */
  async openGroup(
    configuration: Configuration,
    cache: Cache,
    parts: Omit<GroupContext, 'ownProfiles' | 'sentTo' | 'operations'>,
  ): Promise<OpenGroup | null> {
    const { service } = this
    this.#group = await OpenGroup.open(configuration, {
      ...parts,
      ownProfiles: service.profiles,
      sentTo: id => service.sentTo(id),
      operations: cache.operations,
    })
    cache.served.group = this.#group?.group ?? null
    return this.#group
  }

  /** Idempotent. */
  async close(): Promise<void> {
    this.#retry?.stop()
    await this.#opening
    this.#registration?.close()
    await this.#group?.group.close()
    await this.#service?.close()
  }
}
