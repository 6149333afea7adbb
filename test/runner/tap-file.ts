/**
 * A compiled test file as a check: a process of its own. Its TAP is counted here.
 *
 * Source: the Test Anything Protocol, version 14; node-tap's last lines sum the assertions of all subtests.
 */
import type { Check, Company, Result, Skip } from './check.ts'
import { type Ended, runChild } from './child.ts'

export interface TapFileOptions {
  readonly name: string
  /** The compiled file. */
  readonly path: string
  readonly env: NodeJS.ProcessEnv
  readonly company: Company
  readonly weightSeconds: number
  /** Its tests are late after this, in milliseconds, and the file is ended a little later. */
  readonly msMax: number
}

/** A file says by itself what was late, unless it hangs: so long it has for that, in milliseconds. */
const tellingMs = 30_000

export function tapFile({ name, path, env, company, weightSeconds, msMax }: TapFileOptions): Check {
  const run = async () => {
    const childEnv = { ...env, TAP_TIMEOUT: String(msMax / 1000) }
    const ended = await runChild([process.execPath, path], { env: childEnv, msMax: msMax + tellingMs })
    return judgeTap(ended, env)
  }
  return { name, company, weightSeconds, run }
}

/** Result of a file's process. An error that was not counted counts as one failure. */
export function judgeTap(ended: Ended, env: NodeJS.ProcessEnv): Result {
  const { code, signal, isLate, lines, seconds, cpuSeconds } = ended
  const totals = totalsOf(lines)
  const complaints: string[] = []
  if (isLate) complaints.push(`it did not end, and was ended after ${Math.round(seconds)} s`)
  else if (signal !== null) complaints.push(`it was ended by ${signal}`)
  else if (code !== 0) complaints.push(`its exit code is ${code}`)
  if (!totals) complaints.push('it ended without its totals')
  else if (totals.total === 0) complaints.push('it has no tests')
  const uncounted = complaints.length > 0 && !totals?.fail ? 1 : 0
  const failed = (totals?.fail ?? 0) + uncounted
  const output = failed === 0 ? [] : [...lines, ...complaints]
  return { passed: totals?.pass ?? 0, failed, skipped: skipsIn(lines, env), seconds, cpuSeconds, output }
}

/** As node-tap writes it: `# { total: 6, pass: 1, fail: 1, todo: 1, skip: 3 }`. */
function totalsOf(lines: readonly string[]): { total: number; pass: number; fail: number } | null {
  const line = lines.findLast(line => line.startsWith('# { total: '))
  if (!line) return null
  const count = (what: string) => Number(new RegExp(`\\b${what}: (\\d+)`).exec(line)?.[1] ?? 0)
  return { total: count('total'), pass: count('pass'), fail: count('fail') }
}

/** Skipped tests and assertions; what is still to be done has not been made either. */
function skipsIn(lines: readonly string[], env: NodeJS.ProcessEnv): Skip[] {
  return lines.flatMap(line => {
    const match = /^ *(?:not )?ok\b.* # (?:SKIP|TODO)\b(?<reason>.*)$/.exec(line)
    return match ? [{ reason: match.groups!.reason!.trim().replaceAll('\\#', '#'), env }] : []
  })
}
