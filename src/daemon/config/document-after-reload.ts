/**
 * Configuration document after a reload: what the file says now, but for the settings that wait for the next mount,
 * which are as before. Workers that follow boot with it: none of them may be the next mount. Pure.
 */
import type { ConfigurationDocument } from './settings.ts'

/**
 * @param said what the file says. @param before the document in effect until now
 * @param kept paths of the settings that wait
 */
export function documentAfterReload(
  said: ConfigurationDocument,
  before: ConfigurationDocument,
  kept: readonly (readonly string[])[],
): ConfigurationDocument {
  return kept.reduce((document, path) => withKept(document, before, path), said)
}

function withKept(
  said: ConfigurationDocument,
  before: ConfigurationDocument,
  [key, ...below]: readonly string[],
): ConfigurationDocument {
  const { [key!]: now, ...others } = said
  const value = below.length === 0 ? before[key!] : withKept(mappingOf(now), mappingOf(before[key!]), below)
  return value === undefined ? others : { ...others, [key!]: value }
}

/** One without settings where there is none. */
function mappingOf(value: unknown): ConfigurationDocument {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as ConfigurationDocument) : {}
}
