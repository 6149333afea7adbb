/**
 * Settings of the page on a TCP port. Beyond this machine it is served over TLS alone, and never without a token.
 */
import { readFile } from 'node:fs/promises'
import { isIP } from 'node:net'
import { createSecureContext } from 'node:tls'
import { z } from 'zod'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { Secret } from '../../origin/http/secret.ts'
import { webHostsMax, webTokenCharsMin } from './limits.ts'
import { booleanField, pathField, secretField, setting, shown } from './setting-fields.ts'

/** An address of this machine and a port. */
export interface ListenAddress {
  /** IPv6 in brackets, as in a URL. */
  readonly host: string
  readonly port: number
}

export type WebSettings = z.output<typeof webSchema>

const listenRange = 'ADDRESS:PORT, like 127.0.0.1:9180 or [::1]:9180'

const listen = setting(
  z
    .string({ error: ({ input }) => `${shown(input)} is not an address: write ${listenRange}` })
    .refine(text => listenAddressOf(text) !== null, {
      error: ({ input }) => `${shown(input)} is not an address with a port: write ${listenRange}`,
    })
    .nullable()
    .default(null),
  { kind: 'text', range: listenRange, live: true, what: 'address and port of the page (docs/WEB.md)', unset: 'none' },
)

const hosts = setting(
  z
    .array(
      z
        .string({ error: ({ input }) => `${shown(input)} is not the name of a host` })
        .regex(/^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/, {
          error: ({ input }) => `${shown(input)} is not the name of a host: small letters, without a port`,
        }),
      { error: ({ input }) => `${shown(input)} is not a list: write [images.example.com]` },
    )
    .max(webHostsMax, { error: `more than ${webHostsMax} names` })
    .default([]),
  {
    kind: 'text',
    range: '[NAME, ...]',
    live: true,
    what: 'names in the URL of the page beside its address, such as that of a reverse proxy',
    unset: 'none',
  },
)

export const webSchema = z
  .strictObject({
    listen,
    token: secretField({ live: true, what: 'token that a page logs in with; 16 characters at least', unset: 'none' }),
    certificate: pathField({ live: true, what: 'certificate chain of the page as PEM; TLS 1.3 alone', unset: 'none' }),
    key: pathField({ live: true, what: 'private key of the certificate as PEM', unset: 'none' }),
    hosts,
    allowActions: booleanField({
      live: true,
      what: 'pages may promote, pin and evict images, and not only look',
      unset: 'false',
    }),
  })
  .superRefine((settings, ctx) => {
    const complain = (at: string, message: string) =>
      ctx.addIssue({ code: 'custom', path: [at], message, params: { lacking: true } })
    const address = settings.listen === null ? null : listenAddressOf(settings.listen)
    if ((settings.certificate === null) !== (settings.key === null)) {
      complain(settings.key === null ? 'certificate' : 'key', 'certificate and key go together: give both')
    }
    if (!address) return
    if (!settings.token) complain('listen', 'the page is not served without a token: write web.token')
    if (settings.certificate === null && !isLoopbackHost(address.host)) {
      complain('listen', 'beyond this machine the page is served over TLS alone: write web.certificate and web.key')
    }
  })

/** @returns null where the text is none */
export function listenAddressOf(text: string): ListenAddress | null {
  const [, host = '', port = ''] = /^(\[[0-9a-fA-F:.]+\]|[0-9.]+):(\d{1,5})$/.exec(text) ?? []
  const isPort = Number(port) >= 1 && Number(port) <= 65_535
  return isPort && isIP(host.replace(/^\[|\]$/g, '')) !== 0 ? { host: host.toLowerCase(), port: Number(port) } : null
}

/** A name or address that stays on this machine. */
export function isLoopbackHost(host: string): boolean {
  return host === 'localhost' || host === '[::1]' || (/^127\.[0-9.]+$/.test(host) && isIP(host) === 4)
}

/** A certificate chain and its key as PEM, read at this moment. */
export interface PageCertificate {
  readonly certificate: Buffer
  readonly key: Buffer
}

/** @returns null without TLS. @throws CacheError invalid-argument when they are none, or do not fit */
export async function certificateOf({ certificate, key }: WebSettings): Promise<PageCertificate | null> {
  if (certificate === null || key === null) return null
  try {
    const read = { certificate: await readFile(certificate), key: await readFile(key) }
    createSecureContext({ cert: read.certificate, key: read.key })
    return read
  } catch (cause) {
    const message = `the certificate ${certificate} with the key ${key} is not usable: ${messageOf(cause)}`
    throw new CacheError('invalid-argument', message, { cause })
  }
}

/** The token now, of a secret that is read anew when it may have changed. @throws CacheError access-denied */
export async function tokenOf(secret: Pick<Secret, 'value'>): Promise<string> {
  const value = await secret.value()
  if (value.length >= webTokenCharsMin) return value
  throw new CacheError('access-denied', `web.token has less than ${webTokenCharsMin} characters: make a longer one`)
}

/** Look at the files of the settings as a daemon would; no program is started. @throws CacheError */
export async function checkWebFiles(settings: WebSettings, logger: Logger): Promise<void> {
  await certificateOf(settings)
  if (settings.token && 'file' in settings.token) await tokenOf(new Secret(settings.token, { logger }))
}
