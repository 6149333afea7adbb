/**
 * Settings of request headers: names that may be set, and values that are text or secrets.
 */
import { z } from 'zod'
import type { SecretSource } from '../../origin/http/secret.ts'
import { secretSchema, setting, shown, textOrSecretSchema } from './setting-fields.ts'

export interface SettingComplaint {
  readonly path: string[]
  readonly message: string
}

type Headers = Readonly<Record<string, string | SecretSource>>

/** Headers that say what is asked for are ours to send. */
const ourHeaders = new Set(
  'accept-encoding connection content-length expect host if-match if-modified-since if-none-match if-range if-unmodified-since keep-alive range te trailer transfer-encoding upgrade want-repr-digest'.split(
    ' ',
  ),
)

const headerName = z
  .string()
  .regex(/^[\w!#$%&'*+.^`|~-]{1,100}$/, { error: ({ input }) => `${shown(input)} is not the name of a header` })
  .refine(name => !ourHeaders.has(name.toLowerCase()), {
    error: ({ input }) => `the header ${input} is not to be set: parentfs needs it`,
  })

/** Matches names of headers whose values are secret. */
const secretHeader = /auth|token|key|secret|cookie|password|signature/i

export function headersField(described: { readonly what: string }) {
  return setting(z.record(headerName, textOrSecretSchema).optional(), {
    kind: 'text',
    range: '{NAME: TEXT or SECRET}',
    live: true,
    unset: 'none',
    ...described,
  })
}

/** The complaints about headers: secrets among them are not written as text. */
export function headerComplaints(headers: Headers | undefined): SettingComplaint[] {
  const said: SettingComplaint[] = []
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (typeof value !== 'string') continue
    const complain = (message: string) => said.push({ path: ['headers', name], message })
    if (secretHeader.test(name)) complain(secretSchema.safeParse('').error!.issues[0]!.message)
    if (!/^[\x20-\x7e]*$/.test(value)) complain('the value of a header is one line of plain text')
  }
  return said
}

/** By name in small letters. */
export function headersIn(headers: Headers | undefined): Headers {
  return Object.fromEntries(Object.entries(headers ?? {}).map(([name, value]) => [name.toLowerCase(), value]))
}
