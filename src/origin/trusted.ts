/** Whom connections believe that Node.js does not make. */
import { readFileSync } from 'node:fs'
import { rootCertificates } from 'node:tls'

/**
 * What Node.js believes, as far as it tells, and `ca`: certificates of authorities, as PEM. Where it believes in more than that (those of the
 * system, with --use-openssl-ca), a connection that is refused for it is left to Node.js.
 */
export function trustedCertificates(ca: string | null): string {
  return [...rootCertificates, extraCertificates(), ca ?? ''].join('\n')
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
