/**
 * Plans a reload: the changes that a running mount can take, and those that wait for the next mount. Pure.
 *
 * An origin of another kind or URL is left unchanged until the next mount. One that the file no longer has is leaving,
 * and in effect until it has left: its images may be open.
 */
import type { SettingChange } from '../../admin/routes.ts'
import type { Configuration } from './configuration.ts'
import { placesOf } from './configuration.ts'
import { formatValue } from './setting-fields.ts'
import type { ConfigurationDocument } from './settings.ts'
import { factsAt } from './settings-list.ts'

export interface ReloadPlan {
  /** The configuration in effect afterwards. */
  readonly next: Configuration
  readonly changed: readonly SettingChange[]
  readonly waiting: readonly SettingChange[]
  /** Their paths in the file. */
  readonly kept: readonly (readonly string[])[]
  /** Directories of origins that are to leave. */
  readonly leaving: readonly string[]
}

/** @param now what is in effect. @param said what the file says, defaults filled in */
export function planReload(now: Configuration, said: Configuration): ReloadPlan {
  const [changed, waiting]: [SettingChange[], SettingChange[]] = [[], []]
  const leaving: string[] = []
  const kept: (readonly string[])[] = []
  const { places: _now, ...before } = now
  const { places: _said, ...after } = said
  const next = merged(before, after, []) as Omit<Configuration, 'places'>
  return { next: { ...next, places: placesOf(next) }, changed, waiting, kept, leaving }

  function merged(from: unknown, to: unknown, path: readonly string[]): unknown {
    if (JSON.stringify(from) === JSON.stringify(to)) return from
    const isOrigin = path[0] === 'origin' ? path.length === 1 : path[0] === 'origins' && path.length === 2
    if (isOrigin && path.length === 2 && to === undefined) return leave(path[1]!)
    if (isOrigin && !isSame(from, to)) return from === undefined && path.length === 2 ? take(true) : take(false)
    const isRecord = path[0] === 'origins' && path.length === 1
    if (isMapping(from) && isMapping(to) && (isRecord || !factsAt(path))) {
      const keys = [...new Set([...Object.keys(from), ...Object.keys(to)])]
      const entries = keys.map(key => [key, merged(from[key], to[key], [...path, key])] as const)
      return Object.fromEntries(entries.filter(([, value]) => value !== undefined))
    }
    return take(!isRecord && factsAt(path)?.live === true)

    function leave(directory: string): unknown {
      leaving.push(directory)
      changed.push({ key: path.join('.'), from: written(from, path), to: 'nothing' })
      return from
    }

    function take(live: boolean): unknown {
      const change = { key: path.join('.'), from: written(from, path), to: written(to, path) }
      ;(live ? changed : waiting).push(change)
      if (!live) kept.push(path)
      return live ? to : from
    }
  }
}

/** The configuration in effect once an origin has left. */
export function withoutOrigin(now: Configuration, directory: string): Configuration {
  const origins = Object.fromEntries(Object.entries(now.origins ?? {}).filter(([name]) => name !== directory))
  const next = { ...now, origins } as Configuration
  return { ...next, places: placesOf(next) }
}

/** A mountpoint that the file has changed, which waits for the next mount. */
export function movedTo(mountpoint: string, document: ConfigurationDocument): SettingChange {
  return { key: 'mountpoint', from: mountpoint, to: String(document.mountpoint ?? 'nothing') }
}

/** An origin with the same images, as the cache knows them. */
function isSame(from: unknown, to: unknown): boolean {
  return isMapping(from) && isMapping(to) && from.kind === to.kind && from.url === to.url
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** A value for people: of an origin its URL, of a secret where it is. */
function written(value: unknown, path: readonly string[]): string {
  if (value === undefined || value === null) return 'nothing'
  if (isMapping(value) && typeof value.url === 'string') return value.url
  const facts = factsAt(path)
  if (facts && typeof value !== 'object') return formatValue(facts.kind, value)
  return JSON.stringify(value)
}
