/**
 * Sessions of pages: bearer tokens that say their end and are signed, so that the next worker takes them too. Links
 * that are good once are exchanged for one.
 */
import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { LruMap } from '../base/lru-map.ts'
import { webLinkMs, webLinksMax, webSessionMs } from './limits.ts'

export interface PageSession {
  /** The bearer token. */
  readonly token: string
  /** Since 1970. */
  readonly endMs: number
}

export class Sessions {
  readonly #key: Buffer
  readonly #wallMs: () => number

  /** @param secret another one makes all sessions void */
  constructor(secret: Uint8Array | string, wallMs: () => number = Date.now) {
    this.#key = Buffer.from(hkdfSync('sha256', secret, '', 'parentfs web session', 32))
    this.#wallMs = wallMs
  }

  issue(): PageSession {
    const endMs = this.#wallMs() + webSessionMs
    const said = `${endMs.toString(36)}.${randomBytes(9).toString('base64url')}`
    return { token: `${said}.${this.#signatureOf(said)}`, endMs }
  }

  /** Is it one of ours, and not over? */
  accepts(token: string): boolean {
    const match = /^(([0-9a-z]{1,12})\.[\w-]{12})\.([\w-]{43})$/.exec(token)
    if (!match) return false
    const [, said, end, signature] = match as unknown as [string, string, string, string]
    return isSameText(signature, this.#signatureOf(said)) && Number.parseInt(end, 36) > this.#wallMs()
  }

  #signatureOf(said: string): string {
    return createHmac('sha256', this.#key).update(said).digest('base64url')
  }
}

/** Links that were given out and not used yet. The oldest go where there are too many. */
export class OneTimeLinks {
  readonly #links = new LruMap<string, number>(webLinksMax)
  readonly #now: () => number

  /** @param now milliseconds, never going back */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now
  }

  create(): string {
    const token = randomBytes(24).toString('base64url')
    this.#links.set(token, this.#now() + webLinkMs)
    return token
  }

  /** True once for each that is not too old. */
  redeem(token: string): boolean {
    const endMs = this.#links.get(token)
    this.#links.delete(token)
    return endMs !== undefined && endMs > this.#now()
  }
}

/** Compares in the same time whatever differs. */
export function isSameText(a: string, b: string): boolean {
  const digest = (text: string) => createHmac('sha256', 'parentfs').update(text).digest()
  return timingSafeEqual(digest(a), digest(b))
}
