/** Definition of `parentfs plan`. */
import type { Command } from 'commander'
import { parseSize } from '../../base/sizes.ts'
import type { AskedCapacity } from '../../cache/plan/plan.ts'
import { type Ended, value } from '../output/argument-parsers.ts'
import { addExamples } from './examples.ts'
import { chosenMount, type OnMount, onMount } from './mount-choice.ts'

/** Capacities that are asked for at once, and the largest multiple: each is a simulation of some seconds. */
const capacitiesMax = 32
const timesMax = 1024

interface OnPlan extends OnMount {
  readonly capacity?: readonly AskedCapacity[]
  readonly json?: boolean
  readonly plot?: string
}

export function definePlan(program: Command, ended: Ended): void {
  const plan = program.command('plan').copyInheritedSettings(program)
  onMount(plan)
    .description('Say how many misses, and how much from the origin, caches of other capacities would have had.')
    .option('--capacity <list>', 'like 2x,4x,500GiB: multiples of the present one, and sizes', value(parseCapacities))
    .option('--json', 'for machines: one object')
    .option('--plot <file>', 'write the curves into FILE, as an SVG')
    .action(async (mountpoint: string | undefined, options: OnPlan) => {
      const { capacity: asked = [], json = false, plot = null } = options
      const module = await import('../commands/plan.ts')
      ended(await module.plan({ path: chosenMount(plan, mountpoint, options), asked, json, plot }))
    })
  addExamples(plan, 'parentfs plan', 'parentfs plan --capacity 2x,4x,500GiB --plot plan.svg')
}

/** @throws Error when one of them is neither a multiple nor a size */
export function parseCapacities(text: string): AskedCapacity[] {
  const parts = text.split(',')
  if (parts.length > capacitiesMax) throw new Error(`there are ${parts.length}: give at most ${capacitiesMax}`)
  return parts.map(part => {
    const times = /^(\d+(?:\.\d+)?)x$/i.exec(part.trim())
    if (!times) {
      const bytes = parseSize(part)
      if (bytes > 0) return { bytes }
    } else if (Number(times[1]) > 0 && Number(times[1]) <= timesMax) return { times: Number(times[1]) }
    throw new Error(`"${part}" is not a capacity: write it like 2x, at most ${timesMax}x, or 500GiB`)
  })
}
