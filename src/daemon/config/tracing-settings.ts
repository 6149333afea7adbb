/**
 * Settings of tracing: the collector that gets the spans of sampled misses. Without `otlp` nothing is traced.
 */
import { readFile } from 'node:fs/promises'
import { z } from 'zod'
import { CacheError, messageOf } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { Credentials } from '../../origin/http/request-credentials.ts'
import { Secret } from '../../origin/http/secret.ts'
import { exportMsMaxDefault } from '../../tracing/limits.ts'
import { headerComplaints, headersField, headersIn } from './header-settings.ts'
import { durationField, pathField, setting, shareField, shown } from './setting-fields.ts'

export type TracingSettings = z.output<typeof tracingSchema>

const otlpRange = 'http://HOST:4318, https://HOST:4318'

const otlp = setting(
  z
    .string({ error: ({ input }) => `${shown(input)} is not a URL` })
    .superRefine((text, ctx) => {
      const complaint = urlComplaint(text)
      if (complaint !== null) ctx.addIssue({ code: 'custom', message: complaint })
    })
    .nullable()
    .default(null),
  {
    kind: 'text',
    range: otlpRange,
    live: true,
    what: 'collector that gets traces of sampled misses (OTLP over HTTP, JSON); /v1/traces is added',
    unset: 'none: nothing is traced',
  },
)

/** The complaint does not repeat the text, which may have a secret. */
function urlComplaint(text: string): string | null {
  if (!URL.canParse(text) || !/^https?:/i.test(text)) return `this is not the URL of a collector: write ${otlpRange}`
  const { username, password, search, hash } = new URL(text)
  if (username === '' && password === '' && search === '' && hash === '') return null
  return 'the URL of a collector has no credentials, query or fragment: write tracing.headers'
}

export const tracingSchema = z
  .strictObject({
    otlp,
    ratio: shareField({ min: 0, max: 1 }, 0.01, {
      live: true,
      what: 'share of the misses that are traced, drawn by chance',
    }),
    headers: headersField({
      what: 'further headers for the collector, such as Authorization; a SECRET has the form of `bearer`',
    }),
    ca: pathField({
      live: true,
      what: 'file of CA certificates (PEM) of the collector, trusted in addition to the usual ones',
      unset: 'none',
    }),
    timeout: durationField({ min: 100, max: 60_000 }, exportMsMaxDefault, {
      live: true,
      what: 'time-out of one request to the collector',
    }),
  })
  .superRefine(({ headers }, ctx) => {
    for (const { path, message } of headerComplaints(headers)) ctx.addIssue({ code: 'custom', path, message })
  })

/** The headers as a request gets them. */
export function collectorCredentials({ headers }: TracingSettings, logger: Logger): Credentials {
  return new Credentials({ headers: headersIn(headers) }, { logger })
}

/** The certificates, read at this moment; null: none. @throws CacheError invalid-argument */
export async function collectorAuthorities({ ca }: TracingSettings): Promise<string | null> {
  if (ca === null) return null
  try {
    const text = await readFile(ca, 'utf8')
    if (text.includes('-----BEGIN CERTIFICATE-----')) return text
    throw new Error('there is no certificate in it')
  } catch (cause) {
    throw new CacheError('invalid-argument', `tracing.ca ${ca} is not usable: ${messageOf(cause)}`, { cause })
  }
}

/** Look at the files of the settings as a daemon would; no program is started. @throws CacheError */
export async function checkTracingFiles(settings: TracingSettings, logger: Logger): Promise<void> {
  await collectorAuthorities(settings)
  for (const value of Object.values(settings.headers ?? {})) {
    if (typeof value !== 'string' && 'file' in value) await new Secret(value, { logger }).value()
  }
}
