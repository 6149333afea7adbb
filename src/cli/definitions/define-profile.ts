/**
 * Definitions of the commands about boot profiles.
 */
import type { Command } from 'commander'
import { formatDuration, parseDuration } from '../../base/sizes.ts'
import { recordMs } from '../commands/limits.ts'
import { type Ended, value } from '../output/argument-parsers.ts'
import { addExamples } from './examples.ts'
import { type OnMount, ofImage } from './mount-choice.ts'

export function defineProfile(program: Command, ended: Ended): void {
  const profile = program
    .command('profile')
    .copyInheritedSettings(program)
    .description('Boot profiles: what is read of an image after it was opened cold, and fetched ahead the next time.')
  const descriptions = {
    show: 'Say what was learned of IMAGE.',
    export: 'Print the profile of IMAGE, for "parentfs profile import" on another host, or to publish it.',
  }
  for (const command of ['show', 'export'] as const) {
    const print = ofImage(profile, command, descriptions[command]).action(
      async (image: string, { mountpoint }: OnMount) => {
        const module = await import('../commands/profile.ts')
        ended(await module.printProfile(image, mountpoint ?? null, command === 'export'))
      },
    )
    addExamples(print, `parentfs profile ${command} debian.raw`)
  }
  const take = ofImage(profile, 'import', 'Take a profile that was exported, in the place of what is known of IMAGE.')
    .argument('<file>', 'what "parentfs profile export" printed')
    .action(async (image: string, file: string, { mountpoint }: OnMount) => {
      const module = await import('../commands/profile.ts')
      ended(await module.takeProfile(image, file, mountpoint ?? null))
    })
  addExamples(take, 'parentfs profile import debian.raw debian.raw.parentfs-profile')
  defineCheck(profile, ended)
  defineRecord(profile, ended)
}

function defineCheck(profile: Command, ended: Ended): void {
  const check = profile
    .command('check')
    .copyInheritedSettings(profile)
    .description('Say what is in FILE, and whether it can be published beside IMAGE.')
    .argument('<file>', 'a profile')
    .argument('[image]', 'the file of its image')
    .action(async (file: string, image: string | undefined) => {
      const module = await import('../commands/profile.ts')
      ended(module.checkProfile(file, image ?? null))
    })
  addExamples(check, 'parentfs profile check debian.raw.parentfs-profile debian.raw')
}

interface RecordOptions {
  readonly output?: string
  readonly boot?: boolean
  readonly time?: number
}

function defineRecord(profile: Command, ended: Ended): void {
  const record = profile
    .command('record')
    .copyInheritedSettings(profile)
    .description('Run COMMAND on IMAGE behind an empty cache, and write down what it reads, to be published.')
    .usage('[options] <image> -- <command> [argument...]\n       parentfs profile record --boot [options] <image>')
    .argument('<image>', 'its path, or its URL')
    .argument('[command...]', '{} in it is the path of the image, and so is $PARENTFS_IMAGE')
    .option('--output <file>', 'where to write it (default: IMAGE.parentfs-profile here)')
    .option('--boot', 'boot the image in qemu, in place of a command')
    .option('--time <duration>', `end it after that long (default: ${formatDuration(recordMs)})`, value(parseDuration))
    .action(
      async (image: string, words: readonly string[], { output, boot = false, time = recordMs }: RecordOptions) => {
        const module = await import('../commands/record-profile.ts')
        const args = { image, words, boots: boot, output: output ?? null, msMax: time }
        ended(await module.recordProfile(args))
      },
    )
  addExamples(
    record,
    'parentfs profile record --boot /images/debian.raw',
    'parentfs profile record https://host/images/debian.raw -- cat {}',
  )
}
