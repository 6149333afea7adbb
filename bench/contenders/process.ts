/**
 * A program in the foreground that serves a mount: started, waited for, ended by its id.
 */
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { stat } from 'node:fs/promises'
import { promisify } from 'node:util'
import { until } from '../../test/fixtures/until.ts'
import type { Running } from './contender.ts'

const startMsMax = 20_000
const stopMsMax = 20_000

/** Start it; what it says on standard error is in the error that a failure throws. */
export function begin(file: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Child {
  return new Child(file, spawn(file, args, { stdio: ['ignore', 'ignore', 'pipe'], env }))
}

export class Child {
  readonly #name: string
  readonly #process: ChildProcess
  #said = ''
  #hasEnded = false

  constructor(name: string, child: ChildProcess) {
    this.#name = name
    this.#process = child
    child.stderr!.on('data', (data: Buffer) => {
      this.#said = `${this.#said}${data}`.slice(-2000)
    })
    const end = (error?: unknown) => {
      if (error instanceof Error) this.#said += error.message
      this.#hasEnded = true
    }
    child.once('error', end).once('exit', end)
  }

  /** Empty once it has ended. */
  get pids(): number[] {
    return this.#hasEnded || this.#process.pid === undefined ? [] : [this.#process.pid]
  }

  /** @throws Error when it ends first, or is late */
  async ready(isReady: () => Promise<boolean>): Promise<void> {
    const what = `${this.#name} is not ready`
    await until(async () => this.#hasEnded || (await isReady().catch(() => false)), startMsMax, what)
    if (this.#hasEnded) throw new Error(`${this.#name} ended: ${this.#said.trim()}`)
  }

  /** Resolves when it has ended after what was done to end it. */
  async gone(): Promise<void> {
    await until(() => this.#hasEnded, stopMsMax, `${this.#name} does not end`)
  }

  async signal(name: NodeJS.Signals): Promise<void> {
    this.#process.kill(name)
    await this.gone()
  }
}

/** The file that a program is to show. */
export interface Shown {
  readonly path: string
  readonly sizeBytes: number
  /** The mountpoint to unmount. */
  readonly mountpoint: string
  /** The program unmounts by itself when it is told to end; others end when they are unmounted. */
  readonly endsItself?: true
}

/** Start a program that shows a file. @throws Error when it ends first, or is late; nothing is left of it */
export async function show(file: string, args: readonly string[], shown: Shown): Promise<Running> {
  const { path, sizeBytes, mountpoint, endsItself } = shown
  const child = begin(file, args)
  const kill = async () => {
    await unmountLazily(mountpoint)
    await child.signal('SIGKILL').catch(() => {})
  }
  const stop = async () => {
    if (endsItself) return child.signal('SIGTERM')
    await unmount(mountpoint)
    await child.gone()
  }
  try {
    await child.ready(async () => (await stat(path)).size === sizeBytes)
  } catch (error) {
    await kill()
    throw error
  }
  return { path, pids: () => child.pids, stop, kill }
}

/** Take a FUSE mount away; a busy one is tried again for a moment. */
async function unmount(directory: string): Promise<void> {
  for (let tries = 0; ; tries++) {
    try {
      await promisify(execFile)('fusermount3', ['-u', directory])
      return
    } catch (error) {
      if (tries === 50) throw error
      await new Promise(resolve => setTimeout(resolve, 100))
    }
  }
}

/** Lazy unmount, in use or not. Never rejects: there may be nothing. */
export async function unmountLazily(directory: string): Promise<void> {
  await promisify(execFile)('umount', ['-l', directory]).catch(() => {})
}
