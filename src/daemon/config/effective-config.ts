/**
 * The effective configuration, as a configuration file that spells out everything: defaults are marked, and read back
 * it means the same.
 */
import { Document, isMap, isScalar, type Pair, visit } from 'yaml'
import type { Configuration } from './configuration.ts'
import { formatValue } from './setting-fields.ts'
import type { ConfigurationDocument } from './settings.ts'
import { factsAt } from './settings-list.ts'

/**
 * @param document what was said: all else is a default
 * @param configuration what is in effect
 */
export function effectiveConfigText(document: ConfigurationDocument, configuration: Configuration): string {
  // The origins once, as they were said; and no mountpoint that is not.
  const { places: _, mountpoint, ...said } = configuration
  const yaml = new Document(shown({ ...(mountpoint === '' ? {} : { mountpoint }), ...said }, []))
  visit(yaml, {
    Pair(_key, pair, ancestors) {
      const path = [...ancestors.filter(isPairLike), pair].map(({ key }) => (isScalar(key) ? String(key.value) : ''))
      if (!isMap(pair.value) && isScalar(pair.value) && !isSaid(document, path)) pair.value.comment = ' default'
    },
  })
  return yaml.toString({ lineWidth: 0 })
}

function isPairLike(node: unknown): node is Pair {
  return typeof node === 'object' && node !== null && 'key' in node
}

/** Every value as the file would say it; a value without setting and default is left out. */
function shown(value: unknown, path: readonly string[]): unknown {
  const facts = factsAt(path)
  if (facts?.kind === 'text' && typeof value === 'number') return `0${value.toString(8)}`
  if (facts && typeof value === 'number' && facts.kind !== 'count') return formatValue(facts.kind, value)
  // Of a secret: no setting by itself.
  if (path.at(-1) === 'refresh' && typeof value === 'number') return formatValue('duration', value)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  const entries = Object.entries(value).filter(([, below]) => below !== null && below !== undefined)
  return Object.fromEntries(entries.map(([key, below]) => [key, shown(below, [...path, key])]))
}

function isSaid(document: unknown, [key, ...rest]: readonly string[]): boolean {
  if (key === undefined) return true
  if (typeof document !== 'object' || document === null || !Object.hasOwn(document, key)) return false
  return isSaid((document as Record<string, unknown>)[key], rest)
}
