/**
 * Open image file: the handle of one version of an image, and the reader of it for native threads, which ends with it.
 */
import type { FileHandle } from 'node:fs/promises'
import type { Closable } from '../../async/open-descriptors.ts'
import type { FileReaders } from '../../native/file-readers.ts'
import type { OriginReader } from '../../native/origin-reader.ts'

export class OpenImageFile implements Closable {
  readonly handle: FileHandle
  #closeReader = () => {}

  constructor(handle: FileHandle) {
    this.handle = handle
  }

  /** A reader of the version that `validator` names; null where there is no descriptor for it. */
  readerOf(validator: string, readers: FileReaders): OriginReader | null {
    const reader = readers.open(this.handle.fd, validator)
    this.#closeReader()
    if (reader) this.#closeReader = () => readers.close(reader)
    return reader
  }

  async close(): Promise<void> {
    this.#closeReader()
    await this.handle.close()
  }
}
