/**
 * Runs every check, or the test files that it is given, or those that depend on Node.js (`--of-node`), and sums them
 * into one last line: `N passed, N failed, N skipped`.
 *
 * Called by `make test` after the build. A check that ends badly without counting a failure counts as one, so that the
 * line and the exit code always agree. With CI=true a skip without an explanation here is a failure too
 * (test/runner/skips.ts).
 */
import type { Check, Result } from './runner/check.ts'
import { endChildren } from './runner/child.ts'
import { everything, ofNode, onlyFiles, slots } from './runner/plan.ts'
import { thisMachine, unexplained } from './runner/skips.ts'
import { runInSlots } from './runner/slots.ts'
import { Tally } from './runner/tally.ts'

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => {
    endChildren()
    process.exit(code)
  })
}

const startedMs = performance.now()
const files = process.argv.slice(2)
const chosen = files[0] === '--of-node' ? ofNode(process.env) : onlyFiles(files, process.env)
const checks = files.length > 0 ? chosen : everything(process.env)
const wantsAll = process.env.CI === 'true'
const machine = thisMachine()
const tally = new Tally(({ skipped }: Result) => (wantsAll ? unexplained(skipped, machine) : []))

await runInSlots(checks, slots, async (check: Check) => {
  for (const line of tally.add(check.name, await check.run())) console.log(line)
})
for (const line of tally.ending((performance.now() - startedMs) / 1000)) console.log(line)
process.exitCode = tally.failed === 0 ? 0 : 1
