/**
 * Digests of whole images, as publishers give them: in headers, and in the small files beside images. Pure.
 *
 * Source: RFC 9530 (Repr-Digest), RFC 3230 (Digest), and the output of GNU coreutils' sha256sum, with and without
 * --tag.
 */

/** Algorithms that we check, the strongest first. */
export const digestAlgorithms = ['sha-512', 'sha-256'] as const
/** MD5 is taken from servers that name the bytes they hold by it; no publisher's file is looked for. */
export type DigestAlgorithm = (typeof digestAlgorithms)[number] | 'md5'

/** A digest of all bytes of an image, as its publisher gives it. */
export interface Digest {
  readonly algorithm: DigestAlgorithm
  /** Lower case. */
  readonly hex: string
}

/** Letters of a digest in hex. */
export const hexLength: Readonly<Record<DigestAlgorithm, number>> = { 'sha-512': 128, 'sha-256': 64, md5: 32 }

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
