/**
 * Fleet service: the answers of the serving port by path, and its life: opened, changed by a reload, closed.
 */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { LightAbortSignal } from '../../async/light-abort-signal.ts'
import { CacheError, isCacheError, messageOf } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { profileSuffix } from '../../origin/contract/image-name.ts'
import type { PromotionPart } from '../wire/promotion.ts'
import type { ToldVersion } from '../wire/version.ts'
import {
  entityTag,
  hopsMax,
  keyHeader,
  type MemberHealth,
  memberHeader,
  openerOfHops,
  parseImageKey,
  profileBodyBytesMax,
  wireVersion,
} from '../wire/wire.ts'
import { refuse, sendText, statusOfError } from './answer.ts'
import { ConnectionGuard } from './connection-guard.ts'
import { FleetServer, type FleetServerContext } from './fleet-server.ts'
import { Gatekeeper } from './gatekeeper.ts'
import { ImageAnswers } from './image-answers.ts'
import type { ImageSource } from './image-source.ts'
import { KeptProfiles } from './kept-profiles.ts'
import { sendListing } from './listing-answer.ts'
import { type PromotePart, PromotionRequests } from './promotion-requests.ts'
import { type RequestTarget, targetOf } from './request-target.ts'
import type { CreateFront, NativeClient } from './serving-connections.ts'
import { ServingTurns } from './serving-turns.ts'
import { readTlsFiles, type TlsFiles } from './tls-files.ts'

/** Settings of the serving port; see src/daemon/config/fleet-settings.ts. */
export interface ServingSettings {
  /** Null: nothing is served. */
  readonly listen: { readonly host: string; readonly port: number } | null
  readonly tls: TlsFiles | null
  readonly token: (() => Promise<string>) | null
  /** Neither a certificate nor a token is asked for. */
  readonly isOpen: boolean
  readonly bytesPerSecond: number
}

export interface FleetServiceContext {
  readonly source: ImageSource
  readonly crc32c: (bytes: Uint8Array) => number
  readonly logger: Logger
  /** Brings a part of an image into the cache for the group; null: this host is in no group. */
  readonly promote: () => PromotePart | null
  /** Makes native threads for connections; absent: connections stay with Node. */
  readonly createFront?: CreateFront
}

/** Counters of the serving port. */
export interface ServingCounters {
  readonly requests: number
  readonly sentBytes: number
  /** Of them, by native threads. */
  readonly nativeBytes: number
  /** Answered by native threads alone. */
  readonly permitted: number
  /** Answered 401. */
  readonly denied: number
  /** Answered 503. */
  readonly busy: number
  /** Connections and requests over a bound. */
  readonly tooMany: number
  readonly connections: number
  readonly waiting: number
}

export class FleetService {
  readonly profiles = new KeptProfiles()
  readonly #parts: FleetServiceContext
  readonly #turns: ServingTurns
  readonly #images: ImageAnswers
  readonly #guard = new ConnectionGuard()
  readonly #promotions: PromotionRequests
  #server: FleetServer | null = null
  #settings: ServingSettings
  #requests = 0
  #denied = 0
  /** Of servers that were closed. */
  #ended = { nativeBytes: 0, answers: 0, bytes: 0 }
  #state: MemberHealth['state'] = 'up'

  constructor(settings: ServingSettings, parts: FleetServiceContext) {
    this.#parts = parts
    this.#settings = settings
    this.#turns = new ServingTurns(settings.bytesPerSecond)
    this.#images = new ImageAnswers({ ...parts, turns: this.#turns })
    this.#promotions = new PromotionRequests({
      promote: async (...part) => await parts.promote()!(...part),
      now: () => performance.now(),
    })
  }

  get counters(): ServingCounters {
    const { fills: waiting } = this.#turns
    const { nativeBytes, answers, bytes } = this.#native()
    const { connections, refused: tooMany } = this.#guard
    const busy = this.#images.refused
    const sentBytes = this.#turns.sentBytes + bytes
    const requests = this.#requests + answers
    const counted = { requests, sentBytes, nativeBytes, permitted: answers, denied: this.#denied }
    return { ...counted, busy, tooMany, connections, waiting }
  }

  /** Bytes of images that a member was sent. */
  sentTo(memberId: string): number {
    return this.#images.sent.of(memberId) + (this.#server?.permittedTo(memberId) ?? 0)
  }

  /** The port that is served; 0: none. */
  get port(): number {
    return this.#server?.port ?? 0
  }

  /** This host is leaving its group: members hear it from their next question on. */
  leave(): void {
    this.#state = 'leaving'
    this.revoke()
  }

  /** Permits of native threads end: requests that they answered come here again. */
  revoke(): void {
    this.#server?.revoke()
  }

  /** Once it is open, nothing more is done. @throws CacheError invalid-argument when a certificate is not usable */
  async open(): Promise<void> {
    if (this.#server) return
    const prepared = await this.#prepared(this.#settings)
    await this.#listen(prepared)
  }

  /**
   * Other settings: certificates are read again now.
   * @returns takes them into use; connections without a request end, and those of another address all
   * @throws CacheError invalid-argument; nothing has changed then
   */
  async prepare(settings: ServingSettings): Promise<() => Promise<void>> {
    const [before, server] = [this.#settings, this.#server]
    const isSame =
      JSON.stringify(before.listen) === JSON.stringify(settings.listen) &&
      (before.tls === null) === (settings.tls === null) &&
      (before.tls?.ca === null) === (settings.tls?.ca === null)
    const next = await this.#prepared(settings)
    return async () => {
      this.#settings = settings
      this.#turns.setRate(settings.bytesPerSecond)
      if (isSame && server && next) return server.change(next.tls, next.gatekeeper)
      // The same address with or without TLS has to be free first.
      await server?.close()
      this.#ended = this.#native()
      for (const member of this.#images.sent.members()) this.#images.sent.add(member, server?.permittedTo(member) ?? 0)
      await this.#listen(next)
    }
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await this.#promotions.close()
    await this.#server?.close()
  }

  async #listen(prepared: FleetServerContext | null): Promise<void> {
    this.#server = prepared && new FleetServer(prepared)
    this.#turns.keptBy(this.#server?.rate ?? null)
    await this.#server?.listen()
  }

  /** Bytes by native threads, and those of answers that they gave by themselves. */
  #native(): { nativeBytes: number; answers: number; bytes: number } {
    const { answers, bytes } = this.#server?.permitted ?? { answers: 0, bytes: 0 }
    const before = this.#ended
    return {
      nativeBytes: before.nativeBytes + (this.#server?.nativeBytes ?? 0),
      answers: before.answers + answers,
      bytes: before.bytes + bytes,
    }
  }

  async #prepared(settings: ServingSettings): Promise<FleetServerContext | null> {
    if (!settings.listen) return null
    return {
      ...settings.listen,
      tls: settings.tls && (await readTlsFiles(settings.tls)),
      gatekeeper: gatekeeperOf(settings),
      guard: this.#guard,
      logger: this.#parts.logger,
      createFront: this.#parts.createFront ?? null,
      answer: (request, response, client) => this.#answer(request, response, client),
      onDenied: () => this.#denied++,
    }
  }

  async #answer(request: IncomingMessage, response: ServerResponse, client: NativeClient | null): Promise<void> {
    this.#requests++
    try {
      const target = targetOf(request.url ?? '')
      if (!target) return refuse(response, 404)
      const isPut = request.method === 'PUT' && target.kind === 'profile'
      const isPost = request.method === 'POST' && target.kind === 'promotion'
      if (target.kind === 'promotion' && !isPost) return refuse(response, 405, { allow: 'POST', connection: 'close' })
      if (!isPut && !isPost && request.method !== 'GET' && request.method !== 'HEAD')
        return refuse(response, 405, { allow: 'GET, HEAD', connection: 'close' })
      await this.#answerTo(target, request, response, client)
    } catch (error) {
      if (!isCacheError(error)) this.#parts.logger.error({ err: error }, 'a request of another host failed')
      else if (!isCacheError(error, 'not-found', 'aborted'))
        this.#parts.logger.debug({ reason: messageOf(error) }, 'a request of another host was not answered')
      refuse(response, statusOfError(error))
    }
  }

  async #answerTo(
    target: RequestTarget,
    request: IncomingMessage,
    response: ServerResponse,
    client: NativeClient | null,
  ): Promise<void> {
    if (target.kind === 'health') return sendText(response, `${JSON.stringify(this.#health())}\n`)
    if (target.kind === 'profile') return this.#answerProfile(target.hash, request, response)
    const signal = new LightAbortSignal()
    response.once('close', () => signal.abort())
    if (target.kind === 'listing') {
      const entries = await this.#parts.source.list(target.path, { signal })
      return entries ? sendListing(response, entries) : refuse(response, 404)
    }
    if (target.kind === 'name' && target.name.endsWith(profileSuffix)) {
      const text = await this.#profileBeside(target.name.slice(0, -profileSuffix.length), signal)
      return text === null ? refuse(response, 404) : sendText(response, text)
    }
    if (target.kind === 'version') return await this.#answerVersion(request, response, signal)
    // A host that is listed by two names would wait for a read of its own.
    if (this.#parts.source.isOwn(`${request.headers[memberHeader]}`)) return refuse(response, 421)
    const image = await this.#imageOf(target, request, signal)
    if (!image) return refuse(response, 404)
    if (target.kind === 'sums') return this.#images.sums(image, target.object, response)
    if (target.kind === 'promotion') return this.#answerPromotion(image, target, response)
    if (target.kind === 'image' && image.id !== target.id) return refuse(response, 412)
    await this.#images.answer(image, request, response, { isNamed: target.kind === 'name', client })
  }

  async #imageOf(target: RequestTarget, { headers }: IncomingMessage, signal: LightAbortSignal): Promise<Image | null> {
    const { source } = this.#parts
    if (target.kind === 'name') return source.byName(target.name, { signal })
    if (target.kind !== 'image' && target.kind !== 'sums' && target.kind !== 'promotion') return null
    const known = source.byId(target.id)
    const key = known ? null : keyOf(headers)
    return key ? source.byKey(key.origin, key.key, { signal, opener: lastHop }) : known
  }

  /** A member that does not reach the origin asks: this host answers for the origin, or not at all. */
  async #answerVersion({ headers }: IncomingMessage, response: ServerResponse, signal: LightAbortSignal) {
    const key = keyOf(headers)
    const known = key && (await this.#parts.source.versionOf(key.origin, key.key, { signal, opener: lastHop }))
    if (!known) return refuse(response, key ? 404 : 400)
    const { image, ageMs, isFresh } = known
    const { sizeBytes, validator, modifiedMs } = image
    const version: ToldVersion = { sizeBytes, validator, modifiedMs, ageMs, isFresh }
    sendText(response, JSON.stringify(version))
  }

  /** The profile that was learned here, as another parentfs looks for it beside the image. */
  async #profileBeside(name: string, signal: LightAbortSignal): Promise<string | null> {
    const { source } = this.#parts
    const image = await source.byName(name, { signal })
    return source.profileOf(name, entityTag(image.id))
  }

  async #answerProfile(hash: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== 'PUT') {
      const text = this.profiles.get(hash)
      return text === null ? refuse(response, 404) : sendText(response, text)
    }
    const text = await bodyOf(request)
    if (text === null) return refuse(response, 413, { connection: 'close' })
    if (!this.profiles.merge(hash, text)) return refuse(response, 400)
    response.writeHead(204).end()
  }

  #answerPromotion(image: Image, { id, part }: { id: string; part: PromotionPart }, response: ServerResponse): void {
    const isThis = image.id === id
    if (!isThis || this.#parts.promote() === null) refuse(response, isThis ? 404 : 412)
    else {
      const state = this.#promotions.ask(image, part)
      if (state) sendText(response, `${JSON.stringify(state)}\n`)
      else refuse(response, 503)
    }
  }

  #health(): MemberHealth {
    return {
      version: wireVersion,
      blockBytes: this.#parts.source.blockBytes,
      waiting: this.#turns.fills,
      bytesPerSecond: this.#turns.bytesPerSecond,
      state: this.#state,
    }
  }
}

/** A lookup for another host leads to no further member. */
const lastHop = openerOfHops(hopsMax)

function keyOf(headers: IncomingMessage['headers']) {
  const said = headers[keyHeader]
  return typeof said === 'string' ? parseImageKey(said) : null
}

function gatekeeperOf({ tls, token, isOpen }: ServingSettings): Gatekeeper {
  return new Gatekeeper({ takesCertificates: tls !== null && tls.ca !== null, token, isOpen })
}

/** @returns null for a body that is too long. @throws CacheError aborted */
async function bodyOf(request: IncomingMessage): Promise<string | null> {
  const chunks: Buffer[] = []
  let bytes = 0
  try {
    for await (const chunk of request as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > profileBodyBytesMax) return null
      chunks.push(chunk)
    }
  } catch (cause) {
    throw new CacheError('aborted', 'the client has gone', { cause })
  }
  return Buffer.concat(chunks).toString('utf8')
}
