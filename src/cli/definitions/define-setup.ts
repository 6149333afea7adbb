/**
 * Definitions of the commands for the first ten minutes, and for support.
 */
import type { Command } from 'commander'
import type { Ended } from '../output/argument-parsers.ts'
import { addExamples } from './examples.ts'
import { chosenMount, type OnMount, onMount, withMountOption } from './mount-choice.ts'

export function defineDoctor(program: Command, ended: Ended): void {
  const doctor = program.command('doctor').copyInheritedSettings(program)
  doctor
    .description(
      'Look at this host, the cache disk and ORIGIN, and say what to do about each. Exits 1 for what is bad.',
    )
    .argument('[origin]', 'URL of the images; without it only the host and the disk')
    .option('--config <file>', 'the origins and the cache directory of this file')
    .option('--cache-dir <dir>', 'directory that has, or will have, the cache')
    .option('--json', 'for machines: an array of findings')
    .action(async (origin: string | undefined, options: { config?: string; cacheDir?: string; json?: boolean }) => {
      if (origin !== undefined && options.config !== undefined)
        doctor.error('error: the origin does not go with --config: write it in the file')
      const module = await import('../commands/doctor.ts')
      const { config = null, cacheDir = null, json = false } = options
      ended(await module.doctor({ origin: origin ?? null, config, cacheDir, json }))
    })
  addExamples(
    doctor,
    'parentfs doctor',
    'parentfs doctor https://host/parents/',
    'parentfs doctor --config parents.yaml',
  )
}

export function defineInit(program: Command, ended: Ended): void {
  const init = program.command('init').copyInheritedSettings(program)
  init
    .description('Ask five questions and write a configuration FILE (default: /etc/parentfs/parents.yaml).')
    .argument('[file]', 'for users ~/.config/parentfs/parents.yaml')
    .option('--force', 'replace a file that is there')
    .action(async (file: string | undefined, { force = false }: { force?: boolean }) => {
      const module = await import('../commands/init.ts')
      ended(await module.init(file ?? null, force))
    })
  addExamples(init, 'parentfs init', 'parentfs init ./parents.yaml')
}

export function defineBench(program: Command, ended: Ended): void {
  const bench = program.command('bench').copyInheritedSettings(program)
  withMountOption(bench, 'which mount (default: the one that the path is in, or the only one)')
    .description('Measure reads of IMAGE through its mount, beside the disk of the cache: under a minute, with fio.')
    .usage('[options] <image>')
    .argument('<image>', 'its name, or the path of its file; or MOUNTPOINT IMAGE')
    .argument('[rest]', 'the image, where the mountpoint stands first')
    .option('--json', 'for machines: an array')
    .action(async (first: string, second: string | undefined, options: OnMount & { json?: boolean }) => {
      if (second !== undefined && options.mountpoint !== undefined) bench.error('error: too many arguments')
      const [image, path] = second === undefined ? [first, options.mountpoint ?? null] : [second, first]
      const module = await import('../commands/bench.ts')
      ended(await module.bench(image, path, options.json ?? false))
    })
  addExamples(bench, 'parentfs bench debian.raw', 'parentfs bench /srv/parents debian.raw --json')
}

export function defineSupportBundle(program: Command, ended: Ended): void {
  const bundle = program.command('support-bundle').copyInheritedSettings(program)
  onMount(bundle)
    .description(
      'Write one archive for a report: status, metrics, end of the log, configuration without secrets, host.',
    )
    .option('--output <file>', 'the archive (default: parentfs-support-TIME.tar.gz here)')
    .action(async (mountpoint: string | undefined, options: OnMount & { output?: string }) => {
      const module = await import('../commands/support-bundle.ts')
      ended(await module.supportBundle(chosenMount(bundle, mountpoint, options), options.output ?? null))
    })
  addExamples(bundle, 'parentfs support-bundle', 'parentfs support-bundle /srv/parents --output report.tar.gz')
}
