/**
 * Receiving the body of an answer: straight into the reader's memory, as bounded text, or not at all.
 */
import type { Readable } from 'node:stream'
import { once } from '../../../async/light-abort-signal.ts'
import { TimeSlice } from '../../../async/time-slice.ts'
import { CacheError } from '../../../base/errors.ts'
import type { OriginReader } from '../../../native/origin-reader.ts'
import type { TakeBytes } from '../../contract/origin.ts'
import type { ExchangeTimeout } from './exchange-timeout.ts'
import type { Headers } from './response-headers.ts'
import type { ServerError } from './server-error.ts'

/** An answer whose body has yet to be read. */
export interface HttpAnswer {
  readonly status: number
  readonly headers: Headers
  readonly body: Readable
  /** The reader's memory, where the body goes straight into it; null: it is read from `body`. */
  readonly inPlace: InPlaceBody | null
  /** The time for which its request may be repeated as it is, for other ranges, in milliseconds; 0: it may not. */
  readonly repeatMs: number
  /** The server's own words, where it refuses and the client reads them. */
  readonly error: ServerError | null
  /** The final URL, without credentials and query; for messages. */
  readonly place: string
  /** True when that is a directory: a path that ends in a slash. */
  readonly isDirectory: boolean
}

export interface InPlaceBody {
  /** The request for it. */
  readonly request: RepeatableRequest
  /** Resolves when all of it is there. */
  received(): Promise<void>
  /** Nothing more is wanted of it, and nothing is written any more. Idempotent. */
  end(): void
}

/** A request for a range that native threads can repeat for other ranges. */
export interface RepeatableRequest {
  /** All but Range and the empty line. */
  readonly text: string
  /** The host that has answered it. */
  readonly host: NativeHost
}

/** A host as native threads can ask it. */
export interface NativeHost {
  /** @param ms the time for which the request may be sent */
  reader(text: string, version: AnsweredVersion, ms: number): OriginReader
  /** Did the host answer that reader otherwise? */
  isOver(reader: OriginReader): boolean
  /** See to it that there are connections, as many as native threads want. */
  connect(): void
}

/** A version of an image, as answers name it: the values of two headers; null: it is not compared. */
export interface AnsweredVersion {
  readonly sizeBytes: number
  readonly etag: string | null
  readonly lastModified: string | null
}

/** An unwanted body is read up to this many bytes, so that its connection can be used again. */
const discardBytesMax = 64 * 1024

/**
 * Fill `target`, which the request named if any, exactly from the body, in place.
 * @throws CacheError origin-protocol when there are fewer or more bytes; the stream's own error when it breaks
 */
export function receiveInto(answer: HttpAnswer, target: Uint8Array, watch: ExchangeTimeout): Promise<void> {
  return answer.inPlace ? answer.inPlace.received() : receiveCopies(answer, target, watch)
}

async function receiveCopies(answer: HttpAnswer, target: Uint8Array, watch: ExchangeTimeout): Promise<void> {
  let at = 0
  await receive(answer.body, watch, chunk => {
    if (at + chunk.length > target.length) {
      throw new CacheError('origin-protocol', `${answer.place}: sent more than the ${target.length} bytes asked for`)
    }
    target.set(chunk, at)
    at += chunk.length
  })
  if (at < target.length) {
    throw new CacheError('origin-protocol', `${answer.place}: sent ${at} of ${target.length} bytes`)
  }
}

/**
 * Give each chunk of the body to `take`, whose errors are thrown. Where that is long work it yields between two chunks,
 * of which 32 can come in one iteration. Source: libuv src/unix/stream.c, uv__read.
 * @param bytesMax longest body accepted
 * @throws CacheError origin-protocol when it is longer; the stream's own error when it breaks
 */
export async function receiveChunks(
  answer: HttpAnswer,
  bytesMax: number,
  watch: ExchangeTimeout,
  take: (chunk: Uint8Array) => void,
): Promise<void> {
  let bytes = 0
  const turns = new TimeSlice(1)
  await receive(answer.body, watch, chunk => {
    bytes += chunk.length
    if (bytes > bytesMax) throw new CacheError('origin-protocol', `${answer.place}: sent more than ${bytesMax} bytes`)
    take(chunk)
    if (!turns.isOver) return
    answer.body.pause()
    void turns.yield().then(() => answer.body.resume()) // Neither rejects.
  })
}

/**
 * Give each chunk of the body to `take`, and receive no more until it is taken: the server waits then, and and `arm`
 * begins its time anew.
 * @throws the watch's error, the stream's own when it breaks, and what `take` throws
 */
export async function receiveSteadily(
  { body }: HttpAnswer,
  watch: ExchangeTimeout,
  arm: () => void,
  take: TakeBytes,
): Promise<void> {
  const leave = () => body.destroy(watch.error!)
  watch.signal.addEventListener('abort', leave, once)
  if (watch.error !== null) throw watch.error
  for await (const chunk of body) {
    watch.progress((chunk as Uint8Array).length)
    const taken = take(chunk as Uint8Array)
    if (!taken) continue
    watch.rest()
    await taken
    arm()
  }
}

/** The body as text, or null when it is longer than `bytesMax`; then no more of it is received. */
export async function receiveText(
  answer: Pick<HttpAnswer, 'body'>,
  bytesMax: number,
  watch: ExchangeTimeout,
): Promise<string | null> {
  return (await receiveBytes(answer, bytesMax, watch))?.toString('utf8') ?? null
}

/** The same, as bytes. */
export async function receiveBytes(
  answer: Pick<HttpAnswer, 'body'>,
  bytesMax: number,
  watch: ExchangeTimeout,
): Promise<Buffer | null> {
  const tooLong = new Error('longer than is read')
  const chunks: Uint8Array[] = []
  let bytes = 0
  try {
    await receive(answer.body, watch, chunk => {
      bytes += chunk.length
      if (bytes > bytesMax) throw tooLong
      chunks.push(chunk)
    })
  } catch (error) {
    if (error === tooLong) return null
    throw error
  }
  return Buffer.concat(chunks)
}

/** Read the rest of an unwanted body, a little and for a while; else give its connection up. Never throws. */
export function discard(body: Readable, msMax: number): void {
  body.on('error', () => {})
  if (body.destroyed || body.readableEnded) return
  let bytes = 0
  const timer = setTimeout(() => body.destroy(), msMax)
  timer.unref()
  body.once('close', () => clearTimeout(timer))
  body.on('data', (chunk: Uint8Array) => {
    bytes += chunk.length
    if (bytes > discardBytesMax) body.destroy()
  })
}

/** Give each chunk to `take`; when it throws, the body is destroyed and nothing more is taken. */
function receive(body: Readable, watch: ExchangeTimeout, take: (chunk: Uint8Array) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (error: unknown) => {
      body.off('data', onData)
      body.destroy()
      reject(error)
    }
    const onData = (chunk: Uint8Array) => {
      watch.progress(chunk.length)
      try {
        take(chunk)
      } catch (error) {
        fail(error)
      }
    }
    body.on('data', onData)
    body.once('error', fail)
    body.once('end', resolve)
    body.once('close', () => reject(new CacheError('origin-failed', 'the connection was lost')))
    watch.signal.addEventListener('abort', () => fail(watch.error), { once: true })
    if (watch.error !== null) fail(watch.error)
  })
}
