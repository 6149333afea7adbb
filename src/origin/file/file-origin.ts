/**
 * A directory as an origin: `file:///dir`, the regular files directly in it.
 *
 * Nothing outside the directory is ever opened, whatever links point at: a name is resolved without opening it
 * (O_PATH), the result is compared with the directory, and only then is that very file opened. Versions differ by
 * device, inode, size and both times in nanoseconds, compared before and after each read: a writer that changes a file
 * under us makes a read fail, never mix. A second change within one tick of the file system's clock (4 ms before Linux
 * 6.13) would have the times of the first: a lookup waits until that tick is over (recently-modified.ts).
 */

import { constants } from 'node:fs'
import { type FileHandle, open, readdir, readlink, realpath, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { abortable } from '../../async/abortable.ts'
import { OpenDescriptors } from '../../async/open-descriptors.ts'
import { TimeSlice } from '../../async/time-slice.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { CacheError, type ErrorCode, isCacheError, messageOf, throwIfAborted } from '../../base/errors.ts'
import type { Image, ImageFacts } from '../../base/image.ts'
import { digestFileBytesMax, listingNamesMax, originDescriptorsMax } from '../../base/limits.ts'
import type { FileReaders } from '../../native/file-readers.ts'
import { type Digest, digestBeside } from '../contract/digest.ts'
import { isImageName } from '../contract/image-name.ts'
import type { ReaderTable } from '../contract/native-read-sources.ts'
import type { Origin, OriginExtent, OwnFile, ReadOptions } from '../contract/origin.ts'
import { type Look, type Waiting, YoungVersions } from '../contract/recently-modified.ts'
import { directoryOf, identityOfDirectory } from './file-url.ts'
import { fileTickMs, wholeSecondsTickMs } from './limits.ts'
import { OpenImageFile } from './open-image-file.ts'

/** A descriptor that names a file without opening it. Source: Linux include/uapi/asm-generic/fcntl.h, O_PATH. */
const pathOnly = 0o10000000

/** Bytes asked of the file system at once: after each piece the caller's signal is checked. */
const pieceBytes = 1024 * 1024

/** Finds holes in an open file. The native addon is one: Node has no lseek. */
export interface ExtentFinder {
  /** The stretch of data or hole at `offset`, which lies within the file. */
  extentAt(fd: number, offset: number): OriginExtent
}

export interface FileClocks {
  readonly now: () => number
  readonly waiting: Partial<Waiting>
}

/** Readers of its files for native threads. */
export interface NativeFileReads {
  readonly readers: ReaderTable
  /** Called for the first of them. */
  readonly createReaders: () => FileReaders
}

export class FileOrigin implements Origin {
  readonly url: string
  readonly hasOwnFiles = true
  readonly #root: string
  readonly #extents: ExtentFinder
  readonly #descriptors = new OpenDescriptors<OpenImageFile>(originDescriptorsMax)
  readonly #native: NativeFileReads | null
  #readers: FileReaders | null = null
  readonly #young: YoungVersions
  readonly #now: () => number
  #closing: Promise<void> | null = null

  /**
   * @param url `file:///dir`; the directory need not be there yet
   * @param clocks that of the times of files, in milliseconds since 1970, and what waits
   * @param native null: native threads read nothing of it
   * @throws CacheError invalid-argument
   */
  constructor(
    url: string,
    extents: ExtentFinder,
    clocks: Partial<FileClocks> = {},
    native: NativeFileReads | null = null,
  ) {
    this.#young = new YoungVersions(clocks.waiting)
    this.#now = clocks.now ?? Date.now
    this.#root = directoryOf(url)
    this.#extents = extents
    this.#native = native
    this.url = identityOfDirectory(url)
  }

  async list({ signal }: ReadOptions): Promise<readonly string[]> {
    throwIfAborted(signal)
    return await abortable(this.#list(signal), signal)
  }

  async lookup(key: string, { signal }: ReadOptions): Promise<ImageFacts> {
    throwIfAborted(signal)
    return (await this.#young.settle(() => this.#look(key, signal), signal)).facts
  }

  async #look(key: string, signal: CancelSignal): Promise<Look> {
    const handle = this.#open(key)
    try {
      return await abortable(
        handle.then(opened => this.#lookAt(key, opened)),
        signal,
      )
    } finally {
      // The opener closes, even when the caller left first; the error of the open itself is thrown above.
      void handle.then(opened => opened.close()).catch(() => {})
    }
  }

  async read(image: Image, offset: number, target: Uint8Array, { signal }: ReadOptions): Promise<void> {
    throwIfAborted(signal)
    await this.#use(image, signal, async file => {
      await this.#readPieces(file.handle, image, offset, target, signal)
      await this.#mustBe(image, file.handle)
      this.#native?.readers.offer(image.id, file, () => file.readerOf(image.validator, this.#nativeReaders))
    })
  }

  async extentAt(image: Image, offset: number, { signal }: ReadOptions): Promise<OriginExtent | null> {
    throwIfAborted(signal)
    if (offset >= image.sizeBytes) return null
    return await this.#use(image, signal, async ({ handle }) => this.#extents.extentAt(handle.fd, offset))
  }

  async openFile(image: Image, { signal }: ReadOptions): Promise<OwnFile | null> {
    throwIfAborted(signal)
    const opened = this.#openVersion(image)
    try {
      return await abortable(opened, signal)
    } catch (error) {
      // The file system may answer once the caller has gone.
      void opened.then(file => file.close()).catch(() => {})
      if (isCacheError(error, 'not-found')) throw this.#changed(image, error)
      throw error
    }
  }

  async #openVersion(image: Image): Promise<FileHandle> {
    const handle = await this.#open(image.key)
    try {
      await this.#mustBe(image, handle)
      return handle
    } catch (error) {
      await handle.close()
      throw error
    }
  }

  async digest(image: Image, { signal }: ReadOptions): Promise<Digest | null> {
    const mustBeCurrent = async () => {
      const { validator } = await this.lookup(image.key, { signal })
      if (validator !== image.validator) throw this.#changed(image)
    }
    try {
      await mustBeCurrent()
      const digest = await digestBeside(image.key, file => abortable(this.#textOf(file), signal))
      // A file of sums is about the version that was there all the while.
      if (digest !== null) await mustBeCurrent()
      return digest
    } catch (error) {
      throw isCacheError(error, 'not-found') ? this.#changed(image, error) : error
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#descriptors.close()
    return this.#closing
  }

  /** Call `work` with the open file of exactly this version. */
  async #use<T>(image: Image, signal: CancelSignal, work: (file: OpenImageFile) => Promise<T>): Promise<T> {
    const used = this.#descriptors.use(
      image.id,
      async () => new OpenImageFile(await this.#open(image.key)),
      async file => {
        await this.#mustBe(image, file.handle)
        return await work(file)
      },
    )
    try {
      return await abortable(used, signal)
    } catch (error) {
      // One that failed may be dead for good: that of a file server that was started anew.
      if (!isCacheError(error, 'aborted', 'closed')) void this.#descriptors.drop(image.id).catch(() => {})
      if (isCacheError(error, 'not-found')) throw this.#changed(image, error)
      throw isCacheError(error) ? error : this.#failed(image.key, error)
    }
  }

  get #nativeReaders(): FileReaders {
    this.#readers ??= this.#native!.createReaders()
    return this.#readers
  }

  /**
   * Through a buffer of our own: a read that hangs in the kernel must not write into `target` after the caller has
   * gone.
   */
  async #readPieces(
    handle: FileHandle,
    image: Image,
    offset: number,
    target: Uint8Array,
    signal: CancelSignal,
  ): Promise<void> {
    const piece = Buffer.allocUnsafe(Math.min(pieceBytes, target.length))
    for (let at = 0; at < target.length; ) {
      const { bytesRead } = await handle.read(piece, 0, Math.min(piece.length, target.length - at), offset + at)
      throwIfAborted(signal)
      if (bytesRead === 0) throw this.#changed(image, new Error(`it ends at ${offset + at}`))
      target.set(piece.subarray(0, bytesRead), at)
      at += bytesRead
    }
  }

  async #mustBe(image: Image, handle: FileHandle): Promise<void> {
    const { facts } = await this.#lookAt(image.key, handle)
    if (facts.validator !== image.validator) throw this.#changed(image)
  }

  async #lookAt(key: string, handle: FileHandle): Promise<Look> {
    try {
      const { dev, ino, size, mtimeNs, ctimeNs } = await handle.stat({ bigint: true })
      const facts = {
        origin: this.url,
        key,
        sizeBytes: Number(size),
        validator: [dev, ino, size, mtimeNs, ctimeNs].join('-'),
        modifiedMs: Number(mtimeNs / 1_000_000n),
      }
      // Of the two times, the one that cannot be set: any change of the file is one of it, too.
      return { facts, ageMs: this.#now() - Number(ctimeNs) / 1e6, tickMs: tickMsOf(ctimeNs) }
    } catch (error) {
      throw this.#failed(key, error)
    }
  }

  async #open(key: string): Promise<FileHandle> {
    if (!isImageName(key)) throw this.#missing(key)
    const root = await this.#realRoot()
    try {
      const place = await open(join(this.#root, key), pathOnly)
      try {
        await this.#mustBeInside(root, key, place)
        return await open(`/proc/self/fd/${place.fd}`, constants.O_RDONLY)
      } finally {
        await place.close()
      }
    } catch (error) {
      throw isCacheError(error) ? error : this.#failed(key, error)
    }
  }

  /** A small file of the directory; null where it is none. */
  async #textOf(key: string): Promise<string | null> {
    try {
      const handle = await this.#open(key)
      try {
        const { size } = await handle.stat()
        if (size > digestFileBytesMax) return null
        return await handle.readFile('utf8')
      } finally {
        await handle.close()
      }
    } catch (error) {
      if (isCacheError(error, 'not-found', 'access-denied')) return null
      throw isCacheError(error) ? error : this.#failed(key, error)
    }
  }

  async #mustBeInside(root: string, key: string, place: FileHandle): Promise<void> {
    const path = await readlink(`/proc/self/fd/${place.fd}`)
    if (!path.startsWith(root === '/' ? root : `${root}/`)) {
      throw new CacheError('access-denied', `${this.url}/${key}: leads out of the directory; it is not served`)
    }
    if (!(await place.stat()).isFile()) throw this.#missing(key)
  }

  async #list(signal: CancelSignal): Promise<readonly string[]> {
    const root = await this.#realRoot()
    const listed: string[] = []
    const turns = new TimeSlice()
    for (const entry of await readdir(root, { withFileTypes: true }).catch(error => this.#rootFailed(error))) {
      if (turns.isOver) await turns.yield()
      throwIfAborted(signal)
      if (listed.length > listingNamesMax) break
      const isImage = entry.isFile() || (entry.isSymbolicLink() && (await leadsToFile(join(root, entry.name), root)))
      if (isImage && isImageName(entry.name)) listed.push(entry.name)
    }
    return listed
  }

  async #realRoot(): Promise<string> {
    if (this.#closing !== null) throw new CacheError('closed', `${this.url}: has been closed`)
    return await realpath(this.#root).catch(error => this.#rootFailed(error))
  }

  #rootFailed(cause: unknown): never {
    const code = codeOf(cause) === 'access-denied' ? 'access-denied' : 'origin-unreachable'
    throw new CacheError(code, `${this.url}: the directory cannot be read: ${messageOf(cause)}`, { cause })
  }

  #missing(key: string): CacheError {
    return new CacheError('not-found', `${this.url}: has no image ${JSON.stringify(key)}`)
  }

  #changed(image: Image, cause?: unknown): CacheError {
    return new CacheError('image-changed', `${this.url}/${image.key}: is no longer the version that was opened`, {
      cause,
    })
  }

  #failed(key: string, cause: unknown): CacheError {
    return new CacheError(codeOf(cause), `${this.url}/${key}: ${messageOf(cause)}`, { cause })
  }
}

/** The time for which a file may change without its time telling, by that time. */
export function tickMsOf(ns: bigint): number {
  return ns % 1_000_000_000n === 0n ? wholeSecondsTickMs : fileTickMs
}

async function leadsToFile(path: string, root: string): Promise<boolean> {
  try {
    const real = await realpath(path)
    return real.startsWith(root === '/' ? root : `${root}/`) && (await stat(real)).isFile()
  } catch {
    return false
  }
}

function codeOf(error: unknown): ErrorCode {
  switch ((error as NodeJS.ErrnoException).code) {
    case 'ENOENT':
    case 'ENOTDIR':
    case 'ELOOP':
    case 'ENAMETOOLONG':
      return 'not-found'
    case 'EACCES':
    case 'EPERM':
      return 'access-denied'
    default:
      return 'origin-failed'
  }
}
