/**
 * Origin readers of files, as native-bindings/bridge/file-readers.cc defines them. Their reads run on a few threads of
 * this object alone, as many as may hang at once; the process may end while they do.
 */
import type { OriginReader } from './origin-reader.ts'

export interface FileReaders {
  /**
   * A reader of the file behind `fd`, of which it keeps a duplicate. It answers as long as the file is the version that
   * `validator` names, see src/origin/file/file-origin.ts. Null when there is no descriptor for it.
   */
  open(fd: number, validator: string): OriginReader | null
  /** It reads nothing any more. Its descriptor is closed with the last read that is under way. Idempotent. */
  close(reader: OriginReader): void
}
