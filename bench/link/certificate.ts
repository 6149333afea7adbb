/** A certificate for a web server of a benchmark. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'

/** By openssl. @returns the paths of the certificate, which is its own authority, and of its key */
export function makeCertificate(
  directory: string,
  address: string,
): { readonly certificate: string; readonly key: string } {
  const [certificate, key] = [join(directory, 'cert.pem'), join(directory, 'key.pem')]
  const subject = ['-subj', `/CN=${address}`, '-addext', `subjectAltName=IP:${address}`]
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  execFileSync('openssl', ['req', '-x509', ...curve, '-keyout', key, '-out', certificate, '-days', '2', ...subject], {
    stdio: 'ignore',
  })
  return { certificate, key }
}
