/**
 * Sealed origin: an Origin whose images are proven by their publishers' hash trees (dm-verity). A block that does not
 * fit is never given: it is counted, fetched again, and at last an error.
 *
 * It stands above the retries: each of its requests is one. Images without a tree are passed on, or refused where a
 * proof is required.
 */
import { SingleFlight } from '../../async/single-flight.ts'
import { CacheError, isCacheError, throwIfAborted } from '../../base/errors.ts'
import type { Image } from '../../base/image.ts'
import type { Logger } from '../../base/logger.ts'
import { LruMap } from '../../base/lru-map.ts'
import type { TreeProof, TreeProofs } from '../../native/tree-proof.ts'
import type { UnitPermitTables } from '../../native/unit-permits.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import type { Origin, ReadOptions, TakeBytes } from '../contract/origin.ts'
import { ForwardingOrigin } from '../wrappers/forwarding-origin.ts'
import { HashTree } from './hash-tree.ts'
import { sealsMax, unsealedMs, upperBlocksBytesMax } from './limits.ts'
import { type ProvenRead, readProven, TreeChangedError } from './proven-read.ts'
import { ProvenStream } from './proven-stream.ts'
import { digestOfCertificates, type KnownSeal, type Seal, type SealKeeper, type SealRecord } from './seal.ts'
import { SealFinder } from './seal-finder.ts'
import type { TakenSource } from './taken-blocks.ts'
import { hashingOf, keptBytesOf } from './tree-runs.ts'
import { isProofFile, type OriginVerifyOptions, urlOfKey, type VerifyOptions } from './verify-options.ts'
import { type ComparedVersions, Delta, type HeldVersions } from './version-delta.ts'
import type { WrongBlocks } from './wrong-blocks.ts'

export interface SealedOriginContext {
  readonly proofs: TreeProofs & UnitPermitTables
  readonly options: OriginVerifyOptions
  readonly keeper: SealKeeper
  readonly held: HeldVersions
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

  /** Bytes that the kernel reads by itself are not proven. */
  override get hasOwnFiles(): boolean {
    return false
  }

  override publicUrlOf(): null {
    return null
  }

  override async read(image: Image, offset: number, target: Uint8Array, options: ReadOptions): Promise<void> {
    throwIfAborted(options.signal)
    const seal = this.#seals.use(image.id) ?? (await this.#sealOf(image, options))
    if (seal === null || target.length === 0) return await this.inner.read(image, offset, target, options)
    const { dataBlockBytes } = seal.tree.parameters
    const begin = offset - (offset % dataBlockBytes)
    const end = Math.min(Math.ceil((offset + target.length) / dataBlockBytes) * dataBlockBytes, image.sizeBytes)
    if (begin === offset && end === offset + target.length) {
      return await this.#readProven({ image, seal, offset, target }, options)
    }
    const whole = Buffer.allocUnsafeSlow(end - begin)
    await this.#readProven({ image, seal, offset: begin, target: whole }, options)
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

  /** The blocks of an image that were taken from an older version; null for none. */
  takenOf(imageId: string): TakenSource | null {
    return this.#seals.get(imageId)?.delta?.taken ?? null
  }

  /** The seal of an image, as far as it is known. */
  sealOf(image: Image): KnownSeal {
    const seal = this.#seals.get(image.id)
    const reason = seal ? null : (this.#unsealed.get(image.id)?.error.message ?? null)
    return { record: seal?.record ?? null, reason, deltaComplaint: seal?.deltaComplaint ?? null }
  }

  /** Have the seal of an image found. @throws CacheError as {@link read} */
  async prepare(image: Image, options: ReadOptions): Promise<Seal | null> {
    return this.#seals.use(image.id) ?? (await this.#sealOf(image, options))
  }

  /** Is an image to be proven? */
  isWanted(image: Image): boolean {
    return this.#policyOf(image) !== null
  }

  /** Nothing more is to be taken from the older version: session threads fetch the rest by themselves. */
  endDelta({ id }: Image): void {
    const seal = this.#seals.get(id)
    if (!seal?.delta) return
    seal.delta = null
    this.#parts.readers?.changed(id)
  }

  /**
   * The comparison with the older version that is held; null where there is none.
   * @throws CacheError as {@link read}
   */
  async compare(image: Image, options: ReadOptions): Promise<ComparedVersions | null> {
    const seal = await this.prepare(image, options)
    if (!seal) return null
    const delta = seal.delta ?? this.#deltaOf(image, seal.record, seal.tree).delta
    return delta ? { older: delta.older, cost: await delta.cost(options) } : null
  }

  override async close(): Promise<void> {
    for (const { tree } of this.#seals.values()) tree.close()
    await super.close()
  }

  async #readProven(read: ProvenRead, options: ReadOptions): Promise<void> {
    this.#parts.wrongBlocks.countNative(read.image, read.seal.tree)
    try {
      await readProven(this.inner, read, this.#parts.wrongBlocks, options)
    } catch (error) {
      if (error instanceof TreeChangedError) this.#dropSeal(read.image)
      throw error
    }
  }

  /** A tree whose file was replaced is looked for again at the next read. */
  #dropSeal({ id }: Image): void {
    this.#seals.get(id)?.tree.close()
    this.#seals.delete(id)
    this.#parts.readers?.changed(id)
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
      const what = `${urlOfKey(this.url, image.key)}: cannot be proven: there is no ${image.key}.verity beside it, and no tree in it`
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
        : policy.certificates.length === 0 || this.#isSignedBy(policy.certificates, record)
    if (!isTrusted) return null
    const seal = this.#sealed(image, record)
    this.#add(image, seal)
    return seal
  }

  /** By one of the certificates of now: others may have gone since, with their keys. */
  #isSignedBy(certificates: readonly string[], { trust, signer }: SealRecord): boolean {
    return trust === 'signed' && certificates.some(text => digestOfCertificates(text) === signer)
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
    const alike = this.#olderOf(image, record).older?.kept
    const tree = new HashTree(parameters, Buffer.from(record.rootHash, 'hex'), offset, {
      name: urlOfKey(this.url, image.key),
      id: image.id,
      proofs,
      upper: this.#upper,
      kept: keeper.tree(image.id, keptBytesOf(parameters)),
      alike: alike ? [alike] : [],
      fetch: (at, target, options) => this.inner.read(file, offset + at, target, options),
      onWrong: (level, block) => wrongBlocks.countOfTree(image, level, block),
      onKeptWrong: (level, block) => wrongBlocks.countOfKeptTree(image, level, block),
      pause: (tries, signal) => wrongBlocks.pause(tries, signal),
    })
    return { record, tree, ...this.#deltaOf(image, record, tree) }
  }

  #deltaOf(image: Image, record: SealRecord, tree: HashTree): Pick<Seal, 'delta' | 'deltaComplaint'> {
    const { older, complaint } = this.#olderOf(image, record)
    const parts = { held: this.#parts.held, tables: this.#parts.proofs, signal: tree.stop }
    const delta = older ? new Delta(tree, older.image, older.tree, parts) : null
    return { delta, deltaComplaint: complaint }
  }

  /** The older version with the most bytes whose blocks are hashed in the same way. */
  #olderOf(image: Image, { parameters }: SealRecord) {
    const { keeper, held } = this.#parts
    let complaint: string | null = null
    for (const older of held.olderThan(image)) {
      const known = keeper.record(older.id)
      if (!known) continue
      complaint = deltaComplaint(parameters, known.parameters)
      if (complaint !== null) continue
      const tree = this.#treeOf(older, known)
      return { older: { image: older, tree, kept: tree.keptPart }, complaint: null }
    }
    return { older: null, complaint }
  }

  /** The tree of an image that is held: nothing of it is fetched. */
  #treeOf(image: Image, { parameters, rootHash, offset }: SealRecord): HashTree {
    const known = this.#seals.get(image.id)
    if (known) return known.tree
    const { proofs, keeper } = this.#parts
    return new HashTree(parameters, Buffer.from(rootHash, 'hex'), offset, {
      name: urlOfKey(this.url, image.key),
      id: image.id,
      proofs,
      upper: this.#upper,
      kept: keeper.tree(image.id, keptBytesOf(parameters)),
      alike: [],
      fetch: () => Promise.reject(new CacheError('closed', 'an older version is not fetched')),
      onWrong: () => {},
      onKeptWrong: () => {},
      pause: async () => {},
    })
  }

  /** A reader that session threads may use; null while it is unknown whether the image has a seal. */
  #guarded(imageId: string, reader: Parameters<ReaderTable['guard']>[1]): ReturnType<ReaderTable['guard']> {
    const seal = this.#seals.get(imageId)
    // What an older version has is TypeScript's.
    if (seal) return seal.delta ? seal.delta.guard(seal.tree.proof.guard(reader)) : seal.tree.proof.guard(reader)
    return this.#free.has(imageId) ? reader : null
  }
}

/** The reason why equal blocks of two versions have other digests; null where they have the same. */
function deltaComplaint(one: SealRecord['parameters'], other: SealRecord['parameters']): string | null {
  if (one.salt !== other.salt) return 'the older version was sealed with another salt'
  const isAlike =
    one.algorithm === other.algorithm && one.hashType === other.hashType && one.dataBlockBytes === other.dataBlockBytes
  return isAlike ? null : 'the older version was sealed with another hash or block size'
}
