/**
 * Seal finder: finds the hash tree of an image and a root hash that may be trusted, and judges both.
 *
 * The tree lies beside the image as `NAME.verity`, or behind the data in the image. Its root hash is the operator's; or
 * it comes beside the image as `NAME.roothash`, signed by `NAME.roothash.p7s`. Where no certificates are configured, it
 * may be unsigned, or come with the tree alone: then the first one is pinned.
 */
import { CacheError, isCacheError, messageOf } from '../../base/errors.ts'
import { type Image, identify } from '../../base/image.ts'
import type { Origin, ReadOptions } from '../contract/origin.ts'
import { appendedOffsets } from './appended-tree.ts'
import { rootHashFileBytesMax, signatureFileBytesMax, superblockBytes } from './limits.ts'
import { digestOfCertificates, type SealRecord } from './seal.ts'
import { digestBytesOf, isSuperblock, parseSuperblock, type TreeParameters } from './superblock.ts'
import { treeLayoutOf } from './tree-layout.ts'
import { rootHashSuffix, signatureSuffix, treeSuffix, urlOfKey, type VerifyOptions } from './verify-options.ts'

/** A tree that was found, not trusted yet. */
interface FoundTree {
  readonly parameters: TreeParameters
  readonly file: Image
  readonly offset: number
}

export interface SealFinderContext {
  readonly origin: Pick<Origin, 'url' | 'lookup' | 'read'>
  /** The digest of a block. */
  hash(parameters: TreeParameters, block: Buffer): Promise<Buffer>
  /** See {@link TreeProofs.signatureComplaint}. */
  signatureComplaint(certificates: readonly string[], signature: Uint8Array, content: Uint8Array): string
}

export class SealFinder {
  readonly #parts: SealFinderContext

  constructor(parts: SealFinderContext) {
    this.#parts = parts
  }

  /**
   * @returns the seal of an image, whose tree has not been read yet; null where there is no tree
   * @throws CacheError image-unproven for a tree or a root hash that cannot be used, and what the origin throws
   */
  async find(image: Image, options: VerifyOptions, read: ReadOptions): Promise<SealRecord | null> {
    const found = (await this.#treeBeside(image, read)) ?? (await this.#treeBehind(image, options, read))
    if (!found) return null
    const { rootHash, trust, signer } = await this.#rootHashOf(image, found, options, read)
    const hashBytes = digestBytesOf[found.parameters.algorithm]
    if (rootHash.length !== 2 * hashBytes) {
      const what = `its root hash has ${rootHash.length / 2} bytes, and ${found.parameters.algorithm} has ${hashBytes}`
      throw this.#unproven(image, what)
    }
    return { ...found, rootHash, trust, signer }
  }

  async #treeBeside(image: Image, read: ReadOptions): Promise<FoundTree | null> {
    const file = await this.#beside(image, treeSuffix, read)
    if (!file) return null
    const name = urlOfKey(this.#parts.origin.url, file.key)
    if (file.sizeBytes < superblockBytes) throw this.#unproven(image, `${name} has ${file.sizeBytes} bytes`)
    const bytes = Buffer.alloc(superblockBytes)
    await this.#parts.origin.read(file, 0, bytes, read)
    const parameters = this.#judged(image, () => parseSuperblock(bytes, name))
    const layout = treeLayoutOf(parameters)
    if (file.sizeBytes < layout.bytes) {
      throw this.#unproven(image, `${name} is cut off: it has ${file.sizeBytes} of ${layout.bytes} bytes`)
    }
    if (layout.dataBytes !== image.sizeBytes) {
      throw this.#unproven(image, `${name} is the tree of ${layout.dataBytes} bytes, and the image has others`)
    }
    return { parameters, file, offset: 0 }
  }

  /** A tree behind the data, in the image itself. */
  async #treeBehind(image: Image, { verity }: VerifyOptions, read: ReadOptions): Promise<FoundTree | null> {
    for (const offset of appendedOffsets(image.sizeBytes, verity === 'require')) {
      const bytes = Buffer.alloc(superblockBytes)
      await this.#parts.origin.read(image, offset, bytes, read)
      if (!isSuperblock(bytes)) continue
      const name = `${urlOfKey(this.#parts.origin.url, image.key)} at ${offset}`
      const parameters = this.#judged(image, () => parseSuperblock(bytes, name))
      const layout = treeLayoutOf(parameters, offset)
      if (layout.dataBytes === offset && offset + layout.bytes <= image.sizeBytes) {
        return { parameters, file: image, offset }
      }
    }
    return null
  }

  async #rootHashOf(
    image: Image,
    tree: FoundTree,
    options: VerifyOptions,
    read: ReadOptions,
  ): Promise<Pick<SealRecord, 'rootHash' | 'trust' | 'signer'>> {
    if (options.rootHash !== null) return { rootHash: options.rootHash, trust: 'configured', signer: null }
    const text = await this.#smallFile(image, rootHashSuffix, rootHashFileBytesMax, read)
    const isSigned = options.certificates.length > 0
    const signer = isSigned ? await this.#signerOf(image, text, options.certificates, read) : null
    if (text === null) return { rootHash: await this.#hashOfTop(image, tree, read), trust: 'pinned', signer }
    const rootHash = text.toString('latin1').trim().toLowerCase()
    if (!/^([0-9a-f]{2})+$/.test(rootHash)) throw this.#unproven(image, `${image.key}${rootHashSuffix} is no root hash`)
    return { rootHash, trust: isSigned ? 'signed' : 'pinned', signer }
  }

  /**
   * @returns the digest of the certificates' text by which it is signed
   * @throws CacheError image-unproven: absent; image-corrupt: there, and not right
   */
  async #signerOf(
    image: Image,
    text: Buffer | null,
    certificates: readonly string[],
    read: ReadOptions,
  ): Promise<string> {
    if (text === null) throw this.#unproven(image, `there is no ${image.key}${rootHashSuffix} beside it`)
    const signature = await this.#smallFile(image, signatureSuffix, signatureFileBytesMax, read)
    if (signature === null) throw this.#unproven(image, `there is no ${image.key}${signatureSuffix} beside it`)
    // Some sign the file, some the hash in it.
    const hash = Buffer.from(text.toString('latin1').trim(), 'latin1')
    const complaintsOf = (trusted: readonly string[]) =>
      [text, hash].map(content => this.#parts.signatureComplaint(trusted, signature, content))
    const signer = certificates.find(certificate => complaintsOf([certificate]).includes(''))
    if (signer !== undefined) return digestOfCertificates(signer)
    const what = `${urlOfKey(this.#parts.origin.url, image.key)}${signatureSuffix}: ${complaintsOf(certificates)[0]}`
    throw new CacheError('image-corrupt', `${what}: nothing of ${image.key} is served`)
  }

  /** The root hash that the tree itself says; without a level that of the only data block, the first one that came. */
  async #hashOfTop(image: Image, { parameters, file, offset }: FoundTree, read: ReadOptions): Promise<string> {
    const top = treeLayoutOf(parameters, offset).levels.at(-1)
    const block = Buffer.alloc(top ? parameters.hashBlockBytes : parameters.dataBlockBytes)
    if (top) await this.#parts.origin.read(file, offset + top.offset, block, read)
    else await this.#parts.origin.read(image, 0, block, read)
    return (await this.#parts.hash(parameters, block)).toString('hex')
  }

  async #smallFile(image: Image, suffix: string, bytesMax: number, read: ReadOptions): Promise<Buffer | null> {
    const file = await this.#beside(image, suffix, read)
    if (!file) return null
    if (file.sizeBytes > bytesMax) {
      throw this.#unproven(image, `${file.key} has ${file.sizeBytes} bytes, over ${bytesMax}`)
    }
    const bytes = Buffer.alloc(file.sizeBytes)
    await this.#parts.origin.read(file, 0, bytes, read)
    return bytes
  }

  async #beside(image: Image, suffix: string, read: ReadOptions): Promise<Image | null> {
    try {
      const { isSequential, ...facts } = await this.#parts.origin.lookup(`${image.key}${suffix}`, read)
      if (isSequential) throw this.#unproven(image, `the origin has no ranges of ${facts.key}`)
      return identify(facts)
    } catch (error) {
      if (isCacheError(error, 'not-found', 'access-denied')) return null
      throw error
    }
  }

  #judged<T>(image: Image, judge: () => T): T {
    try {
      return judge()
    } catch (error) {
      throw this.#unproven(image, messageOf(error))
    }
  }

  #unproven(image: Image, why: string): CacheError {
    return new CacheError('image-unproven', `${urlOfKey(this.#parts.origin.url, image.key)}: cannot be proven: ${why}`)
  }
}
