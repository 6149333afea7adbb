/**
 * Failures of a whole origin as one plain sentence for the person who typed its URL: the mistake, and its remedy.
 *
 * The kinds are those of typing errors: host, port, scheme, path, credentials, certificate, directory, proxy, and
 * servers that cannot serve images. All else keeps the words of the failure. Pure.
 */
import { CacheError } from '../base/errors.ts'

interface Rule {
  /** Of an error of the system or of TLS; null: any. */
  readonly codes: RegExp | null
  /** The words of the failure; absent: any. */
  readonly words?: RegExp
  readonly schemes?: RegExp
  sentence(place: Place): string
}

/** Parts of the URL as people call them. */
interface Place {
  readonly url: URL
  /** With its port. */
  readonly host: string
  readonly path: string
  /** The path of the socket that was not connected to, or empty. */
  readonly socket: string
}

/** In order: the first that fits is said. Source: Node.js errors, "Common system errors"; OpenSSL's X509_V_ERR. */
const rules: readonly Rule[] = [
  {
    codes: null,
    words: /\bproxy\b.*\banswered 407\b/,
    sentence: () => 'the proxy wants credentials: set origin.proxyBasic',
  },
  {
    codes: null,
    words: /\bproxy\b/,
    sentence: ({ host }) =>
      `the proxy on the way to ${host} does not let us through: check http_proxy, https_proxy, no_proxy and origin.proxy`,
  },
  {
    codes: /^(ENOTFOUND|EAI_NONAME|EAI_AGAIN)$/,
    sentence: ({ url }) =>
      `the host ${url.hostname} is not known: check its spelling, and that this machine asks the right name server`,
  },
  {
    codes: null,
    words: /connect E[A-Z]+ \//,
    sentence: ({ socket }) => `nothing listens on the socket ${socket}: check its path, and that the server runs`,
  },
  {
    codes: /^ECONNREFUSED$/,
    sentence: ({ host }) => `nothing listens on ${host}: check host and port, and that the server runs`,
  },
  {
    codes: /^(EHOSTUNREACH|ENETUNREACH|EHOSTDOWN|ETIMEDOUT)$/,
    sentence: ({ host }) => `${host} cannot be reached from here: check the address, routes and firewalls`,
  },
  {
    codes: null,
    words: /wrong version number|packet length too long|unknown protocol|http request/i,
    schemes: /^(https|s3|swift|glance|oci):$/,
    sentence: ({ host }) => `${host} speaks no TLS: write http:// in place of https://, or give the port of TLS`,
  },
  {
    codes: null,
    words: /plain HTTP request|answered 497|TLS record|not an answer of HTTP|HPE_INVALID|Parse Error/i,
    schemes: /^http:$/,
    sentence: ({ host }) => `${host} does not answer in plain HTTP: write https:// if it speaks TLS there`,
  },
  {
    codes: /^(ECONNRESET|EPIPE)$|^UND_ERR_SOCKET$/,
    schemes: /^http:$/,
    sentence: ({ host }) =>
      `${host} hangs up without an answer: check the port, and write https:// if it speaks TLS there`,
  },
  {
    codes: /CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/,
    sentence: ({ host }) =>
      `the certificate of ${host} is not valid at this time: renew it, or set this machine's clock`,
  },
  {
    codes: /ERR_TLS_CERT_ALTNAME_INVALID/,
    sentence: ({ url }) => `the certificate of the server is not one for ${url.hostname}: write the name that is in it`,
  },
  {
    codes: /SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|CERT_(UNTRUSTED|SIGNATURE|REVOKED)/,
    sentence: ({ host }) =>
      `the certificate of ${host} is of an unknown issuer: give its authority with origin.ca, ` +
      'or have the server send the certificates between the two',
  },
  {
    codes: null,
    words: /NoSuchBucket|The specified bucket does not exist/,
    sentence: ({ url }) => `there is no bucket ${url.hostname}: check its name, its region and its endpoint`,
  },
]

/** Words that say what to do already. */
const hasAdvice = /: (check|give|put|set|write) /

/**
 * The sentence, without an end: `origin URL: what is wrong: what to do`.
 * @param url of the origin, without credentials
 * @param failure what a listing or a lookup threw
 */
export function plainFailure(url: string, failure: CacheError): string {
  const words = failure.message.replace(/\s+/g, ' ').trim()
  const found = URL.canParse(url) ? sentenceOf(new URL(url), failure, words) : null
  if (found !== null) return `origin ${url}: ${found}`
  const subject = words.includes(url.replace(/\/$/, '')) ? words : `${url}: ${words}`
  return hasAdvice.test(subject) ? `origin ${subject}` : `origin ${subject}: ${adviceOf(url, failure)}`
}

/** The sentence about an origin that answers and shows no image. */
export function plainEmptiness(url: string, hasListing: boolean): string {
  const why = hasListing ? 'lists no images' : 'has no list of images at this path'
  return `origin ${url}: ${why}: check the path; names that are asked for are looked up all the same`
}

function sentenceOf(url: URL, failure: CacheError, words: string): string | null {
  const codes = codesOf(failure)
  const port = url.port === '' ? '' : `:${url.port}`
  const socket = /connect E[A-Z]+ (\/.*)$/.exec(words)?.[1] ?? ''
  const place = { url, host: `${url.hostname}${port}`, path: url.pathname, socket }
  const fits = ({ codes: wanted, words: spoken, schemes }: Rule) =>
    (wanted === null || codes.some(code => wanted.test(code))) &&
    (spoken === undefined || spoken.test(words)) &&
    (schemes === undefined || schemes.test(url.protocol))
  return rules.find(fits)?.sentence(place) ?? null
}

/** The codes of everything that led to it, bounded: an error may be its own cause. */
function codesOf(failure: Error): string[] {
  const codes: string[] = []
  let at: unknown = failure
  for (let k = 0; k < 8 && at instanceof Error; k++) {
    const { code } = at as NodeJS.ErrnoException
    if (code !== undefined && !(at instanceof CacheError)) codes.push(`${code}`)
    at = at instanceof AggregateError ? at.errors[0] : at.cause
  }
  return codes
}

function adviceOf(url: string, { code, message }: CacheError): string {
  if (code === 'origin-unsupported') {
    return url.startsWith('http')
      ? 'put a server in front of it that sends ranges and names versions, such as nginx'
      : 'docs/ORIGINS.md says what this kind of origin needs'
  }
  if (code === 'access-denied') return 'give the credentials that it wants, or check those that it has'
  if (/ENOENT/.test(message)) return 'check the path, and that its file system is mounted'
  if (/ENOTDIR/.test(message)) return 'give the directory that has the images, not an image'
  return 'check the URL, and that it can be reached'
}
