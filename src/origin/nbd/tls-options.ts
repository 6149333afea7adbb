/**
 * TLS with an NBD server: certificates, or a pre-shared key. Files are read for each connection, so that new ones count
 * from the next on.
 */
import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { isIP } from 'node:net'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { ConnectionOptions, PeerCertificate } from 'node:tls'
import { CacheError, messageOf } from '../../base/errors.ts'
import { nbdTlsFileBytesMax } from './limits.ts'

/** The trust in a server, and the proofs for it. */
export interface NbdTls {
  /** Directory of `ca-cert.pem`, `client-cert.pem` and `client-key.pem`, as far as they are there. */
  readonly certificates: string | null
  /** File of pre-shared keys, as GnuTLS has them: lines `user:hex`. */
  readonly pskFile: string | null
  /** The key itself, in hex, from where secrets are. */
  readonly pskKey: { value(): Promise<string> } | null
  /** The user of the pre-shared key; null: the one of this process. */
  readonly username: string | null
  /** The name in the certificate of the server; null: the one of the URL. */
  readonly hostname: string | null
  readonly verifyPeer: boolean
}

export const tlsDefault: NbdTls = {
  certificates: null,
  pskFile: null,
  pskKey: null,
  username: null,
  hostname: null,
  verifyPeer: true,
}

/** Suites with pre-shared keys, those with forward secrecy alone. Source: openssl-ciphers(1), RFC 8446, RFC 5489. */
const pskCiphers = [
  'TLS_AES_128_GCM_SHA256',
  'TLS_CHACHA20_POLY1305_SHA256',
  'ECDHE-PSK-CHACHA20-POLY1305',
  'ECDHE-PSK-AES256-CBC-SHA384',
  'ECDHE-PSK-AES128-CBC-SHA256',
  'DHE-PSK-AES256-GCM-SHA384',
  'DHE-PSK-AES128-GCM-SHA256',
].join(':')

/**
 * Options of node:tls for a server at `host`.
 * @throws CacheError access-denied when a file or a secret cannot be used
 */
export async function tlsOptionsOf(tls: NbdTls, host: string): Promise<ConnectionOptions> {
  const name = tls.hostname ?? host
  const server = { host: name, ...(isIP(name) === 0 ? { servername: name } : {}), rejectUnauthorized: tls.verifyPeer }
  return tls.pskFile === null && tls.pskKey === null
    ? { ...server, ...(await certificatesIn(tls.certificates)) }
    : { ...server, ...(await preSharedKey(tls)) }
}

async function certificatesIn(directory: string | null): Promise<ConnectionOptions> {
  if (directory === null) return {}
  const [ca, cert, key] = await Promise.all([
    textOf(join(directory, 'ca-cert.pem'), false),
    textOf(join(directory, 'client-cert.pem'), false),
    textOf(join(directory, 'client-key.pem'), true),
  ])
  if (ca === null && cert === null) throw unusable(directory, 'it has neither ca-cert.pem nor client-cert.pem')
  if ((cert === null) !== (key === null)) throw unusable(directory, 'client-cert.pem and client-key.pem go together')
  return { ...(ca === null ? {} : { ca }), ...(cert === null || key === null ? {} : { cert, key }) }
}

async function preSharedKey({ pskFile, pskKey, username }: NbdTls): Promise<ConnectionOptions> {
  const identity = username ?? userInfo().username
  const place = pskFile ?? 'tlsPskKey'
  const hex = pskFile === null ? await pskKey!.value() : keyOf(identity, (await textOf(pskFile, true)) ?? '')
  if (hex === null) throw unusable(place, `there is no key of the user ${JSON.stringify(identity)} in it`)
  if (!/^([0-9a-f]{2}){4,}$/i.test(hex)) throw unusable(place, 'the key is not written in hex')
  const psk = Buffer.from(hex, 'hex')
  // A server that shows a certificate in place of the key does not have the key. TLS 1.2 comes here with both.
  const checkServerIdentity = (_: string, { raw }: Partial<PeerCertificate>) =>
    raw === undefined ? undefined : new Error('the server did not prove that it has the pre-shared key')
  return {
    ciphers: pskCiphers,
    ca: [],
    rejectUnauthorized: true,
    pskCallback: () => ({ psk, identity }),
    checkServerIdentity,
  }
}

/** Source: GnuTLS, psktool(1): one `user:hex` a line. */
function keyOf(username: string, text: string): string | null {
  const line = text.split(/\r?\n/).find(each => each.startsWith(`${username}:`))
  return line?.slice(username.length + 1).trim() ?? null
}

/** A small file; null where there is none. @param isPrivate others must not be able to read it */
async function textOf(file: string, isPrivate: boolean): Promise<string | null> {
  try {
    // A pipe without a writer must not hold us.
    const handle = await open(file, constants.O_RDONLY | constants.O_NONBLOCK)
    try {
      const stat = await handle.stat()
      if (!stat.isFile() || stat.size > nbdTlsFileBytesMax) throw new Error('it is not a small regular file')
      if (isPrivate && (stat.mode & 0o027) !== 0)
        throw new Error(`others may read or write it: run "chmod 600 ${file}"`)
      return await handle.readFile('utf8')
    } finally {
      await handle.close()
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null
    throw unusable(file, messageOf(error), error)
  }
}

function unusable(place: string, why: string, cause?: unknown): CacheError {
  return new CacheError('access-denied', `${place} is not usable: ${why}`, { cause })
}
