/**
 * The filesystem in terms of node ids and names: the meaning of each operation, without the form of its request.
 *
 * Both transports call this. It keeps nothing that a successor would need: node ids and handles of images are
 * permanent, and the rest is found again by asking. The transports refuse every change.
 */
import { constants } from 'node:fs'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { isCacheError, throwIfAborted } from '../../base/errors.ts'
import { nameBytesMax } from '../../base/limits.ts'
import { type Attributes, directoryAttributes, imageAttributes, type Presentation } from './attributes.ts'
import {
  type Backend,
  type BackendOptions,
  type DirectoryPath,
  type KnownImage,
  type NamedEntry,
  nestedNodeId,
} from './backend.ts'
import { extendedAttribute, extendedAttributeNames } from './extended-attributes.ts'
import type { Forwarding } from './forwarding.ts'
import { FsError } from './fs-error.ts'
import { KernelReads } from './kernel-reads.ts'
import { type DirectoryNode, enclosingDirectory, Nodes, rootNodeId } from './nodes.ts'
import { type DirectoryEntries, type DirectoryEntry, type DirectoryPlace, OpenDirectories } from './open-directories.ts'
import { type Binder, OpenImages } from './open-images.ts'
import type { Passthrough } from './passthrough.ts'
import { type SeekTarget, seek } from './seek.ts'

export interface FileSystemOptions {
  readonly backend: Backend
  readonly presentation: Presentation
  readonly binder: Binder
  /** Null where the transport has none; so is `forwarding`. */
  readonly passthrough: Passthrough | null
  readonly forwarding?: Forwarding | null
  /** See OpenDirectories. */
  readonly firstDirectoryHandle: bigint
}

export interface OpenedImage {
  /** The node id, but of an open by passthrough. */
  readonly handle: bigint
  /** The backing id of an open by passthrough, or null. */
  readonly backingId: number | null
  /** Its reads come to us. */
  readonly isServed: boolean
}

/** An open file, as a request names it. */
export interface OpenFile {
  readonly nodeId: bigint
  readonly handle: bigint
}

/** Numbers for statfs, in bytes: the cache, not the images. */
export interface FileSystemCapacity {
  readonly totalBytes: number
  readonly freeBytes: number
  readonly files: number
}

/** Counts of the moment. */
export interface FileSystemGauges {
  readonly nodes: number
  readonly openImages: number
  readonly openDirectories: number
  readonly refusedDirectories: number
}

/** Flags of open(2) that mean writing. Source: Linux include/uapi/asm-generic/fcntl.h, O_ACCMODE and O_TRUNC. */
const writing = 3 | 0o1000

/** The bits of an access mask. Source: POSIX access(2), R_OK 4, W_OK 2, X_OK 1. */
const accessRead = 4

const noBytes = new Uint8Array(0)

export class FileSystem {
  readonly #backend: Backend
  readonly #presentation: Presentation
  readonly #nodes: Nodes
  readonly #images: OpenImages
  readonly #directories: OpenDirectories
  readonly #kernelReads: KernelReads

  constructor({ backend, presentation, binder, firstDirectoryHandle, ...passed }: FileSystemOptions) {
    this.#backend = backend
    this.#presentation = presentation
    this.#nodes = new Nodes(backend)
    this.#images = new OpenImages(backend, binder)
    this.#kernelReads = new KernelReads(passed.passthrough, passed.forwarding ?? null)
    this.#directories = new OpenDirectories({ firstHandle: firstDirectoryHandle })
  }

  /**
   * Find a name, and count a lookup of its node.
   * @throws Refusal name-too-long, no-such-name, not-a-directory, stale-node; CacheError as Backend.lookup
   */
  async lookup(parent: bigint, name: string, options: BackendOptions): Promise<Attributes> {
    const directory = this.#nodes.directory(parent)
    if (Buffer.byteLength(name) > nameBytesMax) throw new FsError('name-too-long')
    if (!isFileName(name)) throw new FsError('no-such-name')
    if (this.#holdsOrigins(directory)) {
      const found = this.#nodes.directoryNamed(name)
      if (!found) throw new FsError('no-such-name')
      return this.attributes(found.nodeId)
    }
    const known = await this.#imageOrDirectory(within(directory.place, name), options)
    return 'image' in known ? this.remember(known) : this.#directoryAttributes(this.#nodes.rememberNested(known))
  }

  /** @param path of the name, as if it were a directory */
  async #imageOrDirectory(path: DirectoryPath, options: BackendOptions): Promise<KnownImage | DirectoryPath> {
    const { directory, prefix } = path
    if (this.#backend.knowsDirectory(directory, prefix)) return path
    try {
      return await this.#backend.lookup(directory, prefix.slice(0, -1), options)
    } catch (error) {
      const mayBe = isCacheError(error, 'not-found') && this.#backend.isHierarchical(directory)
      if (mayBe && (await this.#backend.hasDirectory(directory, prefix, options))) return path
      throw error
    }
  }

  /**
   * The time for which the kernel may take a missing name for absent, in milliseconds; a directory may come at any
   * time.
   */
  absentMs(parent: bigint, name: string): number {
    const directory = this.#nodes.directory(parent)
    const { place } = directory
    return this.#holdsOrigins(directory) ? 0 : this.#backend.absentMs(place.directory, place.prefix + name)
  }

  /** Count a lookup of an image that is about to be told, and say its attributes. */
  remember(known: KnownImage): Attributes {
    const told = this.#kernelReads.choose(known)
    this.#nodes.remember(told)
    return imageAttributes(told, this.#presentation)
  }

  /** The id that the directory at a path has, or had: its origin may be leaving. */
  directoryId(place: DirectoryPath): bigint {
    return Nodes.idAt(place)
  }

  /** The same for an image of a listing, which may be old: null when the image is not known any more. */
  rememberListed(known: KnownImage): Attributes | null {
    return this.#backend.imageOf(known.nodeId) === null ? null : this.remember(known)
  }

  /** Does the kernel hold one of the nodes of an image because of us, or is the image open? */
  knows(nodeId: bigint): boolean {
    const isHeld = [nodeId, ...KernelReads.nodesOf(nodeId)].some(node => this.#nodes.holds(node))
    return isHeld || this.#images.isOpen(nodeId) || this.#kernelReads.isOpen(nodeId)
  }

  forget(nodeId: bigint, lookups: number): void {
    this.#nodes.forget(nodeId, lookups)
  }

  /** @throws Refusal stale-node */
  attributes(nodeId: bigint): Attributes {
    const node = this.#nodes.get(nodeId)
    if (node.kind === 'image') return imageAttributes(node.known, this.#presentation)
    return this.#directoryAttributes(node)
  }

  /**
   * Is any user allowed the access of `mask`? The kernel checks the user.
   * @throws Refusal permission-denied, stale-node
   */
  access(nodeId: bigint, mask: number): void {
    const { kind } = this.#nodes.get(nodeId)
    const denied = kind === 'directory' ? mask & 2 : mask & ~accessRead
    if (denied !== 0) throw new FsError('permission-denied')
  }

  /**
   * Open an image for reading.
   * @param flags of open(2)
   * @throws Refusal read-only, stale-node, is-a-directory; whatever Backend.open throws
   */
  async open(nodeId: bigint, flags: number, { signal }: BackendOptions): Promise<OpenedImage> {
    if ((flags & writing) !== 0) throw new FsError('read-only')
    const known = this.#nodes.image(nodeId)
    if (KernelReads.has(nodeId)) return this.#openPassed(known, (flags & constants.O_DIRECT) !== 0, signal)
    await this.#images.open(known)
    return { handle: nodeId, backingId: null, isServed: true }
  }

  release(handle: bigint): void {
    this.#kernelReads.release(handle)
    this.#images.release(handle)
  }

  /**
   * The bytes at `offset`, whole: cut at the end of the image, none past it.
   * @throws Refusal stale-node, is-a-directory; CacheError as Backend.read
   */
  async read(file: OpenFile, offset: number, length: number, options: BackendOptions): Promise<Uint8Array> {
    const known = this.#images.ready(file.handle) ?? (await this.#ensureOpen(file, options))
    const { image } = known
    const wanted = Math.min(length, image.sizeBytes - offset)
    if (wanted <= 0) return noBytes
    const bytes = await this.#backend.read(image, offset, wanted, options)
    // A reply that is too short would shrink the file for everyone.
    if (bytes.length !== wanted) throw new Error(`read ${bytes.length} bytes of ${wanted} at ${offset} of ${image.key}`)
    return bytes
  }

  /** See {@link OpenImages.rebind}. */
  rebind(): Promise<void> {
    return this.#images.rebind()
  }

  /** A session thread fetches what a read wants. */
  originReadBegun(handle: bigint, offset: number, length: number): void {
    const known = this.#imageOf(handle)
    if (known) this.#backend.originReadBegun(known.image, offset, length)
  }

  /** A session thread has answered a read of an image, which may have been closed since. */
  originReadDone(handle: bigint, length: number, ms: number): void {
    const known = this.#imageOf(handle)
    if (known) this.#backend.originReadDone(known.image, length, ms)
  }

  /** Prefetched bytes are being read: a session thread has answered, or the read comes next. */
  bufferTouched(handle: bigint, offset: number, length: number): void {
    const known = this.#imageOf(handle)
    if (known) this.#backend.bufferTouched(known.image, offset, length)
  }

  /** @throws as `seek` */
  async seek(nodeId: bigint, offset: number, target: SeekTarget, options: BackendOptions): Promise<number> {
    return seek(this.#backend, this.#nodes.image(nodeId).image, offset, target, options)
  }

  /** @throws Refusal not-a-directory, stale-node, too-many-open */
  openDirectory(nodeId: bigint): bigint {
    this.#nodes.directory(nodeId)
    return this.#directories.open()
  }

  /**
   * The listing of an open directory, `.` and `..` first.
   * @throws Refusal not-a-directory, stale-node, too-many-open, listing-changed; CacheError as Backend.list
   */
  async readDirectory(
    nodeId: bigint,
    handle: bigint,
    place: DirectoryPlace,
    options: BackendOptions,
  ): Promise<DirectoryEntries> {
    const directory = this.#nodes.directory(nodeId)
    const parent = this.#nodes.directoryAt(enclosingDirectory(directory.place))
    return this.#directories.read(handle, place, async () => {
      const dots: DirectoryEntry[] = [
        { name: '.', kind: 'directory', nodeId, known: null },
        { name: '..', kind: 'directory', nodeId: parent?.nodeId ?? rootNodeId, known: null },
      ]
      const entries = await this.#entriesOf(directory, options)
      return {
        length: dots.length + entries.length,
        names: entries.names ?? entries,
        at: index => (index < dots.length ? dots[index] : entries.at(index - dots.length)),
      }
    })
  }

  releaseDirectory(handle: bigint): void {
    this.#directories.release(handle)
  }

  /** @throws Refusal no-such-attribute, stale-node */
  extendedAttribute(nodeId: bigint, name: string): Uint8Array {
    const node = this.#nodes.get(nodeId)
    if (node.kind !== 'image') throw new FsError('no-such-attribute')
    const { image } = node.known
    const backend = this.#backend
    return extendedAttribute(
      name,
      image,
      () => backend.residence(image),
      () => backend.properties(image),
    )
  }

  /** @throws Refusal stale-node */
  extendedAttributeNames(nodeId: bigint): readonly string[] {
    const node = this.#nodes.get(nodeId)
    return node.kind === 'image' ? extendedAttributeNames(this.#backend.properties(node.known.image)) : []
  }

  capacity(): FileSystemCapacity {
    const { capacityBytes, usedBytes, images } = this.#backend.capacity()
    return { totalBytes: capacityBytes, freeBytes: Math.max(0, capacityBytes - usedBytes), files: images }
  }

  gauges(): FileSystemGauges {
    return {
      nodes: this.#nodes.count,
      openImages: new Set([...this.#images.ids(), ...this.#kernelReads.ids()]).size,
      openDirectories: this.#directories.count,
      refusedDirectories: this.#directories.refused,
    }
  }

  /** Release all that is open. */
  close(): void {
    this.#images.close()
    this.#kernelReads.close()
  }

  async #openPassed(known: KnownImage, isDirect: boolean, signal: CancelSignal): Promise<OpenedImage> {
    const opened = await this.#kernelReads.open(known, isDirect, signal)
    try {
      if (opened.isServed) await this.#images.open({ image: known.image, nodeId: opened.handle })
      return opened
    } catch (error) {
      this.#kernelReads.release(opened.handle)
      throw error
    }
  }

  /** Null of a handle by passthrough that has been closed. Others are node ids. */
  #imageOf(handle: bigint): KnownImage | null {
    return this.#images.ready(handle) ?? this.#backend.imageOf(handle)
  }

  async #ensureOpen({ nodeId, handle }: OpenFile, { signal }: BackendOptions): Promise<KnownImage> {
    const known = { image: this.#nodes.image(nodeId).image, nodeId: handle }
    await this.#images.ensure(known)
    throwIfAborted(signal)
    return known
  }

  /** Do the directories of origins lie in it? */
  #holdsOrigins({ nodeId }: DirectoryNode): boolean {
    return nodeId === rootNodeId && this.#backend.directories !== null
  }

  #directoryAttributes(node: DirectoryNode): Attributes {
    // The kernel keeps attributes for a day, and a directory may come in a minute.
    const countsLinks = !this.#holdsOrigins(node) && !this.#backend.isHierarchical(node.place.directory)
    return directoryAttributes(node, countsLinks, this.#presentation)
  }

  async #entriesOf(directory: DirectoryNode, options: BackendOptions): Promise<DirectoryEntries> {
    const directories = this.#holdsOrigins(directory) ? this.#nodes.directories() : null
    if (directories) {
      return directories.map(({ nodeId, place }) => ({
        name: place.directory ?? '',
        kind: 'directory',
        nodeId,
        known: null,
      }))
    }
    const { place } = directory
    const listed = await this.#backend.list(place.directory, place.prefix, options)
    return { length: listed.length, names: listed.names ?? listed, at: index => entryOf(place, listed.at(index)) }
  }
}

function within({ directory, prefix }: DirectoryPath, name: string): DirectoryPath {
  return { directory, prefix: `${prefix}${name}/` }
}

/** One bad name would fail the whole listing. Source: Linux fs/fuse/readdir.c, parse_dirfile. */
function entryOf(place: DirectoryPath, named: NamedEntry | undefined): DirectoryEntry | null | undefined {
  if (!named) return undefined
  const { name, image } = named
  if (!isFileName(name) || Buffer.byteLength(name) > nameBytesMax) return null
  if (named.isDirectory) return { name, kind: 'directory', nodeId: nestedNodeId(within(place, name)), known: null }
  return { name, kind: 'file', nodeId: image?.nodeId ?? null, known: image }
}

/** Could this be the name of a file? */
function isFileName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)
}
