/**
 * How the commands about boot profiles are called.
 */
import type { Command } from 'commander'
import { imageText, mountpointFlag, mountpointText, type OnMount } from './define-images.ts'
import type { Ended } from './parsers.ts'

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
    profile
      .command(command)
      .copyInheritedSettings(program)
      .description(descriptions[command])
      .argument('<image>', imageText)
      .option(mountpointFlag, mountpointText)
      .action(async (image: string, { mountpoint }: OnMount) => {
        const module = await import('./profile.ts')
        ended(await module.printProfile(image, mountpoint ?? null, command === 'export'))
      })
  }
  profile
    .command('import')
    .copyInheritedSettings(program)
    .description('Take a profile that was exported, in the place of what is known of IMAGE.')
    .argument('<image>', imageText)
    .argument('<file>', 'what "parentfs profile export" printed')
    .option(mountpointFlag, mountpointText)
    .action(async (image: string, file: string, { mountpoint }: OnMount) => {
      const module = await import('./profile.ts')
      ended(await module.takeProfile(image, file, mountpoint ?? null))
    })
}
