/**
 * Definitions of the commands about boot profiles.
 */
import type { Command } from 'commander'
import type { Ended } from '../output/argument-parsers.ts'
import { type OnMount, ofImage } from './define-images.ts'

export function defineProfile(program: Command, ended: Ended): void {
  const profile = program
    .command('profile')
    .copyInheritedSettings(program)
    .description('Boot profiles: what is read of an image after it was opened cold, and fetched ahead the next time.')
  const descriptions = {
    show: 'Say what was learned of IMAGE.',
    export: 'Print the profile of IMAGE, for "parentfs profile import" on another host.',
  }
  for (const command of ['show', 'export'] as const) {
    ofImage(profile, command, descriptions[command]).action(async (image: string, { mountpoint }: OnMount) => {
      const module = await import('../commands/profile.ts')
      ended(await module.printProfile(image, mountpoint ?? null, command === 'export'))
    })
  }
  ofImage(profile, 'import', 'Take a profile that was exported, in the place of what is known of IMAGE.')
    .argument('<file>', 'what "parentfs profile export" printed')
    .action(async (image: string, file: string, { mountpoint }: OnMount) => {
      const module = await import('../commands/profile.ts')
      ended(await module.takeProfile(image, file, mountpoint ?? null))
    })
}
