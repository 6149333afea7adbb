/**
 * Settings of proofs by hash trees, of an origin and of its single images.
 */
import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { z } from 'zod'
import { CacheError, messageOf } from '../../base/errors.ts'
import { type OriginVerifyOptions, type VerifyOptions, verityChoices } from '../../origin/sealed/verify-options.ts'
import { setting, shown } from './setting-fields.ts'

const path = z
  .string({ error: ({ input }) => `${shown(input)} is not a path` })
  .refine(text => /^\/[^\0]*$/.test(text), {
    error: ({ input }) => `${shown(input)} is not an absolute path: begin it with a slash`,
  })

const fields = {
  verity: z.enum(verityChoices, {
    error: ({ input }) => `verity ${shown(input)} is unknown: there is ${verityChoices.join(', ')}`,
  }),
  rootHash: z
    .string({ error: 'a root hash is a text: put it in quotes' })
    .regex(/^([0-9a-fA-F]{64}|[0-9a-fA-F]{128})$/, { error: 'a root hash has 64 or 128 hex digits' })
    .transform(text => text.toLowerCase())
    .optional(),
  certificates: z.union([path, z.array(path)], { error: 'certificates are paths of PEM files' }).optional(),
}

const range = '{verity: require, prefer or off, rootHash: HEX, certificates: [PATH, ...], images: {NAME: {...}}}'

export const verifyFields = {
  verify: setting(
    z
      .strictObject(
        {
          ...fields,
          verity: fields.verity.default('prefer'),
          images: z.record(z.string(), z.strictObject({ ...fields, verity: fields.verity.optional() })).optional(),
        },
        { error: `verify is ${range}` },
      )
      .optional(),
    {
      kind: 'text',
      range,
      live: true,
      what: 'proof of each block by the hash tree of its image (docs/VERITY.md); images: other ones for single names',
      unset: 'none is looked for',
    },
  ),
}

type VerifySettings = z.output<typeof verifyFields.verify>

/**
 * The same, as src/origin/sealed/ wants it; null for none.
 * @throws CacheError invalid-argument when a certificate cannot be read
 */
export function verifyOptionsOf(settings: VerifySettings): OriginVerifyOptions | null {
  if (!settings) return null
  const whole: VerifyOptions = {
    verity: settings.verity,
    rootHash: settings.rootHash ?? null,
    certificates: certificatesAt(settings.certificates),
  }
  const images = new Map<string, VerifyOptions>()
  for (const [key, own] of Object.entries(settings.images ?? {})) {
    images.set(key, {
      verity: own.verity ?? whole.verity,
      // A root hash is that of one image.
      rootHash: own.rootHash ?? null,
      certificates: own.certificates === undefined ? whole.certificates : certificatesAt(own.certificates),
    })
  }
  return { ...whole, images }
}

/** PEM texts. */
function certificatesAt(paths: string | readonly string[] | undefined): string[] {
  return [paths ?? []].flat().map(file => {
    let text: string
    try {
      text = readFileSync(file, 'utf8')
    } catch (cause) {
      throw new CacheError('invalid-argument', `certificates: ${file} cannot be read: ${messageOf(cause)}`, { cause })
    }
    const parts = text
      .split(/^(?=-----BEGIN (?:TRUSTED )?CERTIFICATE-----)/m)
      .filter(part => certificateBegin.test(part))
    if (parts.length === 0) {
      throw new CacheError('invalid-argument', `certificates: ${file} has no certificate in PEM`)
    }
    for (const [k, part] of parts.entries()) mustBeCertificate(part, `${file}: certificate ${k + 1}`)
    return text
  })
}

const certificateBegin = /^-----BEGIN (TRUSTED )?CERTIFICATE-----/

/** @throws CacheError invalid-argument */
function mustBeCertificate(text: string, what: string): void {
  try {
    new X509Certificate(text)
  } catch (cause) {
    const message = `certificates: ${what} cannot be read: ${messageOf(cause)}`
    throw new CacheError('invalid-argument', message, { cause })
  }
}
