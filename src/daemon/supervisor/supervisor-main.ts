/**
 * Entry point of the supervisor of a background mount: a process of its own session. The command that started it sends
 * the settings, and waits for one answer.
 */
import '../../base/no-inspector.ts'
import { isCacheError, messageOf } from '../../base/errors.ts'
import type { Settings } from '../config/settings.ts'
import { runSupervisor } from './run-supervisor.ts'

/** The one answer. */
export type BackgroundAnswer =
  | { readonly type: 'ready' }
  | { readonly type: 'failed'; readonly code: string; readonly message: string }

const parentGone = new AbortController()
process.once('disconnect', () => parentGone.abort())
process.title = 'parentfs supervisor'
const settings = await new Promise<Settings>(resolve =>
  process.once('message', message => resolve(message as Settings)),
)
try {
  const onReady = () => void answer({ type: 'ready' }) // Resolves; the parent may have gone.
  process.exitCode = await runSupervisor(async () => settings, { onReady, signal: parentGone.signal })
} catch (error) {
  await answer({ type: 'failed', code: isCacheError(error) ? error.code : 'mount-failed', message: messageOf(error) })
  process.exitCode = 1
}

async function answer(message: BackgroundAnswer): Promise<void> {
  if (!process.connected) return
  await new Promise<void>(resolve => process.send!(message, () => resolve()))
  if (process.connected) process.disconnect()
}
