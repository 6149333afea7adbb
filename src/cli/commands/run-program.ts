/**
 * Programs of the host run by a command: bounded in time and output. One that is missing is an outcome like others.
 */
import { spawn } from 'node:child_process'
import { programOutputBytesMax } from './limits.ts'

export interface ProgramOutcome {
  /** Null: it could not be started, or a signal ended it. */
  readonly code: number | null
  /** It is not installed. */
  readonly isMissing: boolean
  readonly stdout: string
  readonly stderr: string
  readonly ms: number
}

/** Never rejects. @param msMax after which it is killed */
export function runProgram(program: string, args: readonly string[], msMax: number): Promise<ProgramOutcome> {
  const startedMs = performance.now()
  return new Promise(resolve => {
    const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C' } })
    const texts = { stdout: '', stderr: '' }
    const collect = (name: keyof typeof texts) => (bytes: Buffer) => {
      if (texts[name].length < programOutputBytesMax) texts[name] += bytes.toString()
    }
    child.stdout.on('data', collect('stdout'))
    child.stderr.on('data', collect('stderr'))
    const timer = setTimeout(() => child.kill('SIGKILL'), msMax)
    const end = (code: number | null, isMissing: boolean) => {
      clearTimeout(timer)
      resolve({ code, isMissing, ...texts, ms: performance.now() - startedMs })
    }
    child.once('error', (error: NodeJS.ErrnoException) => end(null, error.code === 'ENOENT'))
    child.once('close', code => end(code, false))
  })
}
