/**
 * A repository of a registry: its tags, its manifests and the addresses of its blobs.
 *
 * A manifest is compared with its digest before it is believed: a tag names a digest, and a digest names bytes.
 * Source: OCI distribution specification 1.1, "Pull", "Listing Tags", "Error Codes".
 */
import { createHash } from 'node:crypto'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { HttpClient } from '../http/http-client.ts'
import type { ExchangeTimeout } from '../http/protocol/exchange-timeout.ts'
import { type HttpAnswer, receiveBytes } from '../http/protocol/http-body.ts'
import { failureOf } from '../http/protocol/http-status.ts'
import { headerOf } from '../http/protocol/response-headers.ts'
import type { ServerError } from '../http/protocol/server-error.ts'
import { manifestBytesMax, tagPageBytesMax, tagPagesMax } from './limits.ts'
import { acceptedManifests, type Manifest, manifestOf } from './manifest.ts'
import { isContentDigest, isTag } from './oci-url.ts'

export interface NamedManifest {
  readonly digest: string
  readonly manifest: Manifest
}

export class Registry {
  readonly #client: HttpClient
  /** `https://host/v2/NAME/` */
  readonly #base: URL

  constructor(client: HttpClient, home: URL, repository: string) {
    this.#client = client
    this.#base = new URL(`/v2/${repository}/`, home)
  }

  blob(digest: string): URL {
    return new URL(`blobs/${digest}`, this.#base)
  }

  /**
   * The digest that a tag or a digest stands for now; null where the registry tells it only with the manifest.
   * @throws CacheError not-found, access-denied, origin-*
   */
  async digestOf(reference: string, signal: CancelSignal): Promise<string | null> {
    const request = { method: 'HEAD', url: this.#manifest(reference), headers: { accept: acceptedManifests } } as const
    const digest = await this.#client.exchange(request, signal, async answer => {
      if (answer.status === 405 || answer.status === 501) return null
      if (answer.status !== 200) throw failureOf(answer, 'lookup')
      return headerOf(answer.headers, 'docker-content-digest')
    })
    if (digest === null || !isContentDigest(digest)) return null
    if (isContentDigest(reference) && digest !== reference) throw this.#other(reference, digest)
    return digest
  }

  /**
   * The manifest of a tag or a digest.
   * @throws CacheError not-found, access-denied, origin-protocol when it is not the one that its digest names, origin-*
   */
  async manifest(reference: string, signal: CancelSignal): Promise<NamedManifest> {
    const url = this.#manifest(reference)
    const { text, said } = await this.#client.exchange(
      { method: 'GET', url, headers: { accept: acceptedManifests } },
      signal,
      async (answer, watch) => ({
        text: await this.#text(answer, watch, manifestBytesMax),
        said: headerOf(answer.headers, 'docker-content-digest'),
      }),
    )
    const named = isContentDigest(reference) ? reference : said !== null && isContentDigest(said) ? said : null
    const algorithm = named?.startsWith('sha512:') ? 'sha512' : 'sha256'
    const digest = `${algorithm}:${createHash(algorithm).update(text).digest('hex')}`
    if (named !== null && digest !== named) throw this.#other(named, digest)
    try {
      return { digest, manifest: manifestOf(text.toString('utf8')) }
    } catch (cause) {
      throw new CacheError('origin-protocol', `${url.href}: not a manifest: ${messageOf(cause)}`, { cause })
    }
  }

  /**
   * The tags, page by page.
   * @param max how many are wanted
   * @throws CacheError not-found, access-denied, origin-*
   */
  async tags(max: number, signal: CancelSignal): Promise<readonly string[]> {
    const tags = new Set<string>()
    let url: URL | null = new URL('tags/list', this.#base)
    for (let pages = 0; url !== null && tags.size < max; pages++) {
      const place: URL = url
      if (pages === tagPagesMax) {
        throw new CacheError('origin-protocol', `${this.#base.href}tags/list: has more than ${tagPagesMax} pages`)
      }
      url = await this.#client.exchange({ method: 'GET', url: place, headers: {} }, signal, async (answer, watch) => {
        const page = tagsIn(await this.#text(answer, watch, tagPageBytesMax))
        if (page === null) throw new CacheError('origin-protocol', `${answer.place}: sent no list of tags`)
        for (const tag of page) tags.add(tag)
        return this.#next(headerOf(answer.headers, 'link'), place)
      })
    }
    return [...tags].slice(0, max)
  }

  #manifest(reference: string): URL {
    return new URL(`manifests/${reference}`, this.#base)
  }

  /** The next page, which is one of the same list. Source: RFC 8288 (Link), RFC 5988. */
  #next(link: string | null, from: URL): URL | null {
    const [, target] = /<([^>]*)>\s*;(?:[^,]*;)?\s*rel="?next"?/i.exec(link ?? '') ?? []
    if (target === undefined || !URL.canParse(target, from.href)) return null
    const next = new URL(target, from)
    // Some servers behind a proxy do not know their own address: the query alone tells the page.
    const page = new URL(from)
    page.search = next.search
    return page.href === from.href ? null : page
  }

  async #text(answer: HttpAnswer, watch: ExchangeTimeout, bytesMax: number): Promise<Buffer> {
    if (answer.status !== 200) throw failureOf(answer, 'lookup')
    const bytes = await receiveBytes(answer, bytesMax, watch)
    if (bytes !== null) return bytes
    throw new CacheError('origin-protocol', `${answer.place}: sent more than ${bytesMax} bytes`)
  }

  #other(wanted: string, sent: string): CacheError {
    return new CacheError('origin-protocol', `${this.#base.href}manifests/${wanted}: the registry sent ${sent}`)
  }
}

/** The codes of an error's body, such as MANIFEST_UNKNOWN; its words may repeat what they were asked with. */
export function registryErrorIn(body: string): ServerError | null {
  try {
    const { errors } = JSON.parse(body) as { readonly errors?: readonly { readonly code?: unknown }[] }
    const codes = (errors ?? []).map(({ code }) => String(code)).filter(code => /^[A-Z_]{1,40}$/.test(code))
    return codes.length === 0 ? null : { code: codes.slice(0, 4).join(', '), message: '', region: null }
  } catch {
    return null
  }
}

/** @returns null where it is no page of tags */
function tagsIn(bytes: Buffer): readonly string[] | null {
  try {
    const { tags } = JSON.parse(bytes.toString('utf8')) as { readonly tags?: unknown }
    // A repository without tags has null.
    if (tags === null || tags === undefined) return []
    return Array.isArray(tags) ? tags.filter((tag): tag is string => typeof tag === 'string' && isTag(tag)) : null
  } catch {
    return null
  }
}
