/**
 * The configuration: settings judged as a whole, with every default filled in.
 */
import { createHash } from 'node:crypto'
import { statfs } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join } from 'node:path'
import type { z } from 'zod'
import { CacheError } from '../../base/errors.ts'
import type { ReadAroundChoice } from '../../cache/fetch/limits.ts'
import type { Watermarks } from '../../store/disk/capacity.ts'
import type { DiskTimeouts } from '../../store/disk/disk-timeouts.ts'
import { nearest } from './did-you-mean.ts'
import type { OriginSettings } from './origin-settings.ts'
import { capacityMin, type JudgedSettings, schema, tooSmall } from './schema.ts'
import { formatValue, shown } from './setting-fields.ts'
import type { ConfigurationDocument, Settings } from './settings.ts'
import { allSettings, keysAt } from './settings-list.ts'

/** See schema.ts for names and units. */
export interface Configuration extends Omit<JudgedSettings, 'mountpoint' | 'cache' | 'attributes' | 'allowOther'> {
  /** The origins, by where their images are. */
  readonly places: readonly OriginPlace[]
  readonly mountpoint: string
  readonly cache: JudgedSettings['cache'] & { readonly directory: string }
  /** Owner and permission bits of every file. */
  readonly attributes: { readonly uid: number; readonly gid: number; readonly mode: number }
  readonly allowOther: boolean
}

/** An origin and the directory of the root that shows its images; null is the root itself. */
export interface OriginPlace {
  readonly directory: string | null
  readonly settings: OriginSettings
  /** Of its own settings, or else of the cache's. */
  readonly readAround: ReadAroundChoice
}

/** The surroundings that defaults depend on. */
export interface Surroundings {
  readonly uid: number
  readonly gid: number
  readonly home: string
}

/** Those of this process. */
export function ownSurroundings(): Surroundings {
  return { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0, home: homedir() }
}

/** Something wrong with a document. */
export interface Complaint {
  /** The place in the document: keys from the outside in. */
  readonly path: readonly PropertyKey[]
  /** The key is wrong, not its value. */
  readonly isKey: boolean
  /** For people; the value is in it, and what would be right. */
  readonly message: string
}

/** The configuration that a document stands for, or everything that is wrong with it. */
export type ConfigurationVerdict =
  | { readonly settings: JudgedSettings; readonly complaints: null }
  | { readonly settings: null; readonly complaints: readonly [Complaint, ...Complaint[]] }

/** Judge what is said, whatever the machine is like. */
export function judge(document: ConfigurationDocument): ConfigurationVerdict {
  const result = schema.safeParse(document)
  if (result.success) return { settings: result.data, complaints: null }
  const complaints = result.error.issues.flatMap(issue => complaintsOf(document, issue))
  return { settings: null, complaints: complaints as [Complaint, ...Complaint[]] }
}

/**
 * Fill in the defaults that depend on the user who mounts.
 * @throws CacheError invalid-argument: the first thing that is wrong
 */
export function configure(
  { document, mountpoint }: Pick<Settings, 'document' | 'mountpoint'>,
  { uid, gid, home }: Surroundings,
): Configuration {
  const { settings, complaints } = judge(document)
  if (complaints) throw new CacheError('invalid-argument', sentence(complaints[0]))
  const { cache, attributes, allowOther } = settings
  const root = uid === 0 ? '/var/cache/parentfs' : join(home, '.cache', 'parentfs')
  const places = placesOf(settings)
  return {
    ...settings,
    mountpoint,
    places,
    cache: { ...cache, directory: cache.directory ?? join(root, originHash(places[0]!.settings.url)) },
    attributes: {
      uid: attributes.uid ?? uid,
      gid: attributes.gid ?? gid,
      mode: Number.parseInt(attributes.mode, 8),
    },
    allowOther: allowOther ?? uid === 0,
  }
}

/** A complaint with what it is about. */
export function sentence({ path, message }: Complaint): string {
  return path.length === 0 ? message : `${path.join('.')}: ${message}`
}

/**
 * The capacity has to fit on the file system that holds, or will hold, the cache directory.
 * @throws CacheError invalid-argument
 */
export async function checkFileSystem({
  directory: cacheDirectory,
  capacity,
}: Pick<Configuration['cache'], 'directory' | 'capacity'>): Promise<void> {
  for (let directory = cacheDirectory; ; directory = dirname(directory)) {
    try {
      const { blocks, bsize } = await statfs(directory)
      if (capacity <= blocks * bsize) return
      const [wanted, there] = [capacity, blocks * bsize].map(bytes => formatValue('size', bytes))
      const what = `capacity ${wanted} is larger than the file system of ${directory}, which has ${there}`
      throw new CacheError('invalid-argument', `${what}: give a smaller capacity or another cache directory`)
    } catch (cause) {
      if (cause instanceof CacheError) throw cause
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT' || directory === '/') {
        const why = (cause as Error).message
        throw new CacheError('invalid-argument', `cache directory ${cacheDirectory} is not usable: ${why}`, { cause })
      }
    }
  }
}

/**
 * Judge another capacity for a daemon that runs.
 * @throws CacheError invalid-argument
 */
export async function checkCapacity({ cache }: Configuration, capacity: number): Promise<void> {
  if (!(capacity >= capacityMin(cache.blockSize))) {
    throw new CacheError('invalid-argument', tooSmall(capacity, cache.blockSize))
  }
  await checkFileSystem({ ...cache, capacity })
}

/** As the store wants them. */
export function watermarksOf({ highWatermark, lowWatermark, keepFree }: Configuration['cache']): Watermarks {
  return { high: highWatermark, low: lowWatermark, free: keepFree }
}

function complaintsOf(document: ConfigurationDocument, issue: z.core.$ZodIssue): Complaint[] {
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map(key => ({ path: [...issue.path, key], isKey: true, message: unknownKey(issue.path, key) }))
  }
  if (issue.code === 'invalid_key') {
    return [{ path: issue.path, isKey: true, message: issue.issues[0]?.message ?? issue.message }]
  }
  // A missing key belongs to the key of the mapping that lacks it.
  const isKey = issue.code === 'custom' && issue.params?.lacking === true
  const isOurs = issue.code !== 'invalid_type' || !issue.message.startsWith('Invalid input')
  const expected =
    typeNames[(issue as { expected?: string }).expected ?? ''] ?? (issue as { expected?: string }).expected
  const message = isOurs ? issue.message : `${shown(valueAt(document, issue.path))} is not ${expected}`
  return [{ path: issue.path, isKey, message }]
}

/** The types that zod expects, in words for people. */
const typeNames: Readonly<Record<string, string>> = {
  object: 'a mapping of settings',
  record: 'a mapping',
  string: 'a text',
  array: 'a list',
}

function valueAt(document: unknown, path: readonly PropertyKey[]): unknown {
  let value = document
  for (const key of path) value = (value as Record<PropertyKey, unknown> | null | undefined)?.[key]
  return value
}

/** The complaint about an unknown key. */
function unknownKey(path: readonly PropertyKey[], key: string): string {
  const near = nearest(key, keysAt(path))
  if (near === key) return `the setting "${key}" belongs to another kind of origin: leave it out`
  if (near) return `there is no setting "${key}" here: did you mean "${near}"?`
  const elsewhere = allSettings().find(setting => setting.key.split('.').at(-1) === key)
  if (elsewhere) return `there is no setting "${key}" here: did you mean "${elsewhere.key}"?`
  return `there is no setting "${key}" here: there are ${keysAt(path).join(', ')}`
}

/** The origins with their directories, in the order of the document. */
export function placesOf({
  origin,
  origins,
  cache,
}: Pick<JudgedSettings, 'origin' | 'origins'> & { readonly cache: Pick<JudgedSettings['cache'], 'readAround'> }) {
  const place = (directory: string | null, settings: OriginSettings): OriginPlace => {
    return { directory, settings, readAround: settings.readAround ?? cache.readAround }
  }
  if (origin) return [place(null, origin)]
  return Object.entries(origins ?? {}).map(([directory, settings]) => place(directory, settings))
}

/** Sixteen hex digits that name an origin. */
function originHash(url: string): string {
  return createHash('sha256').update(new URL(url).href).digest('hex').slice(0, 16)
}

/** As the store wants them. */
export function timingOf({ readTimeout, writeTimeout, syncInterval, syncBytes }: Configuration['cache']): DiskTimeouts {
  return { readMsMax: readTimeout, writeMsMax: writeTimeout, batchMsMax: syncInterval, batchBytesMax: syncBytes }
}

/** The limits of the cache, by the names that src/cache/ uses. */
export function limitsOf(cache: Configuration['cache']) {
  const { promotionQueue, fetchBudget, readAhead, writeBudget, writeBurst } = cache
  return {
    ...{ promotionBytesMax: promotionQueue, fetchBytesMax: fetchBudget, readAheadBytesMax: readAhead },
    ...{ evictionPolicy: cache.eviction, objectsMax: cache.maxObjects, evictAgeMsMin: cache.minEvictAge },
    writeBudget: { bytesPerDay: writeBudget, burstBytes: writeBurst || Math.ceil(writeBudget / 8) },
  }
}
