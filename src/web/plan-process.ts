/**
 * A plan estimated beside the worker: it takes seconds of processor time, which reads must not wait for. The process
 * has a low priority, a time-out, and no environment.
 */
import { execFile } from 'node:child_process'
import { setPriority } from 'node:os'
import { CacheError } from '../base/errors.ts'
import { noInspectorArguments } from '../base/no-inspector.ts'
import { programFile } from '../base/program-file.ts'
import type { PlanRow } from '../cache/plan/plan.ts'
import type { PlanBasis } from '../cache/plan/plan-basis.ts'
import { planMsMax, planPriority, planRowsBytesMax } from './limits.ts'

const planMain = programFile('web/plan-main.js')

/**
 * @param signal ends the process
 * @param msMax other than the limit, for tests
 * @throws CacheError closed when it was ended, or is not done in time
 */
export function planInProcess(
  basis: PlanBasis,
  capacities: readonly number[],
  signal: AbortSignal,
  msMax: number = planMsMax,
): Promise<readonly PlanRow[]> {
  return new Promise((resolve, reject) => {
    const options = { timeout: msMax, killSignal: 'SIGKILL', maxBuffer: planRowsBytesMax, signal, env: {} } as const
    const child = execFile(process.execPath, [...noInspectorArguments, planMain], options, (cause, stdout) => {
      if (cause) reject(new CacheError('closed', 'the curve could not be estimated', { cause }))
      else resolve(JSON.parse(stdout) as PlanRow[])
    })
    try {
      if (child.pid !== undefined) setPriority(child.pid, planPriority)
    } catch {
      // It has ended, which is told above.
    }
    child.stdin?.on('error', () => {}) // Likewise.
    child.stdin?.end(JSON.stringify({ basis, capacities }))
  })
}
