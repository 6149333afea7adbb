/**
 * Settings of the stores behind an image service: which beginning of a location stands for which origin.
 */
import { z } from 'zod'
import { withoutKeys } from '../../origin/glance/image-stores.ts'
import { imageStoresMax } from '../../origin/glance/limits.ts'
import { setting } from './setting-fields.ts'

/** Kinds of origins that can be a store: those whose images lie there under the names that locations say. */
const kinds: ReadonlySet<string> = new Set(['file', 'http', 'rbd', 's3', 'swift'])

/** The origin of a store, or the complaints about it. */
export type JudgedStore =
  | { readonly success: true; readonly data: { readonly kind: string } }
  | { readonly success: false; readonly error: { readonly issues: readonly Complaint[] } }

interface Complaint {
  readonly path: readonly PropertyKey[]
  readonly message: string
}

/**
 * A list of `{location, origin}`, kept as it was written once every origin in it was judged.
 * @param judge judges an origin, as every other one is judged
 */
export function imageStoresField(judge: (origin: unknown) => JudgedStore) {
  const schema = z
    .array(z.unknown(), { error: 'this is not a list: write [{location: PREFIX, origin: {url: URL}}]' })
    .max(imageStoresMax, { error: `more than ${imageStoresMax} stores` })
    .superRefine((stores, ctx) => {
      for (const [index, store] of stores.entries()) {
        for (const { path, message } of complaintsAbout(store, judge)) {
          ctx.addIssue({ code: 'custom', path: [index, ...path], message })
        }
      }
    })
  return setting(schema.optional(), {
    kind: 'text',
    range: '[{location: PREFIX, origin: {url: URL, ...}}, ...]',
    live: true,
    what: 'glance: stores behind the service that are read without it; images whose location begins with PREFIX are read from that origin, by the rest of their location (docs/ORIGINS.md)',
    unset: 'none',
  })
}

function complaintsAbout(store: unknown, judge: (origin: unknown) => JudgedStore): readonly Complaint[] {
  const { location, origin, ...others } = (store ?? {}) as Record<string, unknown>
  const [other] = Object.keys(others)
  if (other !== undefined || typeof store !== 'object') {
    return [{ path: [], message: 'this is no store: write {location: PREFIX, origin: {url: URL}}' }]
  }
  if (typeof location !== 'string' || !/^[a-z0-9+.-]+:\/\/.+\/$/.test(location) || withoutKeys(location) !== location) {
    const like = "write the beginning of the images' locations, without credentials and ending in a slash"
    return [{ path: ['location'], message: `this is no location: ${like}` }]
  }
  const judged = judge(origin)
  if (!judged.success) return judged.error.issues.map(({ path, message }) => ({ path: ['origin', ...path], message }))
  if (kinds.has(judged.data.kind)) return []
  return [{ path: ['origin', 'url'], message: `no store of images: the kinds are ${[...kinds].join(', ')}` }]
}
