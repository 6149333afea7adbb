/**
 * S3 signer: signs requests for a bucket, each URL once for some minutes; hears of keys that have ended, of another
 * region and of a clock that is off.
 *
 * Range and If-Match are no part of what is signed, so one head serves all ranges of an image.
 */
import type { Authorization, AuthorizedRequest, Authorizer, RefusedAnswer } from '../http/authorizer.ts'
import { headerOf } from '../http/protocol/response-headers.ts'
import type { AwsCredentials } from './credentials/aws-credentials.ts'
import type { AwsKeys } from './credentials/aws-keys.ts'
import { signatureMsMax, skewMsMin } from './limits.ts'
import { isRegion, keyErrors } from './s3-error.ts'
import { authorizationFor, signingTimeOf, unsignedPayload } from './signature-v4.ts'

export interface S3SignerOptions {
  /** null: requests are not signed. */
  readonly credentials: Pick<AwsCredentials, 'keys' | 'renew' | 'freshMs'> | null
  readonly region: string
  readonly requesterPays: boolean
  /** The clock on the wall, in milliseconds since 1970. */
  readonly now?: () => number
  /** Milliseconds, never going back. */
  readonly monotonic?: () => number
}

interface Signed {
  readonly headers: Readonly<Record<string, string>>
  readonly untilMs: number
  /** The state of keys, region and clock that it was made of. */
  readonly epoch: number
  readonly keys: AwsKeys | null
}

/** Codes and statuses that come with the region that should have been asked. */
const refusals: ReadonlySet<number> = new Set([301, 400, 401, 403])

export class S3Signer implements Authorizer {
  readonly refusals = refusals
  readonly #options: S3SignerOptions
  readonly #now: () => number
  readonly #monotonic: () => number
  readonly #signed = new WeakMap<URL, Signed>()
  readonly #signedBy = new WeakMap<Signed['headers'], Signed>()
  #region: string
  /** The server's clock less ours. */
  #skewMs = 0
  #epoch = 0

  constructor(options: S3SignerOptions) {
    this.#options = options
    this.#region = options.region
    this.#now = options.now ?? Date.now
    this.#monotonic = options.monotonic ?? (() => performance.now())
  }

  /** The region that the bucket is in, as far as is known. */
  get region(): string {
    return this.#region
  }

  async authorize({ method, url }: AuthorizedRequest): Promise<Authorization> {
    const nowMs = this.#monotonic()
    const before = method === 'GET' ? this.#signed.get(url) : undefined
    if (before?.epoch === this.#epoch && nowMs < before.untilMs) return authorizationOf(before, nowMs)
    const keys = (await this.#options.credentials?.keys()) ?? null
    const goodMs = keys === null ? Number.POSITIVE_INFINITY : Math.max(1, this.#options.credentials?.freshMs ?? 0)
    const headers = this.#headersOf(method, url, keys)
    const signed = { headers, untilMs: nowMs + Math.min(signatureMsMax, goodMs), epoch: this.#epoch, keys }
    this.#signedBy.set(headers, signed)
    if (method === 'GET') this.#signed.set(url, signed)
    return authorizationOf(signed, nowMs)
  }

  /** Of requests that are refused together, the first one hears what is wrong: all of them are sent again. */
  async refused(_request: AuthorizedRequest, sent: Authorization, { headers, error }: RefusedAnswer): Promise<boolean> {
    this.#hearRegion(headerOf(headers, 'x-amz-bucket-region') ?? error?.region ?? null)
    if (this.#options.credentials === null) return false
    this.#hearDate(headerOf(headers, 'date'))
    const signed = this.#signedBy.get(sent.headers)
    if (error === null || keyErrors.has(error.code)) {
      const keys = await this.#options.credentials.renew()
      if (signed?.keys !== keys) this.#epoch++
    }
    return signed?.epoch !== this.#epoch
  }

  #hearRegion(region: string | null): void {
    if (region === null || region === this.#region || !isRegion(region)) return
    this.#region = region
    this.#epoch++
  }

  /** Our clock may be off by more than was known. */
  #hearDate(date: string | null): void {
    const skewMs = Date.parse(date ?? '') - this.#now()
    if (Number.isNaN(skewMs) || Math.abs(skewMs - this.#skewMs) < skewMsMin) return
    this.#skewMs = skewMs
    this.#epoch++
  }

  #headersOf(method: string, url: URL, keys: AwsKeys | null): Readonly<Record<string, string>> {
    const own: Record<string, string> = this.#options.requesterPays ? { 'x-amz-request-payer': 'requester' } : {}
    // The checksum of the whole is told to those who ask for it.
    if (method === 'HEAD') own['x-amz-checksum-mode'] = 'ENABLED'
    if (keys === null) return own
    const time = signingTimeOf(this.#now() + this.#skewMs)
    const headers: Record<string, string> = { ...own, 'x-amz-content-sha256': unsignedPayload, 'x-amz-date': time }
    if (keys.sessionToken !== null) headers['x-amz-security-token'] = keys.sessionToken
    const scope = { region: this.#region, service: 's3', time }
    return {
      ...headers,
      authorization: authorizationFor({ method, url, headers, payload: unsignedPayload }, scope, keys),
    }
  }
}

function authorizationOf({ headers, untilMs }: Signed, nowMs: number): Authorization {
  return { headers, query: '', freshMs: untilMs - nowMs }
}
