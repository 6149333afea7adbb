/**
 * Starts a supervisor that outlives the command: in its own session, without a terminal. Its settings go by message, so
 * that credentials appear in no list of processes.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { CacheError, type ErrorCode } from '../../base/errors.ts'
import { noInspectorArguments } from '../../base/no-inspector.ts'
import { programFile } from '../../base/program-file.ts'
import type { Settings } from '../../daemon/config/settings.ts'
import type { BackgroundAnswer } from '../../daemon/supervisor/supervisor-main.ts'

/**
 * Resolves when the mount answers.
 * @throws CacheError the supervisor's own reason; then it has gone
 */
export async function superviseInBackground(settings: Settings): Promise<void> {
  const main = programFile('daemon/supervisor/supervisor-main.js')
  const supervisor = spawn(process.execPath, [...noInspectorArguments, main], {
    detached: true,
    cwd: '/',
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  })
  const ended = new AbortController()
  const exited = once(supervisor, 'exit', { signal: ended.signal }).then(([code, signal]) => {
    throw new CacheError(
      'mount-failed',
      `the supervisor ended with ${signal ?? `exit code ${code}`} and gave no reason`,
    )
  })
  try {
    supervisor.send(settings)
    const message = once(supervisor, 'message', { signal: ended.signal })
    const [answer] = (await Promise.race([message, exited])) as [BackgroundAnswer]
    if (answer.type === 'ready') return
    await once(supervisor, 'exit')
    throw new CacheError(answer.code as ErrorCode, answer.message)
  } finally {
    ended.abort()
    exited.catch(() => {}) // What it says after the answer is of no interest.
    if (supervisor.connected) supervisor.disconnect()
    supervisor.unref()
  }
}
