/**
 * Routes of the admin socket: one entry for each request, with the shape of its body.
 *
 * `answers` give one JSON object, `texts` a text for another program; `lines` go on as long as the work: see
 * progress-stream.ts.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { CacheError } from '../base/errors.ts'
import type { EvictedImage, EvictionProgress } from '../cache/evict/evictor.ts'
import type { VerificationProgress, VerifiedImage } from '../cache/integrity/verify-image.ts'
import { type CacheMode, cacheModes } from '../cache/modes/cache-mode.ts'
import type { BlockMap, BlockMapOptions } from '../cache/operations/block-map.ts'
import type { DeltaReport } from '../cache/operations/delta-cost.ts'
import type { ImageDescription } from '../cache/operations/describe-image.ts'
import type { DrainProgress, EmptiedCache } from '../cache/operations/empty-cache.ts'
import type { Explanation } from '../cache/operations/explain-read.ts'
import type { Temperatures } from '../cache/operations/image-temperatures.ts'
import type { ComparisonProgress } from '../cache/operations/location-operations.ts'
import type { ModeEntry, ModeScope } from '../cache/operations/mode-operations.ts'
import type { LearnedProfile, LongOptions } from '../cache/operations/operations.ts'
import type { PreloadBytes, PreloadedImage, PreloadProgress } from '../cache/operations/preload-image.ts'
import type { PlanBasis } from '../cache/plan/plan-basis.ts'
import { type ProfileFile, parseProfileFile } from '../cache/prefetch/profile-file.ts'
import type { ComparedLocation } from '../origin/locations/compare-locations.ts'
import type { ImageLocation } from '../origin/locations/image-location.ts'
import type { FleetHandlers } from './fleet-handlers.ts'
import type { LibrbdHandlers } from './librbd-report.ts'
import { metricsContentType } from './metrics.ts'
import type { Progress } from './progress-stream.ts'
import type { Status } from './status.ts'

export interface AdminHandlers {
  status(): Status
  /** For Prometheus, see metrics.ts. */
  metrics(): Promise<string>
  /** @returns null when it is unmounted; the daemon is about to go then */
  unmount(force: boolean): Promise<AdminError | null>
  /** @returns bytes used afterwards. @throws CacheError invalid-argument */
  setCapacity(capacityBytes: number): Promise<number>
  /** Read the configuration file again. @throws CacheError invalid-argument: nothing has changed then */
  reload(): Promise<ReloadOutcome>
  /** Have another worker take over, of the version in `directory` or of the supervisor's own. */
  upgrade(directory: string | null): Promise<UpgradeAnswer>
  /** Have another worker take over with the cache in `directory`. @throws CacheError invalid-argument, cache-* */
  moveCache(directory: string): Promise<UpgradeAnswer>
  readonly operations: AdminOperations
  /** Remove an origin from the mount, and wait until nothing is left of it. */
  removeOrigin(origin: string, options: LongOptions<DrainProgress>): Promise<EmptiedCache>
  readonly fleet: FleetHandlers
  readonly librbd: LibrbdHandlers
  /** Answer a request of the page, see src/web/. @param path below `/web/`. Never rejects. */
  web(path: string, request: IncomingMessage, response: ServerResponse): Promise<void>
}

/** The version that is about to take over, or why none is: nothing has happened then. */
export type UpgradeAnswer =
  | { readonly version: string; readonly refusal: null }
  | { readonly version: null; readonly refusal: AdminError }

/** Operations of the cache for operators: see cache/operations/operations.ts for the errors of each. */
export interface AdminOperations {
  verify(image: string | null, options: LongOptions<VerificationProgress>): Promise<VerifiedImage[]>
  locations(image: string): Promise<ImageLocation[]>
  verifyLocations(image: string, options: LongOptions<ComparisonProgress>): Promise<ComparedLocation[]>
  evict(image: string, options: LongOptions<EvictionProgress>): Promise<EvictedImage>
  promote(
    image: string,
    ranges: readonly PreloadBytes[] | null,
    options: LongOptions<PreloadProgress>,
  ): Promise<PreloadedImage>
  pin(image: string): Promise<void>
  unpin(image: string): Promise<void>
  profile(image: string, endsRecording: boolean): Promise<LearnedProfile | null>
  importProfile(image: string, file: ProfileFile): Promise<void>
  evictAll(origin: string | null, options: LongOptions<DrainProgress>): Promise<EmptiedCache>
  drain(origin: string | null, options: LongOptions<DrainProgress>): Promise<EmptiedCache>
  modes(): ModeEntry[]
  setMode(scope: ModeScope, mode: CacheMode | null): Promise<ModeEntry[]>
  explain(image: string, offset: number, length: number): Promise<Explanation>
  temperatures(): Promise<Temperatures>
  delta(image: string): Promise<DeltaReport>
  describe(image: string): ImageDescription
  blockMap(image: string, options: BlockMapOptions): Promise<BlockMap>
  planBasis(): PlanBasis
}

/** A setting by its key, with values as the file would write them. */
export interface SettingChange {
  readonly key: string
  readonly from: string
  readonly to: string
}

/** The outcome of a reload. */
export interface ReloadOutcome {
  /** In effect now. */
  readonly changed: readonly SettingChange[]
  /** Changes that only another mount can take. */
  readonly waiting: readonly SettingChange[]
}

/** The body of every answer that is not 200. */
export interface AdminError {
  readonly code: string
  readonly message: string
}

/** HTTP status and JSON. */
export interface AdminAnswer {
  readonly status: number
  readonly body: object
}

/** An answer that is no JSON. */
export interface TextAnswer {
  readonly type: string
  readonly text: string
}

type AnswerRoute = (body: unknown, handlers: AdminHandlers) => AdminAnswer | Promise<AdminAnswer>
type LinesRoute = (body: unknown, handlers: AdminHandlers) => (options: LongOptions<Progress>) => Promise<unknown>

const count = z.number().int().nonnegative()
const name = z.string().min(1)
const named = z.object({ image: name })
const ofOrigin = z.object({ origin: name.nullable().default(null) })

/** By method and path. */
export const answers: Readonly<Record<string, AnswerRoute>> = {
  'GET /status': (_body, { status }) => ({ status: 200, body: status() }),
  'POST /unmount': async (body, { unmount }) => {
    const refusal = await unmount(read(body, z.object({ force: z.boolean().default(false) })).force)
    return refusal ? { status: 409, body: refusal } : { status: 200, body: {} }
  },
  'POST /capacity': async (body, { setCapacity }) => {
    const { capacityBytes } = read(body, z.object({ capacityBytes: count }))
    return { status: 200, body: { usedBytes: await setCapacity(capacityBytes) } }
  },
  'POST /reload': async (_body, { reload }) => ({ status: 200, body: await reload() }),
  'POST /upgrade': async (body, { upgrade }) => {
    const { directory } = read(body, z.object({ directory: name.nullable().default(null) }))
    const { version, refusal } = await upgrade(directory)
    return refusal ? { status: 409, body: refusal } : { status: 200, body: { version } }
  },
  'POST /move-cache': async (body, { moveCache }) => {
    const { version, refusal } = await moveCache(read(body, z.object({ directory: name })).directory)
    return refusal ? { status: 409, body: refusal } : { status: 200, body: { version } }
  },
  'POST /pin': async (body, { operations }) => {
    await operations.pin(read(body, named).image)
    return { status: 200, body: {} }
  },
  'POST /unpin': async (body, { operations }) => {
    await operations.unpin(read(body, named).image)
    return { status: 200, body: {} }
  },
  'POST /profile': async (body, { operations }) => {
    const { image, endsRecording } = read(body, named.extend({ endsRecording: z.boolean().default(false) }))
    return { status: 200, body: { profile: await operations.profile(image, endsRecording) } }
  },
  'POST /profile/import': async (body, { operations }) => {
    const { image, file } = read(body, named.extend({ file: z.string() }))
    await operations.importProfile(image, parseProfileFile(file))
    return { status: 200, body: {} }
  },
  'GET /modes': (_body, { operations }) => ({ status: 200, body: operations.modes() }),
  'POST /mode': async (body, { operations }) => {
    const orNull = name.nullable().default(null)
    const asked = z.object({ mode: z.enum(cacheModes).nullable(), origin: orNull, image: orNull })
    const { mode, ...scope } = read(body, asked)
    return { status: 200, body: await operations.setMode(scope, mode) }
  },
  'GET /plan': (_body, { operations }) => ({ status: 200, body: operations.planBasis() }),
  'POST /temperatures': async (_body, { operations }) => ({ status: 200, body: await operations.temperatures() }),
  'POST /locations': async (body, { operations }) => {
    return { status: 200, body: await operations.locations(read(body, named).image) }
  },
  'POST /delta': async (body, { operations }) => {
    const { image } = read(body, z.object({ image: name }))
    return { status: 200, body: await operations.delta(image) }
  },
  'GET /fleet': (_body, { fleet }) => ({ status: 200, body: { fleet: fleet.status() } }),
  'POST /fleet/leave': (_body, { fleet }) => {
    fleet.leave()
    return { status: 200, body: {} }
  },
  'POST /explain-object': (body, { librbd }) => {
    return { status: 200, body: librbd.explain(read(body, z.object({ object: name })).object) }
  },
  'POST /explain': async (body, { operations, fleet }) => {
    const { image, offset, length } = read(body, z.object({ image: name, offset: count, length: count }))
    const explanation = await operations.explain(image, offset, length)
    const units = fleet.explain(explanation.imageId, explanation.offset, explanation.length)
    return { status: 200, body: { ...explanation, units } }
  },
}

/** By method and path. */
export const texts: Readonly<Record<string, (handlers: AdminHandlers) => Promise<TextAnswer>>> = {
  'GET /metrics': async ({ metrics }) => ({ type: metricsContentType, text: await metrics() }),
}

/** By method and path. A body that is not understood throws before anything is said. */
export const lines: Readonly<Record<string, LinesRoute>> = {
  'POST /verify': (body, { operations }) => {
    const { image } = read(body, z.object({ image: name.nullable().default(null) }))
    return options => operations.verify(image, options)
  },
  'POST /verify-locations': (body, { operations }) => {
    const { image } = read(body, named)
    return options => operations.verifyLocations(image, options)
  },
  'POST /evict': (body, { operations }) => {
    const { image } = read(body, named)
    return options => operations.evict(image, options)
  },
  'POST /evict-all': (body, { operations }) => {
    const { origin } = read(body, ofOrigin)
    return options => operations.evictAll(origin, options)
  },
  'POST /drain': (body, { operations }) => {
    const { origin } = read(body, ofOrigin)
    return options => operations.drain(origin, options)
  },
  'POST /remove': (body, { removeOrigin }) => {
    const { origin } = read(body, z.object({ origin: name }))
    return options => removeOrigin(origin, options)
  },
  'POST /promote': (body, { operations }) => {
    const ranges = z
      .array(z.object({ from: count, to: count }))
      .nullable()
      .default(null)
    const asked = read(body, z.object({ image: name, ranges }))
    return options => operations.promote(asked.image, asked.ranges, options)
  },
  'POST /fleet/promote': (body, { fleet }) => {
    const { image } = read(body, named)
    return options => fleet.promote(image, options)
  },
}

/** @throws CacheError invalid-argument */
function read<T>(body: unknown, schema: z.ZodType<T>): T {
  const result = schema.safeParse(body)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new CacheError('invalid-argument', `"${issue?.path.join('.')}" is not usable: ${issue?.message}`)
}
