/**
 * Settings of an origin that is an NBD server, beside those that every origin has.
 */
import { z } from 'zod'
import { CacheError } from '../../base/errors.ts'
import type { Logger } from '../../base/logger.ts'
import { type Digest, digestAlgorithms, hexLength } from '../../origin/contract/digest.ts'
import { isImageName } from '../../origin/contract/image-name.ts'
import { Secret } from '../../origin/http/secret.ts'
import { nbdUrlOf, partsOfNbdUrl } from '../../origin/nbd/nbd-url.ts'
import { tlsDefault, tlsOptionsOf } from '../../origin/nbd/tls-options.ts'
import type { OriginOptions } from '../../origin/open-origin.ts'
import { booleanField, pathField, secretField, setting, shown } from './setting-fields.ts'

const digestRange = digestAlgorithms.map(each => `${each.replace('-', '')}:HEX`).join(' or ')

const digestText = z
  .string({ error: ({ input }) => `${shown(input)} is not a digest: write ${digestRange}` })
  .refine(text => digestIn(text) !== null, {
    error: ({ input }) => `${shown(input)} is not a digest: write ${digestRange}`,
  })

const imageName = z
  .string()
  .refine(isImageName, { error: ({ input }) => `${shown(input)} is not the name of an image` })

/** A word for the TLS of a server. */
function word(what: string, unset: string) {
  const schema = z.string({ error: ({ input }) => `${shown(input)} is not a name` }).regex(/^[^\s\0]+$/, {
    error: ({ input }) => `${shown(input)} is not a name: give one word`,
  })
  return setting(schema.nullable().default(null), { kind: 'text', range: 'a name', live: true, what, unset })
}

/** Of nbd origins. */
export const nbdFields = {
  digests: setting(z.record(imageName, digestText).optional(), {
    kind: 'text',
    range: `{NAME: ${digestRange}}`,
    live: true,
    what: 'nbd: digests of whole images; each tells the version of its image, which is verified by it',
    unset: 'none',
  }),
  tlsCertificates: pathField({
    live: true,
    what: 'nbd: directory of ca-cert.pem, client-cert.pem and client-key.pem; with ca-cert.pem no other authority is trusted',
    unset: 'none; the authorities of Node.js are trusted',
  }),
  tlsPskFile: pathField({
    live: true,
    what: 'nbd: file of pre-shared keys, as psktool(1) writes it',
    unset: 'none',
  }),
  tlsPskKey: secretField({ live: true, what: 'nbd: the pre-shared key itself, in hex', unset: 'none' }),
  tlsUsername: word('nbd: user of the pre-shared key', 'the user of the daemon'),
  tlsHostname: word('nbd: name in the certificate of the server', 'the host of the URL; for Unix sockets `localhost`'),
  tlsVerifyPeer: booleanField({
    live: true,
    what: 'nbd: the certificate of the server is verified; not doing so lets anybody on the way pose as the server',
    unset: 'true',
  }),
}

type NbdFields = { readonly [name in keyof typeof nbdFields]?: z.output<(typeof nbdFields)[name]> }
type NbdSettings = NbdFields & { readonly allowMutable?: boolean | null }

/**
 * The settings with those that are parts of the URL, and the URL without them: cached blocks belong to it.
 * @throws CacheError invalid-argument, also when both say something else
 */
export function withNbdUrl<T extends object>(url: string, beside: T): T & { readonly url: string } {
  const { place, tls } = partsOfNbdUrl(url)
  const named = Object.entries(tls).map(([name, value]) => [`tls${name[0]!.toUpperCase()}${name.slice(1)}`, value])
  const said = new Map<string, unknown>(Object.entries(beside))
  const clash = named.find(([name, value]) => said.has(`${name}`) && said.get(`${name}`) !== value)
  const whole = nbdUrlOf(place)
  if (clash)
    throw new CacheError('invalid-argument', `${whole}: the setting ${clash[0]} says something else: say it once`)
  return { ...beside, ...Object.fromEntries(named), url: whole }
}

/** The same, as src/origin/open-origin.ts wants it. */
export function nbdOptionsOf(settings: NbdSettings, logger: Logger): OriginOptions['nbd'] {
  const { tlsPskKey, digests = {} } = settings
  return {
    allowMutable: settings.allowMutable ?? false,
    digests: Object.fromEntries(Object.entries(digests).map(([name, text]) => [name, digestIn(text)!])),
    tls: {
      certificates: settings.tlsCertificates ?? null,
      pskFile: settings.tlsPskFile ?? null,
      pskKey: tlsPskKey === undefined ? null : new Secret(tlsPskKey, { logger }),
      username: settings.tlsUsername ?? null,
      hostname: settings.tlsHostname ?? null,
      verifyPeer: settings.tlsVerifyPeer ?? true,
    },
  }
}

/** Reads the files that TLS needs, as a mount would; no secret of elsewhere. @throws CacheError access-denied */
export async function checkNbdFiles(settings: NbdSettings & { readonly url: string }, logger: Logger): Promise<void> {
  if (!partsOfNbdUrl(settings.url).place.isTls) return
  await tlsOptionsOf({ ...tlsDefault, ...nbdOptionsOf(settings, logger).tls, pskKey: null }, 'localhost')
}

/** The digest that a text means; null: none. */
function digestIn(text: string): Digest | null {
  const [word, hex = ''] = text.toLowerCase().split(':')
  const algorithm = digestAlgorithms.find(each => each.replace('-', '') === word)
  if (algorithm === undefined || hex.length !== hexLength[algorithm] || !/^[0-9a-f]+$/.test(hex)) return null
  return { algorithm, hex }
}
