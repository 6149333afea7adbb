/**
 * Settings of origins over HTTP, beside those that every origin has: the way to the server, and what a web server is
 * told beside it.
 */
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { socketPathBytesMax } from '../../admin/limits.ts'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { connectMsMax, firstByteMsMax, listingBytesMax, stallMsMax } from '../../origin/http/limits.ts'
import { noProxy, type ProxyChoice, proxiesIn, proxyAt } from '../../origin/http/protocol/proxy-rules.ts'
import { Credentials } from '../../origin/http/request-credentials.ts'
import type { OriginOptions } from '../../origin/open-origin.ts'
import { hedgeShareMax } from '../../origin/wrappers/limits.ts'
import { headerComplaints, headersField, headersIn, type SettingComplaint } from './header-settings.ts'
import {
  durationField,
  pathField,
  secretField,
  secretSchema,
  setting,
  shareField,
  sizeField,
} from './setting-fields.ts'

const [KiB, GiB] = [1024, 1024 ** 3]
const hour = 3_600_000

function basicField(key: string, described: { readonly what: string; readonly unset: string }) {
  const username = z
    .string({ error: 'the username is a text' })
    .regex(/^[^:\p{Cc}]+$/u, { error: 'a username has no colon' })
  const range = '{username: NAME, password: SECRET}'
  const schema = z.strictObject({ username, password: secretSchema }, { error: `${key} is ${range}` })
  return setting(schema.optional(), { kind: 'text', range, live: true, ...described })
}

/** Settings of origins over HTTP. */
export const webFields = {
  connectTimeout: durationField({ min: 1, max: hour }, connectMsMax, {
    live: true,
    what: 'time-out of a new connection, TLS handshake included',
  }),
  answerTimeout: durationField({ min: 1, max: hour }, firstByteMsMax, {
    live: true,
    what: 'time-out until the first byte of an answer',
  }),
  stallTimeout: durationField({ min: 1, max: hour }, stallMsMax, {
    live: true,
    what: 'longest pause within an answer',
  }),
  ca: pathField({
    live: true,
    what: 'file of CA certificates (PEM) trusted in addition to the usual ones',
    unset: 'none',
  }),
  proxy: setting(z.string().superRefine(judgeProxy).nullable().default(null), {
    kind: 'text',
    range: 'http://HOST:PORT, https://HOST:PORT, none',
    live: true,
    what: 'HTTP proxy for all requests of this origin, redirects included; `none` overrules the environment',
    unset: '`http_proxy`, `https_proxy`, `no_proxy`',
  }),
  proxyBasic: basicField('proxyBasic', {
    what: 'user name and password for `proxy`; a SECRET has the form of `bearer`',
    unset: 'none',
  }),
  hedgeShare: shareField({ min: 0, max: 0.5 }, hedgeShareMax, {
    live: true,
    what: 'budget of second requests for slow reads, as a share of all requests; 0%: none',
  }),
}

/** Of web servers. */
export const webServerFields = {
  basic: basicField('basic', {
    what: 'user name and password for the server; a SECRET has the form of `bearer`',
    unset: 'none',
  }),
  bearer: secretField({ live: true, what: 'token for the server (Authorization: Bearer)', unset: 'none' }),
  headers: headersField({
    what: 'further request headers for the server; targets of redirects get none of them',
  }),
  query: secretField({
    live: true,
    what: 'query added to each URL of the server, such as a shared access signature (NAME=VALUE&..., encoded)',
    unset: 'none',
  }),
  unixSocket: pathField(
    { live: true, what: 'Unix socket of the server of `url`, in place of its address', unset: 'none' },
    socketPathBytesMax,
  ),
  listingSize: sizeField({ min: KiB, max: GiB }, listingBytesMax, { live: true, what: 'largest listing that is read' }),
}

type HttpSettings = z.output<z.ZodObject<typeof webFields>>
type WebServerSettings = HttpSettings & z.output<z.ZodObject<typeof webServerFields>>

/** The complaint about the settings of a proxy; null: none. */
export function proxyComplaint({ proxy, proxyBasic }: HttpSettings): string | null {
  const isWrong = proxyBasic && (proxy === null || proxy === 'none')
  return isWrong ? 'proxyBasic goes with proxy: write proxy: http://HOST:PORT' : null
}

/** The complaints about settings of a web server. */
export function webServerComplaints({ basic, bearer, headers }: WebServerSettings): SettingComplaint[] {
  const said = headerComplaints(headers)
  if (basic && bearer) said.push({ path: ['bearer'], message: 'basic and bearer do not go together: give one of them' })
  return said
}

function judgeProxy(text: string, ctx: z.RefinementCtx): void {
  const complain = (message: string) => void ctx.addIssue({ code: 'custom', message })
  if (text === 'none') return
  try {
    if (proxyAt(text).credentials === null) return
    complain(
      'a proxy is written without credentials, which others would see: write proxyBasic: {username: NAME, password: SECRET}',
    )
  } catch (error) {
    complain(messageOf(error))
  }
}

function proxiesOf({ proxy, proxyBasic }: HttpSettings, logger: Logger): ProxyChoice {
  if (proxy === null) return proxiesIn(process.env)
  if (proxy === 'none') return noProxy
  const chosen = proxyAt(proxy, proxyBasic ? new Credentials({ basic: proxyBasic }, { logger }) : null)
  return () => chosen
}

/**
 * The same, as src/origin/open-origin.ts wants it.
 * @throws CacheError invalid-argument when a file that it names cannot be read
 */
export function httpOptionsOf(settings: HttpSettings | WebServerSettings, logger: Logger): OriginOptions['http'] {
  const { connectTimeout, answerTimeout, stallTimeout, ca } = settings
  return {
    connectMsMax: connectTimeout,
    firstByteMsMax: answerTimeout,
    stallMsMax: stallTimeout,
    proxyFor: proxiesOf(settings, logger),
    ca: ca === null ? null : certificatesIn(ca),
    ...('listingSize' in settings ? webServerOptionsOf(settings, logger) : {}),
  }
}

function webServerOptionsOf(settings: WebServerSettings, logger: Logger): OriginOptions['http'] {
  const { listingSize, basic, bearer, headers, query, unixSocket } = settings
  const sources = { basic, bearer, headers: headersIn(headers), query }
  const hasCredentials =
    Object.keys(sources.headers).length > 0 || [basic, bearer, query].some(source => source !== undefined)
  return {
    listingBytesMax: listingSize,
    unixSocket,
    authorizer: hasCredentials ? new Credentials(sources, { logger }) : null,
  }
}

/** @throws CacheError invalid-argument */
function certificatesIn(file: string): string {
  try {
    const text = readFileSync(file, 'utf8')
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text
    throw new Error('there is no certificate in it')
  } catch (cause) {
    throw new CacheError('invalid-argument', `ca ${file} is not usable: ${messageOf(cause)}`, { cause })
  }
}
