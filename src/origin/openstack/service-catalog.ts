/**
 * Service catalog of OpenStack: the endpoints of its services, by type, interface and region. Pure.
 *
 * Source: OpenStack Identity API v3, "Authentication and token management": catalog.
 */
import { CacheError } from '../../base/errors.ts'

export interface ServiceEndpoint {
  /** Of the service, such as `object-store`. */
  readonly type: string
  /** `public`, `internal` or `admin`. */
  readonly interface: string
  readonly region: string
  readonly url: string
}

/** The endpoint that is wanted. */
export interface EndpointChoice {
  readonly interface: string
  /** null: the first one of the catalog. */
  readonly region: string | null
}

/** The endpoints in the `token` of an answer; what has not the form of one is left out. */
export function catalogOf(token: unknown): readonly ServiceEndpoint[] {
  return listIn(token, 'catalog').flatMap(service =>
    listIn(service, 'endpoints').flatMap(endpoint => {
      const [type, url] = [textIn(service, 'type'), textIn(endpoint, 'url')]
      if (type === null || url === null) return []
      const region = textIn(endpoint, 'region_id') ?? textIn(endpoint, 'region') ?? ''
      return [{ type, interface: textIn(endpoint, 'interface') ?? '', region, url }]
    }),
  )
}

/**
 * The URL of a service.
 * @throws CacheError access-denied when the catalog has none that fits
 */
export function endpointIn(catalog: readonly ServiceEndpoint[], type: string, choice: EndpointChoice): string {
  const ofType = catalog.filter(endpoint => endpoint.type === type)
  const found = ofType.find(
    ({ interface: name, region }) => name === choice.interface && (choice.region ?? region) === region,
  )
  if (found !== undefined) return found.url
  const there = ofType.map(({ interface: name, region }) => `${name} in ${region || 'no region'}`).join(', ') || 'none'
  const wanted = `${choice.interface}${choice.region === null ? '' : ` in region ${choice.region}`}`
  throw new CacheError(
    'access-denied',
    `the catalog has no endpoint of ${type} that is ${wanted}; it has ${there.slice(0, 200)}`,
  )
}

/** A field that is a text; null: it is none. */
export function textIn(value: unknown, name: string): string | null {
  const field = (value as Record<string, unknown> | null | undefined)?.[name]
  return typeof field === 'string' ? field : null
}

function listIn(value: unknown, name: string): readonly unknown[] {
  const field = (value as Record<string, unknown> | null | undefined)?.[name]
  return Array.isArray(field) ? field : []
}
