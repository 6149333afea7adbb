/**
 * Requests of pages and their answers: files, the stream of events, images, block maps, and actions. They come through
 * the admin socket, whose peers are trusted, or through web-gate.ts, which judges them first.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { z } from 'zod'
import { streamProgress } from '../admin/progress-stream.ts'
import type { AdminOperations } from '../admin/routes.ts'
import { PeriodicTask } from '../async/periodic-task.ts'
import { CacheError, isCacheError } from '../base/errors.ts'
import type { ImageStatus } from '../cache/cache-status.ts'
import { BlockMaps } from './block-maps.ts'
import { EventStream, eventOf } from './event-stream.ts'
import { ImageWindows, imageOrders } from './image-windows.ts'
import { webActionsMax, webIdleSampleMs, webImagesMax, webSearchCharsMax, webSnapshotMs } from './limits.ts'
import { LiveSamples, sampleColumns } from './live-samples.ts'
import type { LiveStatus } from './live-status.ts'
import { readJson, sendJson, sendJsonText, sendProblem } from './web-exchange.ts'
import { securityHeaders, WebFiles } from './web-files.ts'

/** The daemon as pages see it. */
export interface WebSource {
  /** Without a walk over the cache. */
  live(): LiveStatus
  /** In the order of their names. */
  images(): Iterable<ImageStatus>
  readonly operations: Pick<
    AdminOperations,
    'promote' | 'evict' | 'pin' | 'unpin' | 'describe' | 'blockMap' | 'locations'
  >
  /** Reports that not every mount has; null: this one has none. */
  readonly reports?: Partial<Readonly<Record<ReportName, () => object | null | Promise<object | null>>>>
}

/** The plan for other capacities, and the group of hosts. */
const reportNames = ['plan', 'fleet'] as const
export type ReportName = (typeof reportNames)[number]

export class WebPages {
  readonly #source: WebSource
  readonly #files: WebFiles
  readonly #stream = new EventStream()
  readonly #samples = new LiveSamples()
  readonly #windows: ImageWindows
  readonly #maps: BlockMaps
  readonly #ticker = new PeriodicTask(webSnapshotMs, () => this.#tick())
  readonly #stop = new AbortController()
  #sampledMs = Number.NEGATIVE_INFINITY
  #actions = 0

  constructor(source: WebSource, files = new WebFiles()) {
    this.#source = source
    this.#files = files
    this.#windows = new ImageWindows(() => source.images())
    this.#maps = new BlockMaps((name, options) => source.operations.blockMap(name, options))
    this.#tick()
    this.#ticker.start()
  }

  /** Streams over the bound, and events that slow pages did not get. */
  get counters(): { readonly refused: number; readonly skipped: number } {
    return this.#stream.counters
  }

  /** @param path below the place of the page, without a slash in front. Never rejects. */
  async handle(path: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const [place = '', query = ''] = path.split('?', 2)
      if (request.method === 'POST') await this.#act(place, request, response)
      else if (request.method === 'GET') await this.#show(place, new URLSearchParams(query), request, response)
      else throw new CacheError('invalid-argument', `there is no ${request.method}: use GET or POST`)
    } catch (error) {
      sendProblem(response, error)
    }
  }

  /** End streams and actions. Idempotent. */
  close(): void {
    this.#ticker.stop()
    this.#stop.abort()
    this.#stream.close()
    this.#maps.close()
  }

  async #show(place: string, query: URLSearchParams, request: IncomingMessage, response: ServerResponse) {
    if (place === 'api/events') return this.#watch(response)
    if (place === 'api/images') return sendJsonText(response, await this.#windows.windowText(read(query, windowSchema)))
    if (place === 'api/image') {
      return sendJson(response, 200, this.#source.operations.describe(read(query, namedSchema).image))
    }
    if (place === 'api/map') {
      const { image, from, to } = read(query, mapSchema)
      return sendJson(response, 200, await this.#maps.get(image, from, to))
    }
    if (place === 'api/locations') {
      return sendJson(response, 200, { locations: await this.#locationsOf(read(query, namedSchema).image) })
    }
    if (place === 'api/plan' && !this.#source.reports?.plan) {
      throw new CacheError(
        'not-found',
        'the curve takes seconds to estimate: open the page by "parentfs web" to see it',
      )
    }
    const report = reportNames.find(name => place === `api/${name}`)
    if (report) return sendJson(response, 200, { [report]: (await this.#source.reports?.[report]?.()) ?? null })
    const file = await this.#files.find(place)
    if (!file) throw new CacheError('not-found', `there is no ${JSON.stringify(place)}`)
    const headers = { ...securityHeaders, etag: file.etag, 'cache-control': 'no-cache' }
    if (request.headers['if-none-match'] === file.etag) return void response.writeHead(304, headers).end()
    response.writeHead(200, { ...headers, 'content-type': file.type }).end(file.bytes)
  }

  /** Null where the image has none but its origin. */
  async #locationsOf(image: string): Promise<object | null> {
    try {
      return await this.#source.operations.locations(image)
    } catch (error) {
      if (isCacheError(error, 'invalid-argument')) return null
      throw error
    }
  }

  #watch(response: ServerResponse): void {
    const status = shownOf(this.#source.live())
    const greeting = eventOf('history', { columns: sampleColumns, samples: this.#samples.all, status })
    const headers = { ...securityHeaders, 'cache-control': 'no-store' }
    if (this.#stream.join(response, headers, greeting)) return
    throw new CacheError('overloaded', 'too many pages are open: close some')
  }

  /** Promotions and evictions answer with lines of progress; a page that leaves ends them. */
  async #act(place: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { operations } = this.#source
    const action = place.replace(/^api\//, '')
    if (!isAction(action) || action === place) throw new CacheError('not-found', `there is no ${JSON.stringify(place)}`)
    const { image } = parsed(await readJson(request), namedSchema)
    if (action === 'pin' || action === 'unpin') {
      await operations[action](image)
      this.#windows.forget()
      return sendJson(response, 200, {})
    }
    if (this.#actions >= webActionsMax) {
      throw new CacheError('overloaded', `${webActionsMax} promotions and evictions are under way: wait for one`)
    }
    this.#actions++
    try {
      const work: Parameters<typeof streamProgress>[1] =
        action === 'evict'
          ? options => operations.evict(image, options)
          : options => operations.promote(image, null, options)
      for (const [name, value] of Object.entries(securityHeaders)) response.setHeader(name, value)
      await streamProgress(response, work, this.#stop.signal)
    } finally {
      this.#actions--
      this.#windows.forget()
    }
  }

  /** Take a sample when one is due, and tell the pages. */
  #tick(): void {
    const nowMs = performance.now()
    const isWatched = this.#stream.watchers > 0
    // A timer may come a little early.
    if (!isWatched && nowMs - this.#sampledMs < webIdleSampleMs - webSnapshotMs / 2) return
    this.#sampledMs = nowMs
    const status = this.#source.live()
    const sample = this.#samples.add(status, nowMs, Date.now())
    if (isWatched) this.#stream.send(eventOf('snapshot', { sample, status: shownOf(status) }))
  }
}

/** Histograms are in the samples, as quantiles. */
function shownOf({ latencies: _, eventLoopLag: __, ...status }: LiveStatus): object {
  return status
}

const actions = ['promote', 'evict', 'pin', 'unpin'] as const

function isAction(text: string): text is (typeof actions)[number] {
  return (actions as readonly string[]).includes(text)
}

const bytes = z.coerce.number().int().nonnegative()
const namedSchema = z.object({ image: z.string().min(1) })
const windowSchema = z.object({
  from: bytes.default(0),
  count: z.coerce.number().int().min(1).max(webImagesMax).default(100),
  order: z.enum(imageOrders).default('name'),
  search: z.string().max(webSearchCharsMax).default(''),
})
const mapSchema = namedSchema.extend({ from: bytes.default(0), to: bytes.default(Number.MAX_SAFE_INTEGER) })

function read<T>(query: URLSearchParams, schema: z.ZodType<T>): T {
  return parsed(Object.fromEntries(query), schema)
}

/** @throws CacheError invalid-argument */
function parsed<T>(value: unknown, schema: z.ZodType<T>): T {
  const result = schema.safeParse(value)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw new CacheError('invalid-argument', `"${issue?.path.join('.')}" is not usable: ${issue?.message}`)
}
