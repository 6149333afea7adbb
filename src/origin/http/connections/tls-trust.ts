/** Trust in TLS: the same authorities for undici and natively. Native TLS never trusts more than Node.js does. */
import { constants } from 'node:crypto'
import { readFileSync } from 'node:fs'
import * as tls from 'node:tls'

/**
 * Certificates of authorities, as PEM: what Node.js believes, or as much of it as it tells.
 * @param ca trusted besides the usual ones, as PEM
 * @returns null where Node.js was told of other authorities, versions or ciphers: then TLS is its own
 */
export function tlsTrust(ca: string | null): string | null {
  const isUsual =
    tls.DEFAULT_CIPHERS === constants.defaultCoreCipherList &&
    tls.DEFAULT_MIN_VERSION !== 'TLSv1.3' &&
    tls.DEFAULT_MAX_VERSION === 'TLSv1.3'
  if (!isUsual) return null
  // Node overlooks bad certificates then; native TLS never does.
  if (process.env.NODE_TLS_REJECT_UNAUTHORIZED === '0') return null
  const authorities = authoritiesOf(ca)
  if (authorities) return authorities.join('\n')
  return believesOpenssl() ? null : [...tls.rootCertificates, extraCertificates()].join('\n')
}

/** Authorities for Node's TLS, as PEM; undefined: its own. @param ca trusted besides the usual ones, as PEM */
export function authoritiesOf(ca: string | null): string[] | undefined {
  return ca === null ? undefined : [ca, ...tls.rootCertificates]
}

/**
 * Are its authorities those of OpenSSL's files? Source: Node's documentation of --use-openssl-ca;
 * src/crypto/crypto_context.cc.
 */
function believesOpenssl(): boolean {
  const told = [...process.execArgv, process.env.NODE_OPTIONS ?? ''].join(' ')
  if (told.includes('--use-openssl-ca')) return true
  return JSON.stringify(process.config).includes('NODE_OPENSSL_CERT_STORE') && !told.includes('--use-bundled-ca')
}

/** Source: Node's documentation of NODE_EXTRA_CA_CERTS; a file that cannot be read is ignored there, too. */
function extraCertificates(): string {
  const path = process.env.NODE_EXTRA_CA_CERTS
  if (!path) return ''
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
