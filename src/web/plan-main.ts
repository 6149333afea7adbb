/**
 * Estimates a plan in a process of its own. The basis and the capacities come as JSON on standard input, and the rows
 * go to standard output.
 */
import '../base/no-inspector.ts'
import { text } from 'node:stream/consumers'
import { planFor } from '../cache/plan/plan.ts'
import type { PlanBasis } from '../cache/plan/plan-basis.ts'

const { basis, capacities } = JSON.parse(await text(process.stdin)) as {
  readonly basis: PlanBasis
  readonly capacities: readonly number[]
}
process.stdout.write(JSON.stringify(await planFor(basis, capacities)))
