/**
 * Definitions of the commands about the group of hosts that share images.
 */
import type { Command } from 'commander'
import type { Ended } from '../output/argument-parsers.ts'
import { addExamples } from './examples.ts'
import { chosenMount, type OnMount, onMount } from './mount-choice.ts'

export function defineFleet(program: Command, ended: Ended): void {
  const fleet = program.command('fleet').copyInheritedSettings(program)
  onMount(fleet)
    .description('Show the group of hosts that a mount shares images with; exits 1 while its registry is away.')
    .option('--json', 'for machines')
    .action(async (mountpoint: string | undefined, options: OnMount & { json?: boolean }) => {
      const module = await import('../commands/fleet.ts')
      ended(await module.fleetCommand(chosenMount(fleet, mountpoint, options), options.json ?? false))
    })
  const leave = fleet.command('leave').copyInheritedSettings(program)
  onMount(leave)
    .description('Have the group give no units to this host any more; it serves on until it is unmounted.')
    .action(async (mountpoint: string | undefined, options: OnMount) => {
      const module = await import('../commands/fleet.ts')
      ended(await module.leaveFleet(chosenMount(leave, mountpoint, options)))
    })
  addExamples(fleet, 'parentfs fleet', 'parentfs fleet /srv/parents --json')
  addExamples(leave, 'parentfs fleet leave', 'parentfs fleet leave /srv/parents')
}
