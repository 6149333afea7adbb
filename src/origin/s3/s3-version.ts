/**
 * Validators of S3 images: an ETag, and the version id behind it where the bucket keeps versions. Pure.
 */
import type { ImageFacts } from '../../base/image.ts'
import { type Headers, headerOf } from '../http/protocol/response-headers.ts'
import { versionIdCharsMax } from './limits.ts'

export interface S3Version {
  readonly etag: string
  /** null: the bucket keeps none. */
  readonly id: string | null
}

/** The facts with the version id of their answer in the validator. An object of before versioning has the id `null`. */
export function pinnedFacts(facts: ImageFacts, headers: Headers): ImageFacts {
  const id = headerOf(headers, 'x-amz-version-id')
  const isId = id !== null && id !== 'null' && id.length <= versionIdCharsMax && /^[\x21-\x7e]+$/.test(id)
  return isId && facts.validator.startsWith('"') ? { ...facts, validator: `${facts.validator} ${id}` } : facts
}

export function versionOfValidator(validator: string): S3Version {
  const [, etag, id] = /^("[^"]*") (\S+)$/.exec(validator) ?? []
  return etag === undefined || id === undefined ? { etag: validator, id: null } : { etag, id }
}
