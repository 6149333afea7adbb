/**
 * The test files that take a count from their environment, run with large ones, as much as fits in the time.
 */
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export interface Suite {
  /** Under build/test/, without its ending; or `native-bindings/` and a target of the Makefile there. */
  readonly file: string
  /** Variable of the count, and the count that a minute allows on two slow cores. */
  readonly variable: string
  readonly perMinute: number
  /** No more than this is asked for, and nothing below `least`: then it is left out, and the report says so. */
  readonly most: number
  readonly least: number
  /** Its part of the time. */
  readonly share: number
}

export const suites: readonly Suite[] = [
  { file: 'model/cache', variable: 'OPERATIONS', perMinute: 45_000, least: 1000, most: 1_000_000, share: 0.1 },
  { file: 'model/crash', variable: 'RUNS', perMinute: 60, least: 10, most: 10_000, share: 0.2 },
  { file: 'model/bit-flips', variable: 'FLIPS', perMinute: 2000, least: 100, most: 10_000, share: 0.1 },
  { file: 'origin/views/mutants', variable: 'MUTANTS', perMinute: 40_000, least: 1000, most: 100_000, share: 0.05 },
  { file: 'origin/sealed/mutants', variable: 'MUTANTS', perMinute: 60_000, least: 1000, most: 100_000, share: 0.05 },
  { file: 'origin/sealed/flips', variable: 'FLIPS', perMinute: 10_000, least: 400, most: 10_000, share: 0.05 },
  { file: 'model/fleet', variable: 'MEMBERS', perMinute: 6_000, least: 1_000, most: 10_000, share: 0.1 },
  { file: 'fleet/registry/etcd-registry', variable: 'QUORUM_SECONDS', perMinute: 60, least: 20, most: 600, share: 0.1 },
  {
    file: 'fleet/asking/hostile-members',
    variable: 'OPERATIONS',
    perMinute: 30_000,
    least: 10_000,
    most: 100_000,
    share: 0.05,
  },
  { file: 'mount/fleet-storm', variable: 'HOSTS', perMinute: 16, least: 4, most: 8, share: 0.05 },
  { file: 'mount/kill', variable: 'KILLS', perMinute: 12, least: 2, most: 100, share: 0.2 },
  {
    file: 'native-bindings/mutated-frames',
    variable: 'FRAMES',
    perMinute: 500_000,
    least: 20_000,
    most: 1_000_000,
    share: 0.1,
  },
  { file: 'mount/librbd-kills', variable: 'KILLS', perMinute: 8, least: 4, most: 40, share: 0.15 },
  { file: 'mount/guest', variable: 'KILLS', perMinute: 4, least: 1, most: 100, share: 0.1 },
  { file: 'mount/leaks', variable: 'OPERATIONS', perMinute: 30_000, least: 5000, most: 1_000_000, share: 0.15 },
  { file: 'store/ceiling', variable: 'CHURN', perMinute: 3, least: 10, most: 10, share: 0.1 },
  { file: 'mount/start-up', variable: 'OBJECTS', perMinute: 1_000_000, least: 100_000, most: 2_000_000, share: 0.05 },
]

export interface SuiteResult {
  readonly file: string
  /** For example `KILLS=100`; what was left out says why. */
  readonly asked: string
  readonly passed: number
  readonly failed: number
  readonly seconds: number
  /** Comments that it printed. */
  readonly comments: readonly string[]
}

/** Run one suite in its part of `minutes`, or with the count that the environment sets. */
export async function runSuite(suite: Suite, minutes: number, signal: AbortSignal): Promise<SuiteResult> {
  const { file, variable, least, most } = suite
  const fitting = Math.floor(suite.perMinute * suite.share * minutes)
  const count = Number(process.env[variable] ?? Math.min(most, fitting))
  const asked = `${variable}=${count}`
  if (count < least) {
    return {
      file,
      asked: `left out: ${asked} fits, ${least} is the least`,
      passed: 0,
      failed: 0,
      seconds: 0,
      comments: [],
    }
  }
  const more = moreOf(file, count)
  const startedMs = performance.now()
  const env = { ...process.env, ...more, [variable]: String(count), TAP_TIMEOUT: '86400' }
  const [command, ...words] = commandOf(file)
  const child = spawn(command, words, { env, stdio: ['ignore', 'pipe', 'inherit'], signal })
  const totals = { passed: 0, failed: 0 }
  const comments: string[] = []
  const complaints: string[] = []
  createInterface({ input: child.stdout }).on('line', line => {
    const total = /^# \{ total: \d+, pass: (\d+)(?:, fail: (\d+))?|^(\d+) passed, (\d+) failed/.exec(line)
    if (total) {
      totals.passed += Number(total[1] ?? total[3])
      totals.failed += Number(total[2] ?? total[4] ?? 0)
    } else if (/^ +# (?!Subtest|time)/.test(line)) comments.push(line.trim().slice(2))
    if (/^ *not ok/.test(line)) complaints.push(line.trim())
  })
  const code = await new Promise<number | null>((resolve, reject) => child.once('error', reject).once('close', resolve))
  if (code !== 0 && totals.failed === 0) totals.failed = 1
  const seconds = Math.round((performance.now() - startedMs) / 1000)
  return { file, asked, ...totals, seconds, comments: [...complaints, ...comments] }
}

function commandOf(file: string): readonly [string, ...string[]] {
  const [folder, target = ''] = file.split('/')
  if (folder === 'native-bindings') return ['make', '-s', '-C', folder, target]
  return [process.execPath, fileURLToPath(new URL(`../../test/${file}.js`, import.meta.url))]
}

/** Further variables of a suite. */
function moreOf(file: string, count: number): Readonly<Record<string, string>> {
  if (file === 'mount/leaks') return { CYCLES: String(Math.ceil(count / 1000)) }
  // Each of ten thousand hosts knows a thousand. A small young generation would be copied again and again.
  return file === 'model/fleet' ? { NODE_OPTIONS: '--max-old-space-size=10000 --max-semi-space-size=64' } : {}
}
