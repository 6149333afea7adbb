/**
 * Sealed origin: an Origin whose images are proven by their publishers' hash trees (dm-verity). A block that does not
 * fit is never given: it is counted, fetched again, and at last an error.
 *
 * It stands above the retries: each of its requests is one. Images without a tree are passed on, or refused where a
 * proof is required.
 */
import { pause } from '../../async/pause.ts'
import { SingleFlight } from '../../async/single-flight.ts'
import { CacheError, isCacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { TreeProof, TreeProofs } from '../../native/tree-proof.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import type { Origin, ReadOptions, TakeBytes } from '../contract/origin.ts'
import { ForwardingOrigin } from '../wrappers/forwarding-origin.ts'
import { HashTree, hashingOf, type KeptTree, keptBytesOf } from './hash-tree.ts'
import { sealsMax, unsealedMs, upperBlocksBytesMax, wrongAnswersMax, wrongPauseMsMin } from './limits.ts'
import { ProvenStream } from './proven-stream.ts'
import type { Seal, SealKeeper, SealRecord } from './seal.ts'
import { SealFinder } from './seal-finder.ts'
import { isProofFile, type OriginVerifyOptions, type VerifyOptions } from './verify-options.ts'
import type { WrongBlocks } from './wrong-blocks.ts'

export interface SealedOriginContext {
  readonly proofs: TreeProofs
  readonly options: OriginVerifyOptions
  readonly keeper: SealKeeper
  readonly logger: Logger
  /** Counts what did not fit. */
  readonly wrongBlocks: WrongBlocks
  /** The readers of session threads, which are to prove, too. */
  readonly readers: ReaderTable | null
  /** Milliseconds, never going back. */
  readonly now?: () => number
}

/** An image without a seal: the reason, and the time until which it is not looked for again. */
interface Unsealed {
  readonly error: CacheError
  readonly untilMs: number
}

export class SealedOrigin extends ForwardingOrigin {
  readonly #parts: SealedOriginContext
  readonly #now: () => number
  readonly #finder: SealFinder
  readonly #finding = new SingleFlight<Seal | null>()
  readonly #upper = new LruMap<string, Buffer>(upperBlocksBytesMax, { weightOf: ({ length }) => length })
  readonly #seals = new LruMap<string, Seal>(sealsMax, { onLeave: ({ tree }) => tree.close() })
  readonly #unsealed = new LruMap<string, Unsealed>(sealsMax)
  /** Images that are served without a proof. */
  readonly #free = new LruMap<string, true>(sealsMax)

  constructor(inner: Origin, parts: SealedOriginContext) {
    super(inner)
    this.#parts = parts
    this.#now = parts.now ?? (() => performance.now())
    const hash = (parameters: SealRecord['parameters'], block: Buffer) =>
      parts.proofs.hashBlocks(hashingOf(parameters), block, block.length, 1)
    const signatureComplaint = (...signed: Parameters<TreeProofs['signatureComplaint']>) =>
      parts.proofs.signatureComplaint(...signed)
    this.#finder = new SealFinder({ origin: inner, hash, signatureComplaint })
    if (parts.readers) parts.readers.guard = (imageId, reader) => this.#guarded(imageId, reader)
  }

  override async read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    throwIfAborted(options.signal)
    const seal = this.#seals.use(image.id) ?? (await this.#sealOf(image, options))
    if (seal === null || target.length === 0) return await this.inner.read(image, offset, target, options)
    const { dataBlockBytes } = seal.tree.parameters
    const begin = offset - (offset % dataBlockBytes)
    const end = Math.min(Math.ceil((offset + target.length) / dataBlockBytes) * dataBlockBytes, image.sizeBytes)
    if (begin === offset && end === offset + target.length) {
      return await this.#readProven(image, seal, offset, target, options)
    }
    const whole = Buffer.allocUnsafeSlow(end - begin)
    await this.#readProven(image, seal, begin, whole, options)
    target.set(whole.subarray(offset - begin, offset - begin + target.length))
  }

  override async readWhole(image: Image, take: TakeBytes, options: ReadOptions): Promise<void> {
    const seal = await this.#sealOf(image, options)
    if (seal === null) return await super.readWhole(image, take, options)
    const stream = new ProvenStream(image, seal.tree, this.#parts.wrongBlocks, take, options)
    await super.readWhole(image, bytes => stream.take(bytes), options)
    await stream.end()
  }

  /** Are the blocks of an image proven when they arrive? Then any member, mirror or proxy may send them. */
  isProven(imageId: string): boolean {
    return this.#seals.has(imageId)
  }

  /**
   * The proof of an image, with the leaves of a range in memory; null where there is none without asking the origin.
   * Never rejects.
   */
  async localProof(image: Image, offset: number, length: number, options: ReadOptions): Promise<TreeProof | null> {
    try {
      const seal = this.#seals.use(image.id) ?? this.#fromRecord(image)
      await seal?.tree.load(offset, length, options, true)
      return seal?.tree.proof ?? null
    } catch {
      return null
    }
  }

  /** The seal of an image, as far as it is known. */
  sealOf(image: Image): { readonly record: SealRecord | null; readonly reason: string | null } {
    const seal = this.#seals.get(image.id)
    return { record: seal?.record ?? null, reason: seal ? null : (this.#unsealed.get(image.id)?.error.message ?? null) }
  }

  override async close(): Promise<void> {
    for (const { tree } of this.#seals.values()) tree.close()
    await super.close()
  }

  async #readProven(image: Image, seal: Seal, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    const { wrongBlocks } = this.#parts
    let isUnknown = false
    for (let tries = 1; ; ) {
      const loading = seal.tree.load(offset, target.length, options)
      const reading = isUnknown
        ? Promise.resolve()
        : this.inner.read(image, offset, target, { ...options, isDisputed: tries > 1 })
      // Both have ended when this throws: the target is the caller's again.
      const [loaded, read] = await Promise.allSettled([loading, reading])
      if (read.status === 'rejected') throw read.reason
      if (loaded.status === 'rejected') throw this.#withoutSeal(image, loaded.reason)
      const { proof, block } = await seal.tree.proof.find(offset, target)
      if (proof === 'right') {
        const behind = offset + target.length - seal.tree.layout.dataBytes
        if (behind <= 0) return
        const tail = target.subarray(Math.max(0, target.length - behind))
        return await seal.tree.copyTo(offset + target.length - tail.length - seal.record.offset, tail, options)
      }
      // Its leaf has left memory meanwhile.
      isUnknown = proof === 'unknown'
      if (isUnknown) continue
      await wrongBlocks.count(image, seal.tree, offset, target)
      if (tries === wrongAnswersMax) throw wrongBlocks.error(image, seal.tree, block, tries)
      await pause(wrongPauseMsMin * 2 ** (tries - 1), options.signal)
      throwIfAborted(options.signal)
      tries++
    }
  }

  /** A tree whose file was replaced is looked for again at the next read. */
  #withoutSeal(image: Image, error: unknown): unknown {
    if (!isCacheError(error, 'image-changed', 'not-found')) return error
    this.#seals.get(image.id)?.tree.close()
    this.#seals.delete(image.id)
    this.#parts.readers?.changed(image.id)
    const what = `${this.url}${image.key}: its hash tree was replaced while it was read`
    return new CacheError('origin-failed', what, { cause: error })
  }

  /** The seal of an image; null where it needs none. @throws CacheError image-unproven, and what the origin throws */
  async #sealOf(image: Image, options: ReadOptions): Promise<Seal | null> {
    const policy = this.#policyOf(image)
    if (policy === null) return this.#setFree(image)
    const known = this.#seals.use(image.id)
    if (known) return known
    const unsealed = this.#unsealed.get(image.id)
    if (unsealed && unsealed.untilMs > this.#now()) return this.#without(image, policy, unsealed.error)
    return await this.#finding.run(image.id, options.signal, async signal => {
      const read = { ...options, signal }
      try {
        return this.#fromRecord(image) ?? (await this.#found(image, policy, read))
      } catch (error) {
        if (!isCacheError(error, 'image-unproven', 'image-corrupt')) throw error
        this.#unsealed.set(image.id, { error, untilMs: this.#now() + unsealedMs })
        this.#parts.logger.warn({ image: image.key, reason: error.message }, 'an image cannot be proven')
        return this.#without(image, policy, error)
      }
    })
  }

  /** The options for an image; null where nothing is to be proven. */
  #policyOf({ key }: Image): VerifyOptions | null {
    const policy = this.#parts.options.images.get(key) ?? this.#parts.options
    return policy.verity === 'off' || isProofFile(key) ? null : policy
  }

  /** A tree that is there, and does not fit what it must fit, is no reason to serve an image as if it had none. */
  #without(image: Image, { verity }: VerifyOptions, error: CacheError): null {
    if (verity === 'prefer' && error.code === 'image-unproven') return this.#setFree(image)
    throw error
  }

  #setFree({ id }: Image): null {
    if (this.#free.use(id)) return null
    this.#free.set(id, true)
    this.#parts.readers?.changed(id)
    return null
  }

  async #found(image: Image, policy: VerifyOptions, read: ReadOptions): Promise<Seal> {
    const record = await this.#finder.find(image, policy, read)
    if (!record) {
      const what = `${this.url}${image.key}: cannot be proven: there is no ${image.key}.verity beside it, and no tree in it`
      throw new CacheError('image-unproven', what)
    }
    const seal = this.#sealed(image, record)
    await seal.tree.confirm(read)
    await this.#parts.keeper.putRecord(image, record)
    this.#add(image, seal)
    return seal
  }

  /** The seal that an earlier process, or an earlier time, has found. */
  #fromRecord(image: Image): Seal | null {
    const policy = this.#policyOf(image)
    const record = policy && this.#parts.keeper.record(image.id)
    if (!policy || !record) return null
    const isTrusted =
      policy.rootHash !== null
        ? policy.rootHash === record.rootHash
        : policy.certificates.length === 0 || record.trust === 'signed'
    if (!isTrusted) return null
    const seal = this.#sealed(image, record)
    this.#add(image, seal)
    return seal
  }

  #add(image: Image, seal: Seal): void {
    this.#seals.set(image.id, seal)
    this.#unsealed.delete(image.id)
    this.#free.delete(image.id)
    this.#parts.readers?.changed(image.id)
  }

  #sealed(image: Image, record: SealRecord): Seal {
    const { proofs, keeper, wrongBlocks } = this.#parts
    const { parameters, file, offset } = record
    const tree = new HashTree(parameters, Buffer.from(record.rootHash, 'hex'), offset, {
      name: `${this.url}${image.key}`,
      id: image.id,
      proofs,
      upper: this.#upper,
      kept: keeper.tree(image.id, keptBytesOf(parameters)),
      alike: (): readonly KeptTree[] => [],
      fetch: (at, target, options) => this.inner.read(file, offset + at, target, options),
      onWrong: (level, block) => wrongBlocks.countOfTree(image, level, block),
    })
    return { record, tree }
  }

  /** A reader that session threads may use; null while it is unknown whether the image has a seal. */
  #guarded(imageId: string, reader: Parameters<ReaderTable['guard']>[1]): ReturnType<ReaderTable['guard']> {
    const seal = this.#seals.get(imageId)
    if (seal) return seal.tree.proof.guard(reader)
    return this.#free.has(imageId) ? reader : null
  }
}
