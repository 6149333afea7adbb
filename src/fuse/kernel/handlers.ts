/**
 * Every operation of the protocol but INIT and those that get no answer: what it asks of the filesystem.
 *
 * READ comes here only when the native threads could not answer it.
 */
import { isCacheError } from '../../base/errors.ts'
import { readBytesMax } from '../../base/limits.ts'
import type { FileSystem } from '../filesystem/file-system.ts'
import { FsError, type FsErrorCode } from '../filesystem/fs-error.ts'
import { placeOfCookie } from './directory-cookie.ts'
import { directoryPage, directoryPageWithAttributes } from './directory-page.ts'
import { type Answer, answerOf, emptyAnswer, type RequestHandler, type RequestHandlers } from './handler.ts'
import { opcodes } from './opcodes.ts'
import {
  absentReply,
  attributesReply,
  entryReply,
  openDirectoryReply,
  openReply,
  seekReply,
  statfsReply,
  statxReply,
  valueBytesReply,
} from './replies.ts'
import * as request from './requests.ts'

type Entries = [number, RequestHandler][]

/** Source: POSIX lseek(2); the kernel answers SEEK_SET, SEEK_CUR and SEEK_END itself. */
const seekTargets = new Map<number, 'data' | 'hole'>([
  [3, 'data'],
  [4, 'hole'],
])

/** Handlers over one filesystem. */
export function handlersOf(fileSystem: FileSystem): RequestHandlers {
  return new Map([
    ...nodeOperations(fileSystem),
    ...fileOperations(fileSystem),
    ...directoryOperations(fileSystem),
    ...attributeOperations(fileSystem),
    ...fixedOperations(),
  ])
}

/** Handler of an opcode that is not in the table: the kernel remembers ENOSYS, and does not ask again. */
export const unsupported: RequestHandler = refuse('unsupported')

function nodeOperations(fileSystem: FileSystem): Entries {
  return [
    [
      opcodes.LOOKUP,
      async (call, body) => {
        const name = body.name()
        if (name === null) throw new FsError('no-such-name', 'a name that is not UTF-8')
        const parent = call.header.nodeId
        try {
          const attributes = await fileSystem.lookup(parent, name, call)
          return { bytes: entryReply(attributes), undo: () => fileSystem.forget(attributes.nodeId, 1) }
        } catch (error) {
          const absentMs = isCacheError(error, 'not-found') ? fileSystem.absentMs(parent, name) : 0
          if (absentMs <= 0) throw error
          return answerOf(absentReply(absentMs))
        }
      },
    ],
    [
      opcodes.GETATTR,
      ({ header }, body) => {
        request.readGetAttributes(body)
        return answerOf(attributesReply(fileSystem.attributes(header.nodeId)))
      },
    ],
    [
      opcodes.STATX,
      ({ header }, body) => {
        request.readStatx(body)
        return answerOf(statxReply(fileSystem.attributes(header.nodeId)))
      },
    ],
    [
      opcodes.ACCESS,
      ({ header }, body) => {
        fileSystem.access(header.nodeId, request.readAccess(body))
        return emptyAnswer
      },
    ],
    [opcodes.STATFS, () => answerOf(statfsReply(fileSystem.capacity()))],
  ]
}

function fileOperations(fileSystem: FileSystem): Entries {
  return [
    [
      opcodes.OPEN,
      async (call, body) => {
        const flags = request.readOpen(body)
        const opened = await fileSystem.open(call.header.nodeId, flags, call)
        return { bytes: openReply(opened), undo: () => fileSystem.release(opened.handle) }
      },
    ],
    [
      opcodes.READ,
      async (call, body) => {
        const { handle, offset, length } = request.readRead(body)
        if (length > readBytesMax) throw new FsError('malformed', `a READ of ${length} bytes`)
        const file = { nodeId: call.header.nodeId, handle }
        return answerOf(await fileSystem.read(file, Number(offset), length, call))
      },
    ],
    [
      opcodes.RELEASE,
      (_call, body) => {
        fileSystem.release(request.readRelease(body))
        return emptyAnswer
      },
    ],
    [
      opcodes.LSEEK,
      async (call, body) => {
        const { offset, whence } = request.readSeek(body)
        const target = seekTargets.get(whence)
        if (!target) throw new FsError('malformed', `an LSEEK of whence ${whence}`)
        return answerOf(seekReply(await fileSystem.seek(call.header.nodeId, Number(offset), target, call)))
      },
    ],
  ]
}

function directoryOperations(fileSystem: FileSystem): Entries {
  return [
    [
      opcodes.OPENDIR,
      ({ header }, body) => {
        request.readOpen(body)
        const handle = fileSystem.openDirectory(header.nodeId)
        return { bytes: openDirectoryReply(handle), undo: () => fileSystem.releaseDirectory(handle) }
      },
    ],
    [
      opcodes.READDIR,
      async (call, body) => {
        const { handle, offset, length } = request.readRead(body)
        const entries = await fileSystem.readDirectory(call.header.nodeId, handle, placeOfCookie(offset), call)
        return answerOf(directoryPage(entries, offset, Math.min(length, readBytesMax)))
      },
    ],
    [
      opcodes.READDIRPLUS,
      async (call, body) => {
        const { handle, offset, length } = request.readRead(body)
        const entries = await fileSystem.readDirectory(call.header.nodeId, handle, placeOfCookie(offset), call)
        const bytesMax = Math.min(length, readBytesMax)
        const page = directoryPageWithAttributes(entries, offset, bytesMax, known => fileSystem.rememberListed(known))
        const undo = () => {
          for (const { nodeId } of page.told) fileSystem.forget(nodeId, 1)
        }
        return { bytes: page.bytes, undo }
      },
    ],
    [
      opcodes.RELEASEDIR,
      (_call, body) => {
        fileSystem.releaseDirectory(request.readRelease(body))
        return emptyAnswer
      },
    ],
  ]
}

function attributeOperations(fileSystem: FileSystem): Entries {
  return [
    [
      opcodes.GETXATTR,
      ({ header }, body) => {
        const bytesMax = request.readValueBytesMax(body)
        const name = body.name()
        if (name === null) throw new FsError('no-such-attribute', 'a name that is not UTF-8')
        return valueAnswer(fileSystem.extendedAttribute(header.nodeId, name), bytesMax)
      },
    ],
    [
      opcodes.LISTXATTR,
      ({ header }, body) => {
        const bytesMax = request.readValueBytesMax(body)
        const names = fileSystem.extendedAttributeNames(header.nodeId)
        return valueAnswer(Buffer.from(names.map(name => `${name}\0`).join('')), bytesMax)
      },
    ],
  ]
}

/** Operations with the same answer whatever lies below. */
function fixedOperations(): Entries {
  const { SETATTR, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME, RENAME2, LINK, CREATE, TMPFILE } = opcodes
  const { WRITE, SETXATTR, REMOVEXATTR, FALLOCATE, COPY_FILE_RANGE, COPY_FILE_RANGE_64 } = opcodes
  const names = [SETATTR, SYMLINK, MKNOD, MKDIR, UNLINK, RMDIR, RENAME, RENAME2, LINK, CREATE, TMPFILE]
  const contents = [WRITE, SETXATTR, REMOVEXATTR, FALLOCATE, COPY_FILE_RANGE, COPY_FILE_RANGE_64]
  const { FSYNC, FSYNCDIR, SYNCFS, DESTROY, FLUSH, IOCTL } = opcodes
  const done: RequestHandler = () => emptyAnswer
  return [
    ...[...names, ...contents].map((opcode): [number, RequestHandler] => [opcode, refuse('read-only')]),
    // There is nothing unwritten.
    ...[FSYNC, FSYNCDIR, SYNCFS, DESTROY].map((opcode): [number, RequestHandler] => [opcode, done]),
    // The kernel remembers it and closes without asking: a round trip less for each close. Source: Linux
    // fs/fuse/file.c, fuse_flush.
    [FLUSH, refuse('unsupported')],
    // qemu expects this of a plain file when it asks for block sizes.
    [IOCTL, refuse('not-a-device')],
  ]
}

function refuse(code: FsErrorCode): RequestHandler {
  return () => {
    throw new FsError(code)
  }
}

/** A value, or its length when the reader asks for that. */
function valueAnswer(value: Uint8Array, bytesMax: number): Answer {
  if (bytesMax === 0) return answerOf(valueBytesReply(value.length))
  if (value.length > bytesMax) throw new FsError('buffer-too-small')
  return answerOf(value)
}
