/**
 * Handlers of libfuse 2's operations: paths and small handles here, nodes below.
 *
 * Every handler answers through Calls, with the values that fuse-native's C code takes for granted: a buffer that was
 * handed in goes back with the answer, whatever it is, since it is detached there.
 */

import { errnoOf } from '../filesystem/errno.ts'
import type { FileSystem } from '../filesystem/file-system.ts'
import { FsError } from '../filesystem/fs-error.ts'
import { rootNodeId } from '../filesystem/nodes.ts'
import { startOfDirectory } from '../filesystem/open-directories.ts'
import type { Deadlines } from '../filesystem/transport.ts'
import type { Handler, Reply } from './load-package.ts'
import type { OpenFiles } from './open-files.ts'
import type { PendingRequests } from './pending-requests.ts'
import { joined, statfsNumbers, statReply } from './replies.ts'
import type { VersionPins } from './version-pins.ts'

export interface FuseNativeHandlersContext {
  readonly fileSystem: FileSystem
  readonly names: VersionPins
  readonly files: OpenFiles
  readonly calls: PendingRequests
  /** The time for which a request may wait for the rooms below, and a READ; null for ever. */
  /** As they are at the time of a request. */
  readonly deadlines: () => Deadlines
}

type Handlers = Readonly<Record<string, Handler>>

/** Handlers by name of the operation, as fuse-native calls them. */
export function libfuseHandlers(parts: FuseNativeHandlersContext): Handlers {
  return { ...nodeHandlers(parts), ...fileHandlers(parts), ...attributeHandlers(parts), ...refusals() }
}

function nodeHandlers({ fileSystem, names, files, calls, deadlines }: FuseNativeHandlersContext): Handlers {
  return {
    getattr: (reply: Reply, path: string) =>
      calls.accept({
        operation: 'GETATTR',
        path,
        deadlineMs: deadlines().deadlineMs,
        run: options => names.tell(path, options),
        answer: attributes => reply(0, statReply(attributes)),
        refuse: reply,
      }),
    fgetattr: (reply: Reply, path: string, handle: number) =>
      calls.accept({
        operation: 'GETATTR',
        path,
        deadlineMs: deadlines().deadlineMs,
        run: () => fileSystem.attributes(files.nodeId(handle)),
        answer: attributes => reply(0, statReply(attributes)),
        refuse: reply,
      }),
    statfs: (reply: Reply, path: string) =>
      calls.accept({
        operation: 'STATFS',
        path,
        deadlineMs: deadlines().deadlineMs,
        run: () => fileSystem.capacity(),
        answer: capacity => reply(0, statfsNumbers(capacity)),
        refuse: reply,
      }),
    readdir: (reply: Reply, path: string) =>
      calls.accept({
        operation: 'READDIR',
        path,
        deadlineMs: deadlines().deadlineMs,
        run: async options => {
          const { nodeId } = await names.tell(path, options)
          const handle = fileSystem.openDirectory(nodeId)
          try {
            return await fileSystem.readDirectory(nodeId, handle, startOfDirectory, options)
          } finally {
            fileSystem.releaseDirectory(handle)
          }
        },
        answer: listed => {
          const entries = Array.from({ length: listed.length }, (_, k) => listed.at(k)).filter(entry => !!entry)
          const kinds = { file: kindReply(0o100000), directory: kindReply(0o040000) }
          reply(
            0,
            entries.map(({ name }) => name),
            entries.map(({ kind }) => kinds[kind]),
          )
        },
        refuse: reply,
      }),
  }
}

function fileHandlers({ fileSystem, names, files, calls, deadlines }: FuseNativeHandlersContext): Handlers {
  return {
    open: (reply: Reply, path: string, flags: number) =>
      calls.accept({
        operation: 'OPEN',
        path,
        deadlineMs: deadlines().deadlineMs,
        run: async options => files.add(path, await names.open(path, flags, options)),
        answer: handle => reply(0, handle),
        refuse: reply,
        undo: handle => files.release(handle),
      }),
    release: (reply: Reply, path: string, handle: number) =>
      calls.accept({
        operation: 'RELEASE',
        path,
        deadlineMs: deadlines().deadlineMs,
        run: () => files.release(handle),
        answer: () => reply(0),
        refuse: reply,
      }),
    read: (
      reply: Reply,
      path: string,
      handle: number,
      target: Uint8Array,
      length: number,
      low: number,
      high: number,
    ) => {
      const { buffer } = target
      calls.accept({
        operation: 'READ',
        path,
        deadlineMs: deadlines().readDeadlineMs,
        run: options => {
          const nodeId = files.nodeId(handle)
          return fileSystem.read({ nodeId, handle: nodeId }, joined(low, high), length, options)
        },
        answer: bytes => {
          target.set(bytes)
          reply(bytes.length, bytes.length, buffer)
        },
        refuse: result => reply(result, 0, buffer),
      })
    },
  }
}

function attributeHandlers({ fileSystem, names, calls, deadlines }: FuseNativeHandlersContext): Handlers {
  const value = (
    operation: string,
    reply: Reply,
    path: string,
    target: Uint8Array,
    of: (nodeId: bigint) => Uint8Array,
  ) =>
    calls.accept({
      operation,
      path,
      deadlineMs: deadlines().deadlineMs,
      run: async options => fitting(of((await names.tell(path, options)).nodeId), target.length),
      answer: bytes => {
        const { buffer } = target
        if (target.length > 0) target.set(bytes)
        reply(bytes.length, buffer)
      },
      refuse: result => reply(result, target.buffer),
    })
  return {
    getxattr: (reply: Reply, path: string, name: string, target: Uint8Array) =>
      value('GETXATTR', reply, path, target, nodeId => fileSystem.extendedAttribute(nodeId, name)),
    listxattr: (reply: Reply, path: string, target: Uint8Array) =>
      value('LISTXATTR', reply, path, target, nodeId =>
        Buffer.from(
          fileSystem
            .extendedAttributeNames(nodeId)
            .map(name => `${name}\0`)
            .join(''),
        ),
      ),
  }
}

/** Refusals of changes, also where root has mounted it for writing. */
function refusals(): Handlers {
  const result = -errnoOf(new FsError('read-only'))
  const names = ['mknod', 'mkdir', 'unlink', 'rmdir', 'symlink', 'rename', 'link', 'create']
  const contents = ['chmod', 'chown', 'truncate', 'ftruncate', 'utimens', 'removexattr']
  const refuse = (reply: Reply) => reply(result)
  return {
    ...Object.fromEntries([...names, ...contents].map(name => [name, refuse])),
    write: (reply: Reply, _path: string, _handle: number, bytes: Uint8Array) => reply(result, 0, bytes.buffer),
    setxattr: (reply: Reply, _path: string, _name: string, bytes: Uint8Array) => reply(result, bytes.buffer),
  }
}

/** @param bytesMax what the reader offers; 0 when it only asks how long the value is */
function fitting(value: Uint8Array, bytesMax: number): Uint8Array {
  if (bytesMax > 0 && value.length > bytesMax) throw new FsError('buffer-too-small')
  return value
}

/** The type of a directory entry. */
function kindReply(mode: number): Uint32Array {
  return statReply({
    nodeId: rootNodeId,
    inode: rootNodeId,
    mode,
    links: 1,
    uid: 0,
    gid: 0,
    sizeBytes: 0,
    blocks: 0,
    preferredBytes: 0,
    modifiedMs: 0,
  })
}
