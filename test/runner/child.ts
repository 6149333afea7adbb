/**
 * A program in a process group of its own: its output, its cost, and its end, by force when it is late.
 *
 * The group is ended as a whole, so that no process of a check disturbs the next one. Signals to the run reach it too.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ChildOptions {
  readonly env: NodeJS.ProcessEnv
  /** It is ended when it takes longer. */
  readonly msMax: number
  /** Time for an end of its own when it is late, or when a process still holds its outputs. */
  readonly graceMs?: number
}

export interface Ended {
  /** null when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly isLate: boolean
  /** Of both outputs, as they came. */
  readonly lines: readonly string[]
  readonly seconds: number
  /** Of it and its children, once each is waited for; null when it could not say so itself. */
  readonly cpuSeconds: number | null
}

/**
 * Says in the end, at descriptor 3, what its child took. Asked to end, it waits for its child, which is asked too.
 * Source: POSIX, "times", "trap".
 */
const timed = 'trap : TERM; "$@" 3>&-; code=$?; times >&3; exit $code'

/** Groups that run, for the end of the run itself. */
const groups = new Set<number>()

/** Run it to its end. Resolves whatever it does. @throws when it cannot be started */
export async function runChild(words: readonly string[], options: ChildOptions): Promise<Ended> {
  const { env, msMax, graceMs = 10_000 } = options
  const startedMs = performance.now()
  const child = spawn('sh', ['-c', timed, 'sh', ...words], {
    detached: true,
    env,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
  })
  const lines: string[] = []
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream! }).on('line', line => lines.push(line))
  }
  let times = ''
  child.stdio[3]!.on('data', chunk => {
    times += chunk
  })
  const closed = once(child, 'close')
  const exited = once(child, 'exit') as Promise<[number | null, NodeJS.Signals | null]>
  await once(child, 'spawn')
  groups.add(child.pid!)
  const isLate = await endWhenLate(child, exited, { msMax, graceMs })
  const [code, signal] = await exited
  const seconds = (performance.now() - startedMs) / 1000
  // Processes that it left behind may hold its outputs.
  await Promise.race([closed, sleep(graceMs, undefined, { ref: false })])
  signalGroup(child.pid!, 'SIGTERM')
  groups.delete(child.pid!)
  for (const stream of [child.stdout, child.stderr]) stream!.destroy()
  return { code, signal, isLate, lines, seconds, cpuSeconds: cpuSecondsOf(times) }
}

/** End every group that runs: the run itself is ended. */
export function endChildren(): void {
  for (const group of groups) signalGroup(group, 'SIGTERM')
}

/** @returns whether it had to be */
async function endWhenLate(
  child: ChildProcess,
  exited: Promise<unknown>,
  { msMax, graceMs }: { readonly msMax: number; readonly graceMs: number },
): Promise<boolean> {
  let isLate = false
  let killing: NodeJS.Timeout | undefined
  const ending = setTimeout(() => {
    isLate = true
    // Mounts go with their daemons, if they can.
    signalGroup(child.pid!, 'SIGTERM')
    killing = setTimeout(() => signalGroup(child.pid!, 'SIGKILL'), graceMs)
  }, msMax)
  await exited
  clearTimeout(ending)
  clearTimeout(killing)
  if (isLate) signalGroup(child.pid!, 'SIGKILL')
  return isLate
}

function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal)
  } catch {
    // The group is empty.
  }
}

/** @param times two lines of user and system time: the shell's own, and its children's */
function cpuSecondsOf(times: string): number | null {
  const children = times.trim().split('\n')[1]
  if (!children) return null
  let seconds = 0
  for (const [, minutes, rest] of children.matchAll(/(\d+)m([\d.]+)s/g)) seconds += Number(minutes) * 60 + Number(rest)
  return seconds
}
