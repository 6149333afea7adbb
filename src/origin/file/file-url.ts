/** URLs of directories as origins: `file:///dir`. Pure. */
import { fileURLToPath, pathToFileURL } from 'node:url'
import { CacheError } from '../../base/errors.ts'
import { withoutCredentials } from '../contract/url-credentials.ts'

/**
 * The URL of a directory, written in one way.
 * @throws CacheError invalid-argument
 */
export function identityOfDirectory(url: string): string {
  return pathToFileURL(directoryOf(url)).href
}

/** The path of it, without a slash at its end. @throws CacheError invalid-argument */
export function directoryOf(url: string): string {
  try {
    const path = fileURLToPath(url)
    return path.length > 1 ? path.replace(/\/+$/, '') || '/' : path
  } catch (cause) {
    throw new CacheError(
      'invalid-argument',
      `${withoutCredentials(url)}: not the URL of a directory; write file:///dir`,
      { cause },
    )
  }
}
