/**
 * Worker process on the supervisor's side: a child process, messages to and from it, and a socket that carries
 * descriptors.
 */

import { type ChildProcess, spawn } from 'node:child_process'
import { versions } from 'node:process'
import type { Duplex } from 'node:stream'
import { CacheError, messageOf } from '../../base/errors.ts'
import { noInspectorArguments } from '../../base/no-inspector.ts'
import type { Addon } from '../../native/addon.ts'
import { LineChannel } from '../ipc/line-channel.ts'
import type { ToSupervisor, ToWorker } from '../ipc/messages.ts'
import { type OnIgnored, readerOfWorker } from '../ipc/validate-message.ts'
import { workerChannelFd } from '../ipc/worker-descriptors.ts'
import {
  allocatorFreeBytesMax,
  allocatorPieceBytesMax,
  threadpoolThreads,
  workerBytecodePerTickBytes,
  workerHeapMiBMax,
  workerInlinedBytecodeBytesMax,
  workerSemiSpaceMiBMax,
} from './limits.ts'

export interface WorkerProcess {
  readonly pid: number
  /** A message to a worker that has gone is dropped: `exited` tells. */
  send(message: ToWorker): void
  /** Put a descriptor into the socket; ours stays open. */
  sendFd(fd: number): void
  /** The one listener; to miss nothing, in the same tick as the start. */
  onMessage(listener: (message: ToSupervisor) => void, onIgnored: OnIgnored): void
  /** The time and manner of its end; never rejects. */
  readonly exited: Promise<WorkerExit>
  /** SIGKILL. */
  kill(): void
}

export interface WorkerExit {
  readonly code: number | null
  /** For people: `exit code 1`, `signal SIGKILL`. */
  readonly how: string
}

const heapArguments = [`--max-old-space-size=${workerHeapMiBMax}`, `--max-semi-space-size=${workerSemiSpaceMiBMax}`]

/**
 * Arguments for V8's optimizing compiler: none but for V8 11.3, which every Node.js 20 has. Later ones compile less of
 * their own accord and have other flags, and Node.js refuses to start with one that its V8 does not know.
 * @param v8 `process.versions.v8`
 */
export function compilerArguments(v8: string): readonly string[] {
  if (!v8.startsWith('11.3.')) return []
  return [
    `--bytecode-size-allowance-per-tick=${workerBytecodePerTickBytes}`,
    `--max-inlined-bytecode-size-cumulative=${workerInlinedBytecodeBytesMax}`,
  ]
}

/**
 * Of glibc, which otherwise raises both with each large piece that it frees. Source: mallopt(3), "Environment
 * variables".
 */
const allocatorSettings = {
  MALLOC_TRIM_THRESHOLD_: String(allocatorFreeBytesMax),
  MALLOC_MMAP_THRESHOLD_: String(allocatorPieceBytesMax),
}

/**
 * Start a worker; its standard error is ours.
 * @param main the program: see worker-binary.ts
 * @param workFd the file of notes; it stays the caller's
 * @throws CacheError mount-failed when there is no memory for a process, or no descriptor; nothing stays open then
 */
export function startWorker(addon: Addon, main: string, workFd: number, start = spawn): WorkerProcess {
  const [ours, theirs] = socketPair(addon)
  const child = childOf(addon, ours, theirs, () =>
    start(process.execPath, [...noInspectorArguments, ...heapArguments, ...compilerArguments(versions.v8), main], {
      cwd: '/',
      // These only count when they are there from the beginning.
      env: { ...allocatorSettings, ...process.env, UV_THREADPOOL_SIZE: String(threadpoolThreads) },
      stdio: ['ignore', 'ignore', 'inherit', theirs, 'pipe', workFd],
    }),
  )
  const channel = new LineChannel(child.stdio[workerChannelFd] as Duplex)
  const exited = new Promise<WorkerExit>(resolve => {
    const end = (exit: WorkerExit) => {
      addon.closeFd(ours)
      channel.close()
      resolve(exit)
    }
    // Never both: without a process there is no exit.
    child.once('error', error => child.pid === undefined && end({ code: null, how: error.message }))
    child.once('exit', (code, signal) => end({ code, how: signal ? `signal ${signal}` : `exit code ${code}` }))
  })
  return {
    pid: child.pid ?? 0,
    send: message => void channel.send(message), // Never rejects.
    sendFd: fd => addon.sendFd(ours, fd),
    onMessage: (listener, onIgnored) => {
      const read = readerOfWorker(onIgnored)
      channel.onMessage(value => {
        const message = read(value)
        if (message) listener(message)
      })
    },
    exited,
    kill: () => void child.kill('SIGKILL'),
  }
}

function socketPair(addon: Addon): [ours: number, theirs: number] {
  try {
    return addon.socketPair()
  } catch (cause) {
    throw notStarted(cause)
  }
}

/**
 * Starts the child. Our copy of its end is closed, and ours too when there is no child. Node.js throws for some errors
 * and tells others later; where there were no descriptors for its pipes, the child has none.
 */
function childOf(addon: Addon, ours: number, theirs: number, start: () => ChildProcess): ChildProcess {
  try {
    const child = start()
    if (child.stdio?.[workerChannelFd]) return child
    child.on('error', () => {}) // It is told below.
    throw new Error('no descriptors for its pipes')
  } catch (cause) {
    addon.closeFd(ours)
    throw notStarted(cause)
  } finally {
    addon.closeFd(theirs)
  }
}

function notStarted(cause: unknown): CacheError {
  return new CacheError('mount-failed', `a worker could not be started: ${messageOf(cause)}`, { cause })
}
