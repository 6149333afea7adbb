/**
 * Registrations file: the copies of this host that are locations at an image service, in the cache directory. It is a
 * hint: one that cannot be read or written is none.
 */
import { randomUUID } from 'node:crypto'
import { open, readFile, rename, rm } from 'node:fs/promises'
import { SharedRun } from '../../async/shared-run.ts'
import { messageOf } from '../../base/errors.ts'
import { identify } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import type { KeptRegistrations, Registration } from './glance-registration.ts'
import { registrationsMax } from './limits.ts'

export class RegistrationsFile implements KeptRegistrations {
  readonly #path: string
  readonly #logger: Logger
  readonly #writing = new SharedRun()
  #wanted: readonly Registration[] | null = null

  /** @param path of the file; another one beside it takes its place */
  constructor(path: string, logger: Logger) {
    this.#path = path
    this.#logger = logger
  }

  async read(): Promise<readonly Registration[]> {
    try {
      const parsed = JSON.parse(await readFile(this.#path, 'utf8')) as unknown
      return Array.isArray(parsed) ? parsed.slice(0, registrationsMax).flatMap(each => registrationIn(each) ?? []) : []
    } catch {
      return []
    }
  }

  keep(registrations: readonly Registration[]): void {
    this.#wanted = registrations
    void this.#writing.run(() => this.#write()) // Never rejects.
  }

  /** Resolves when what was to be kept is, or failed. */
  async settled(): Promise<void> {
    await this.#writing.current
  }

  async #write(): Promise<void> {
    for (let wanted = this.#wanted; wanted !== null; wanted = this.#wanted) {
      this.#wanted = null
      const lines = wanted.map(({ image, url }) => {
        const { origin, key, sizeBytes, validator, modifiedMs } = image
        return { origin, key, sizeBytes, validator, modifiedMs, url }
      })
      const beside = `${this.#path}.${randomUUID().slice(0, 8)}`
      try {
        const file = await open(beside, 'wx', 0o600)
        await file.writeFile(`${JSON.stringify(lines)}\n`).finally(() => file.close())
        await rename(beside, this.#path)
      } catch (error) {
        await rm(beside, { force: true }).catch(() => {}) // The first error says more.
        this.#logger.warn({ reason: messageOf(error) }, 'the registered locations are not kept')
      }
    }
  }
}

function registrationIn(value: unknown): Registration | null {
  if (typeof value !== 'object' || value === null) return null
  const { origin, key, sizeBytes, validator, modifiedMs, url } = value as Readonly<Record<string, unknown>>
  const areTexts = [origin, key, validator, url].every(each => typeof each === 'string')
  if (!areTexts || !Number.isSafeInteger(sizeBytes) || typeof modifiedMs !== 'number') return null
  const facts = { origin: origin as string, key: key as string, validator: validator as string }
  return { image: identify({ ...facts, sizeBytes: sizeBytes as number, modifiedMs }), url: url as string }
}
