/**
 * Location registrar: adds a location to an image at the image service, and removes it again.
 *
 * The service allows it where `show_multiple_locations` is set and its policies do. It reads each location when that is
 * added. Source: OpenStack Image Service API v2, "Update image", application/openstack-images-v2.1-json-patch.
 */
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { HttpClient } from '../http/http-client.ts'
import { receiveText } from '../http/protocol/http-body.ts'
import { failureOf } from '../http/protocol/http-status.ts'
import { idOfValidator, locationsOf } from './image-record.ts'
import { refusalCharsMax, registerTriesMax } from './limits.ts'

/** Adds and removes locations of the images of one service. */
export interface LocationRegistrar {
  /** @throws CacheError access-denied, origin-protocol (not allowed, or not readable for it), not-found, origin-* */
  add(image: Image, url: string, signal: CancelSignal): Promise<void>
  /** Does nothing where it is none. @throws CacheError access-denied, origin-protocol (not allowed), origin-* */
  remove(image: Image, url: string, signal: CancelSignal): Promise<void>
}

export interface ImageLocationsContext {
  /** The service as it is asked now. */
  service(signal: CancelSignal): Promise<{ readonly base: URL; readonly client: HttpClient }>
  /** The record of an image; null: there is none. */
  record(id: string, signal: CancelSignal): Promise<string | null>
}

const patchType = 'application/openstack-images-v2.1-json-patch'

export class ImageLocations implements LocationRegistrar {
  readonly #parts: ImageLocationsContext

  constructor(parts: ImageLocationsContext) {
    this.#parts = parts
  }

  async add({ validator }: Image, url: string, signal: CancelSignal): Promise<void> {
    const id = idOfValidator(validator)
    if ((await this.#locations(id, signal))?.includes(url)) return
    await this.#patch(id, [{ op: 'add', path: '/locations/-', value: { url, metadata: {} } }], signal)
  }

  /** The service removes by position alone: one that took another's place meanwhile is put back. */
  async remove({ validator }: Image, url: string, signal: CancelSignal): Promise<void> {
    const id = idOfValidator(validator)
    for (let tries = 0; tries < registerTriesMax; tries++) {
      const before = await this.#locations(id, signal)
      const at = before?.indexOf(url) ?? -1
      if (before === null || at < 0) return
      await this.#patch(id, [{ op: 'remove', path: `/locations/${at}` }], signal)
      const after = await this.#locations(id, signal)
      const lost = after === null || !after.includes(url) ? [] : before.filter(each => !after.includes(each))
      for (const other of lost) {
        await this.#patch(id, [{ op: 'add', path: '/locations/-', value: { url: other, metadata: {} } }], signal)
      }
    }
  }

  /** @returns null where there is no such image. @throws CacheError origin-protocol where the service hides them */
  async #locations(id: string, signal: CancelSignal): Promise<readonly string[] | null> {
    const text = await this.#parts.record(id, signal)
    if (text === null) return null
    const locations = locationsOf(text)
    if (locations !== null) return locations
    throw new CacheError('origin-protocol', `image ${id}: the service hides locations: set show_multiple_locations`)
  }

  async #patch(id: string, changes: readonly object[], signal: CancelSignal): Promise<void> {
    const { base, client } = await this.#parts.service(signal)
    const url = new URL(`v2/images/${id}`, base)
    const request = {
      method: 'PATCH',
      url,
      headers: { 'content-type': patchType },
      body: JSON.stringify(changes),
    } as const
    await client.exchange(request, signal, async (answer, watch) => {
      if (answer.status === 200) return
      const said = (await receiveText(answer, 16 * refusalCharsMax, watch)) ?? ''
      const failure = failureOf(answer, 'lookup')
      throw new CacheError(failure.code, `${failure.message}: ${wordsOf(said)}`)
    })
  }
}

/** The service's own words, which may be a page. */
function wordsOf(text: string): string {
  const plain = text
    .replace(/<[^>]*>/g, ' ')
    .replace(/\s+/g, ' ')
    .trim()
  return plain.slice(0, refusalCharsMax)
}
