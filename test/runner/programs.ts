/**
 * Checks that are programs: one that only succeeds or fails, and targets of native-bindings/Makefile, which count by
 * themselves.
 */
import type { Check, Result, Skip } from './check.ts'
import { type Ended, runChild } from './child.ts'

/** Longest that one may take, in milliseconds: a slow machine compiles for minutes. */
const programMsMax = 30 * 60_000

/** A check that counts as one. */
export function program(name: string, weightSeconds: number, words: readonly string[]): Check {
  const run = async () => judgeProgram(await runChild(words, { env: process.env, msMax: programMsMax }))
  return { name, company: 'unit', weightSeconds, run }
}

/** A target that prints `N passed, N failed, N skipped` once or more. */
export function nativeTarget(target: string, weightSeconds: number): Check {
  // Compilers yield to the mounts beside them.
  const words = ['nice', '-n', '5', 'make', '--no-print-directory', '--jobs=2', '-C', 'native-bindings', target]
  const run = async () => {
    const ended = await runChild(words, { env: process.env, msMax: programMsMax })
    return judgeNative(ended, { ...process.env, NATIVE_TARGET: target })
  }
  return { name: `native ${target}`, company: 'unit', weightSeconds, run }
}

export function judgeProgram({ code, lines, seconds, cpuSeconds }: Ended): Result {
  const [passed, failed] = code === 0 ? [1, 0] : [0, 1]
  return { passed, failed, skipped: [], seconds, cpuSeconds, output: code === 0 ? [] : lines }
}

/** A target that fails without counting a failure, or counts nothing at all, counts as one. */
export function judgeNative({ code, lines, seconds, cpuSeconds }: Ended, env: NodeJS.ProcessEnv): Result {
  const sum = { passed: 0, failed: 0, counts: 0, skips: 0 }
  const skipped: Skip[] = []
  for (const line of lines) {
    const reason = /^\s+skipped: (.*)$/.exec(line)?.[1]
    if (reason !== undefined) skipped.push({ reason, env })
    const counted = /^(\d+) passed, (\d+) failed(?:, (\d+) skipped)?$/.exec(line.trim())
    if (!counted) continue
    sum.counts++
    sum.passed += Number(counted[1])
    sum.failed += Number(counted[2])
    sum.skips += Number(counted[3] ?? 0)
  }
  while (skipped.length < sum.skips) skipped.push({ reason: '', env })
  const isUncounted = sum.failed === 0 && (code !== 0 || sum.counts === 0)
  const failed = isUncounted ? 1 : sum.failed
  return { passed: sum.passed, failed, skipped, seconds, cpuSeconds, output: failed === 0 ? [] : lines }
}
