/**
 * Targets of requests to the serving port, from the path of a request. Pure; every path is taken for hostile.
 */
import { isImageKey } from '../../origin/contract/image-name.ts'
import { type PromotionPart, promotionParts } from '../wire/promotion.ts'
import { versionPath } from '../wire/version.ts'
import { healthPath, imagePathPrefix, namePathPrefix, profilePathPrefix } from '../wire/wire.ts'

export type RequestTarget =
  | { readonly kind: 'image'; readonly id: string }
  | { readonly kind: 'sums'; readonly id: string; readonly object: number }
  | { readonly kind: 'promotion'; readonly id: string; readonly part: PromotionPart }
  | { readonly kind: 'name'; readonly name: string }
  /** The path is empty, or ends in a slash. */
  | { readonly kind: 'listing'; readonly path: string }
  | { readonly kind: 'profile'; readonly hash: string }
  | { readonly kind: 'version' }
  | { readonly kind: 'health' }

/** @returns null where there is no such place */
export function targetOf(url: string): RequestTarget | null {
  const [path, query = ''] = splitAt(url, '?')
  if (path === healthPath) return { kind: 'health' }
  if (path === versionPath) return { kind: 'version' }
  if (path.startsWith(imagePathPrefix)) return imageTarget(path.slice(imagePathPrefix.length), query)
  if (path.startsWith(profilePathPrefix)) {
    const hash = path.slice(profilePathPrefix.length)
    return /^[0-9a-f]{64}$/.test(hash) ? { kind: 'profile', hash } : null
  }
  if (!path.startsWith(namePathPrefix)) return null
  return nameTarget(path.slice(namePathPrefix.length))
}

function imageTarget(rest: string, query: string): RequestTarget | null {
  const match = /^([0-9a-f]{32})(\/sums|\/promote)?$/.exec(rest)
  if (!match) return null
  const id = match[1]!
  if (match[2] === undefined) return { kind: 'image', id }
  if (match[2] === '/promote') {
    const part = promotionParts.find(each => query === `part=${each}`)
    return part === undefined ? null : { kind: 'promotion', id, part }
  }
  const object = /^object=(\d{1,9})$/.exec(query)?.[1]
  return object === undefined ? null : { kind: 'sums', id, object: Number(object) }
}

function nameTarget(encoded: string): RequestTarget | null {
  let name: string
  try {
    // A slash that is encoded would be another name than the one that is shown.
    if (/%2f/i.test(encoded)) return null
    name = decodeURIComponent(encoded)
  } catch {
    return null
  }
  if (name === '') return { kind: 'listing', path: '' }
  const own = name.endsWith('/') ? name.slice(0, -1) : name
  if (!isImageKey(own)) return null
  return name.endsWith('/') ? { kind: 'listing', path: name } : { kind: 'name', name }
}

function splitAt(text: string, separator: string): [string, string?] {
  const at = text.indexOf(separator)
  return at < 0 ? [text] : [text.slice(0, at), text.slice(at + 1)]
}
