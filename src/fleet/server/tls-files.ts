/**
 * Certificates of the serving port, read from the operator's files: at the start and at each reload.
 */
import { readFile } from 'node:fs/promises'
import { createSecureContext, type SecureContextOptions } from 'node:tls'
import { CacheError, messageOf } from '../../base/errors.ts'

export interface TlsFiles {
  /** Authorities of clients; null: clients have no certificates. */
  readonly ca: string | null
  readonly certificate: string
  readonly key: string
}

/**
 * The options of a TLS server.
 * @throws CacheError invalid-argument naming the file
 */
export async function readTlsFiles({ ca, certificate, key }: TlsFiles): Promise<SecureContextOptions> {
  const read = async (what: string, path: string) => {
    try {
      return await readFile(path)
    } catch (cause) {
      throw new CacheError('invalid-argument', `fleet.tls.${what} ${path} is not usable: ${messageOf(cause)}`, {
        cause,
      })
    }
  }
  const options = {
    cert: await read('certificate', certificate),
    key: await read('key', key),
    ...(ca === null ? {} : { ca: await read('ca', ca) }),
    minVersion: 'TLSv1.3' as const,
  }
  try {
    createSecureContext(options)
  } catch (cause) {
    const message = `fleet.tls: the certificate ${certificate} and its key ${key} are not usable: ${messageOf(cause)}`
    throw new CacheError('invalid-argument', message, { cause })
  }
  return options
}
