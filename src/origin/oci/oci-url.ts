/**
 * URLs of repositories in a registry, and the one way to write each. Pure.
 *
 * `oci://registry[:port]/repository`, with `:tag` or `@algorithm:digest` behind it for one manifest of it. Docker Hub
 * has several names; its images without an owner belong to `library`.
 * Source: OCI distribution specification 1.1, "Pulling manifests" (grammar of names and tags); OCI image specification,
 * "Digests"; Docker's documentation of image names (docker.io, library), from memory.
 */
import { CacheError } from '../../base/errors.ts'
import { withoutCredentials } from '../contract/url-credentials.ts'
import { isLoopback } from '../http/protocol/http-url.ts'

/** A repository, or one manifest of it. */
export interface OciPlace {
  /** Host and port in small letters. */
  readonly registry: string
  readonly repository: string
  /** A tag or a digest; null: all tags. */
  readonly reference: string | null
}

const hub = 'docker.io'
const hubNames: ReadonlySet<string> = new Set([hub, 'index.docker.io', 'registry-1.docker.io'])

const repositoryName = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/
const repositoryBytesMax = 255
const tagName = /^\w[\w.-]{0,127}$/
const digestName = /^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/

/** Is it a URL of ours? */
export function isOciUrl(url: string): boolean {
  return /^oci:/i.test(url)
}

/** Can it be a tag? */
export function isTag(text: string): boolean {
  return tagName.test(text)
}

/** Is it a digest that we can check? */
export function isContentDigest(text: string): boolean {
  return digestName.test(text)
}

/**
 * Parses a URL.
 * @throws CacheError invalid-argument
 */
export function ociPlaceOf(url: string): OciPlace {
  const wrong = (advice: string) => new CacheError('invalid-argument', `${withoutCredentials(url)}: ${advice}`)
  const [, host, path] = /^oci:\/\/([^/?#@]+)\/([^?#]+)$/i.exec(url) ?? []
  if (host === undefined || path === undefined) throw wrong('write it like oci://registry/repository:tag')
  const [, name = '', tag, digest] = /^([^:@]*?)\/?(?::([^:@]*))?(?:@(.*))?$/.exec(path) ?? []
  if (tag !== undefined && !isTag(tag)) throw wrong('a tag is made of letters, digits, dots, dashes and underscores')
  if (digest !== undefined && !isContentDigest(digest)) throw wrong('a digest is written @sha256: and 64 hex digits')
  const registry = registryOf(host)
  if (registry === null) throw wrong('its registry is not a host: write it like oci://registry:5000/repository')
  const repository = registry === hub && !name.includes('/') ? `library/${name}` : name
  if (!repositoryName.test(repository) || repository.length > repositoryBytesMax) {
    throw wrong('a repository is made of small letters, digits, dots, dashes and slashes')
  }
  return { registry, repository, reference: digest ?? tag ?? null }
}

/** The one way to write it. */
export function ociUrlOf({ registry, repository, reference }: OciPlace): string {
  const end = reference === null ? '' : `${isContentDigest(reference) ? '@' : ':'}${reference}`
  return `oci://${registry}/${repository}${end}`
}

/**
 * The registry's own address: plain HTTP on loopback, or where that is asked for.
 * @param isInsecure null: as its address says
 */
export function homeOf({ registry }: OciPlace, isInsecure: boolean | null): URL {
  const home = new URL(`https://${registry === hub ? 'registry-1.docker.io' : registry}/`)
  if (isInsecure ?? isLoopback(home.hostname)) home.protocol = 'http:'
  return home
}

/** Names under which docker and podman keep the login for a registry, the most particular first. */
export function loginNamesOf({ registry, repository }: OciPlace): readonly string[] {
  const parts = repository.split('/')
  const paths = parts.map((_, k) => [registry, ...parts.slice(0, parts.length - k)].join('/'))
  const plain = registry === hub ? ['https://index.docker.io/v1/', ...hubNames] : [registry]
  return [...paths, ...plain, `https://${registry}`, `https://${registry}/v1/`, `https://${registry}/v2/`]
}

/** @returns null where it is none */
function registryOf(text: string): string | null {
  if (!URL.canParse(`https://${text}/`)) return null
  // A port of http is written, that of https is not: which of them is spoken is a setting.
  const { host, username, pathname } = new URL(`https://${text}/`)
  if (username !== '' || pathname !== '/' || host === '') return null
  return hubNames.has(host) ? hub : host
}
