/**
 * What publishers say of a whole image: digests in headers, and in the small files that lie beside images. Pure.
 *
 * Source: RFC 9530 (Repr-Digest), RFC 3230 (Digest), and the output of GNU coreutils' sha256sum, with and without --tag.
 */
import { type Headers, headerOf } from './http-headers.ts'

/** Algorithms that we check, the strongest first. */
export const digestAlgorithms = ['sha-512', 'sha-256'] as const
export type DigestAlgorithm = (typeof digestAlgorithms)[number]

/** A digest of all bytes of an image, as its publisher gives it. */
export interface Digest {
  readonly algorithm: DigestAlgorithm
  /** Lower case. */
  readonly hex: string
}

/** Letters of a digest in hex. */
const hexLength: Readonly<Record<DigestAlgorithm, number>> = { 'sha-512': 128, 'sha-256': 64 }

/** The strongest digest that headers give, or null. The body must not be encoded. */
export function digestOfHeaders(headers: Headers): Digest | null {
  const found = new Map<string, string>()
  const put = (algorithm: string, base64: string) =>
    found.set(algorithm.toLowerCase(), Buffer.from(base64, 'base64').toString('hex'))
  const older = /(?:^|,)\s*(sha-256|sha-512)\s*=\s*([A-Za-z0-9+/]+=*)\s*(?=,|$)/gi
  for (const [, algorithm, base64] of (headerOf(headers, 'digest') ?? '').matchAll(older)) put(algorithm!, base64!)
  const newer = /(?:^|,)\s*(sha-256|sha-512)\s*=\s*:([A-Za-z0-9+/]+=*):/gi
  for (const [, algorithm, base64] of (headerOf(headers, 'repr-digest') ?? '').matchAll(newer)) put(algorithm!, base64!)
  for (const algorithm of digestAlgorithms) {
    const hex = found.get(algorithm)
    if (hex?.length === hexLength[algorithm]) return { algorithm, hex }
  }
  return null
}

/**
 * Look into the files beside an image, the strongest and the most particular first.
 * @param read the text of a file, or null where there is none
 */
export async function digestBeside(
  name: string,
  read: (file: string) => Promise<string | null>,
): Promise<Digest | null> {
  for (const algorithm of digestAlgorithms) {
    const short = algorithm.replace('-', '')
    for (const file of [`${name}.${short}`, `${short.toUpperCase()}SUMS`]) {
      const text = await read(file)
      const hex = text === null ? null : digestInText(text, name, algorithm, file.startsWith(name))
      if (hex !== null) return { algorithm, hex }
    }
  }
  return null
}

/**
 * The digest of `name` in the text of a file of sums; null where there is none, or more than one.
 * @param alone the file is about this image alone: it may hold nothing but the digest
 */
export function digestInText(text: string, name: string, algorithm: DigestAlgorithm, alone: boolean): string | null {
  const found = new Set<string>()
  const tag = algorithm.replace('-', '').toUpperCase()
  for (const line of text.split(/\r?\n/)) {
    const plain = /^([0-9a-f]+) [ *](?:\.\/)?(.+)$/i.exec(line)
    const tagged = /^(\w+) \((?:\.\/)?(.+)\) = ([0-9a-f]+)$/i.exec(line)
    if (plain?.[2] === name) found.add(plain[1]!.toLowerCase())
    if (tagged?.[1] === tag && tagged[2] === name) found.add(tagged[3]!.toLowerCase())
    if (alone && /^[0-9a-f]+$/i.test(line.trim())) found.add(line.trim().toLowerCase())
  }
  const [hex] = [...found].filter(candidate => candidate.length === hexLength[algorithm])
  return found.size === 1 && hex !== undefined ? hex : null
}
