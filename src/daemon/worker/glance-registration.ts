/**
 * Registration at the image service: the URL of each complete and verified copy of this host is a location of its image
 * there, until the copy is evicted.
 *
 * It goes on behind the reads, a few images at a time. What was registered is kept in the cache directory, so that the
 * next worker removes it. A service that does not allow it is said once, and asked again much later.
 */
import type { RegistrationMeasurements } from '../../admin/measurements.ts'
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { PeriodicTask } from '../../async/periodic-task.ts'
import type { RunEvery } from '../../async/timers.ts'
import { isCacheError, messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import { imagePath } from '../../fleet/wire/wire.ts'
import type { LocationRegistrar } from '../../origin/glance/location-registrar.ts'
import { registrationRefusedMs, registrationsMax, registrationsPerTurn, registrationTurnMs } from './limits.ts'

/** The registered copies, as the file keeps them. */
export interface KeptRegistrations {
  /** Never rejects. */
  read(): Promise<readonly Registration[]>
  keep(registrations: readonly Registration[]): void
}

/** An image and the URL of its copy here. */
export interface Registration {
  readonly image: Image
  readonly url: string
}

export interface GlanceRegistrationContext {
  readonly kept: KeptRegistrations
  readonly logger: Logger
  /** Milliseconds, never going back. */
  readonly now: () => number
  readonly every?: RunEvery
  /** The URL of this host; null: nothing is registered, and what was is removed. */
  place(): string | null
  /** Complete copies whose bytes were compared with their digests. */
  copies(): Iterable<Image>
  /** Of the service of an image; null: its origin is none. */
  registrarOf(image: Image): LocationRegistrar | null
}

export class GlanceRegistration {
  readonly #parts: GlanceRegistrationContext
  readonly #task: PeriodicTask
  readonly #stop = new LightAbortSignal()
  readonly #registered = new Map<string, Registration>()
  /** The time at which an image may be tried again, by id. */
  readonly #refusedUntil = new LruMap<string, number>(registrationsMax)
  readonly #counters = { added: 0, removed: 0, refused: 0 }
  #reading: Promise<void> | null = null
  #said = ''

  constructor(parts: GlanceRegistrationContext) {
    this.#parts = parts
    this.#task = new PeriodicTask(registrationTurnMs, () => this.turn(), parts.every)
  }

  get counters(): RegistrationMeasurements {
    return { registered: this.#registered.size, ...this.#counters }
  }

  start(): void {
    this.#task.start()
  }

  /** Idempotent. */
  close(): void {
    this.#task.stop()
    this.#stop.abort()
  }

  /** Adds and removes a few. Never rejects. */
  async turn(): Promise<void> {
    await (this.#reading ??= this.#read())
    const place = this.#parts.place()
    const wanted = new Map<string, Registration>()
    if (place !== null) {
      for (const image of this.#parts.copies()) {
        if (wanted.size >= registrationsMax) break
        if (this.#parts.registrarOf(image)) wanted.set(image.id, { image, url: place + imagePath(image.id) })
      }
    }
    const isSame = ({ image, url }: Registration) => wanted.get(image.id)?.url === url
    const old = [...this.#registered.values()].filter(each => !isSame(each)).slice(0, registrationsPerTurn)
    for (const registration of old) await this.#change('remove', registration)
    const come = [...wanted.values()].filter(({ image }) => !this.#registered.has(image.id) && this.#mayTry(image))
    for (const registration of come.slice(0, registrationsPerTurn)) await this.#change('add', registration)
  }

  async #read(): Promise<void> {
    for (const each of await this.#parts.kept.read()) this.#registered.set(each.image.id, each)
  }

  #mayTry({ id }: Image): boolean {
    return this.#parts.now() >= (this.#refusedUntil.get(id) ?? 0)
  }

  /** Never rejects. */
  async #change(what: 'add' | 'remove', registration: Registration): Promise<void> {
    const { image, url } = registration
    const registrar = this.#parts.registrarOf(image)
    if (this.#stop.aborted || (!registrar && what === 'add')) return
    try {
      await registrar?.[what](image, url, this.#stop)
      if (what === 'add') this.#registered.set(image.id, registration)
      else this.#registered.delete(image.id)
      this.#counters[what === 'add' ? 'added' : 'removed']++
      this.#parts.kept.keep([...this.#registered.values()])
    } catch (error) {
      if (this.#stop.aborted) return
      this.#failed(what, registration, error)
    }
  }

  #failed(what: 'add' | 'remove', { image, url }: Registration, error: unknown): void {
    const isRefused = isCacheError(error, 'access-denied', 'origin-protocol', 'not-found', 'image-changed')
    // The next turn tries what failed for a moment.
    if (!isRefused) return
    this.#counters.refused++
    this.#refusedUntil.set(image.id, this.#parts.now() + registrationRefusedMs)
    // It would be tried for ever: where the service forbids it now, an operator has to remove it.
    if (what === 'remove') this.#registered.delete(image.id)
    const reason = messageOf(error)
    const text =
      what === 'add' ? 'a location was not added at the image service' : 'a location stays at the image service'
    if (reason !== this.#said) this.#parts.logger.warn({ image: image.key, url, reason }, text)
    this.#said = reason
  }
}
