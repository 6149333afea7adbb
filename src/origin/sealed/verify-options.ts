/**
 * Verify options of an origin: is a proof wanted, and by what is a root hash trusted? For all of its images, and other
 * ones for single images. Pure.
 */

/** `require`: nothing unproven is served; `prefer`: where there is a tree; `off`: trees are not looked for. */
export const verityChoices = ['require', 'prefer', 'off'] as const
export type VerityChoice = (typeof verityChoices)[number]

export interface VerifyOptions {
  readonly verity: VerityChoice
  /** In hex; null: it comes with the image. */
  readonly rootHash: string | null
  /** PEM texts: a root hash that comes with the image must be signed by one of them. None: the first one is pinned. */
  readonly certificates: readonly string[]
}

export interface OriginVerifyOptions extends VerifyOptions {
  /** By key. */
  readonly images: ReadonlyMap<string, VerifyOptions>
}

export const verifyOff: OriginVerifyOptions = { verity: 'off', rootHash: null, certificates: [], images: new Map() }

export function isAnyVerified({ verity, images }: OriginVerifyOptions): boolean {
  return verity !== 'off' || [...images.values()].some(image => image.verity !== 'off')
}

/** Endings of the files with a tree, a root hash, and its signature. */
export const treeSuffix = '.verity'
export const rootHashSuffix = '.roothash'
export const signatureSuffix = '.roothash.p7s'

/** Files that prove others are proven by nothing. */
export function isProofFile(key: string): boolean {
  return [treeSuffix, rootHashSuffix, signatureSuffix].some(suffix => key.endsWith(suffix))
}

/** The URL of a file of an origin, for messages. */
export function urlOfKey(url: string, key: string): string {
  return url.endsWith('/') ? `${url}${key}` : `${url}/${key}`
}
