/**
 * The server as its keeper sees it: a child process, messages to and from it, and a socket that carries descriptors.
 */
import { spawn } from 'node:child_process'
import type { Duplex } from 'node:stream'
import { threadpoolThreads } from '../limits.ts'
import type { Addon } from '../native/addon.ts'
import { noInspectorArguments } from '../no-inspector.ts'
import { serverHeapMiBMax } from '../process-limits.ts'
import { heardMessage } from './heard-message.ts'
import { LineChannel } from './line-channel.ts'
import type { ToKeeper, ToServer } from './messages.ts'

export interface ServerProcess {
  readonly pid: number
  /** A message to a server that has gone is dropped: `exited` tells. */
  send(message: ToServer): void
  /** Put a descriptor into the socket; ours stays open. */
  sendFd(fd: number): void
  /** The one listener; to miss nothing, in the same tick as the start. */
  onMessage(listener: (message: ToKeeper) => void): void
  /** When and how it ended; never rejects. */
  readonly exited: Promise<Exit>
  /** SIGKILL. */
  kill(): void
}

export interface Exit {
  readonly code: number | null
  /** For people: `exit code 1`, `signal SIGKILL`. */
  readonly how: string
}

/** The descriptor under which the server finds its end of the socket pair. */
export const serverSocketFd = 3
/** And the one under which it finds the socket for messages. */
export const serverChannelFd = 4
/** And the file in which it notes what it works on. */
export const serverWorkFd = 5

/**
 * Start a server; its standard error is ours.
 * @param main the program: see program.ts
 * @param workFd the file of notes; it stays the caller's
 */
export function startServer(addon: Addon, main: string, workFd: number): ServerProcess {
  const [ours, theirs] = addon.socketPair()
  const child = spawn(process.execPath, [...noInspectorArguments, `--max-old-space-size=${serverHeapMiBMax}`, main], {
    cwd: '/',
    // UV_THREADPOOL_SIZE only counts when it is there from the beginning.
    env: { ...process.env, UV_THREADPOOL_SIZE: String(threadpoolThreads) },
    stdio: ['ignore', 'ignore', 'inherit', theirs, 'pipe', workFd],
  })
  addon.closeFd(theirs)
  const channel = new LineChannel(child.stdio[serverChannelFd] as Duplex)
  const exited = new Promise<Exit>(resolve => {
    const end = (exit: Exit) => {
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
    onMessage: listener =>
      channel.onMessage(value => {
        const message = heardMessage(value)
        if (message) listener(message)
      }),
    exited,
    kill: () => void child.kill('SIGKILL'),
  }
}
