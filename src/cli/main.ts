#!/usr/bin/env node
/**
 * The command `parentfs`: what it is called with, and how it fails. Each subcommand is loaded when it is called.
 *
 * A failure is one line on standard error, `parentfs: what, where, what to do`, and exit code 1; a call that cannot be
 * understood exits with 2.
 */
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { logLevels } from '../daemon/settings.ts'
import { readVersion } from '../daemon/version.ts'
import { messageOf } from '../errors.ts'
import { parseDuration, parseSize } from '../sizes.ts'
import type { MountArguments } from './mount.ts'
import { parseMountOptions } from './mount-options.ts'

const usageExitCode = 2

try {
  process.exitCode = await run(process.argv)
} catch (error) {
  process.exitCode = report(error)
}

/** @returns the exit code */
async function run(argv: readonly string[]): Promise<number> {
  let exitCode = 0
  const program = new Command('parentfs')
    .description('Presents VM parent images as files, read through a cache on a local SSD.')
    .version(readVersion())
    .exitOverride()
    .configureOutput({ writeErr: text => process.stderr.write(asOneLine(text)) })
    .showSuggestionAfterError()
  const ended = (code: number) => {
    exitCode = code
  }
  for (const define of [defineMount, defineCheckConfig, defineStatus, defineSet, defineVerify, defineUnmount])
    define(program, ended)
  await program.parseAsync(argv)
  return exitCode
}

/** Hears the exit code of a subcommand that ran. */
type Ended = (exitCode: number) => void

function defineMount(program: Command, ended: Ended): void {
  const mount = program.command('mount').copyInheritedSettings(program)
  mount
    .description(
      'Mount the images of ORIGIN (file:///dir, http://host/dir/, https://host/dir/) on MOUNTPOINT, and stay.',
    )
    .usage('[options] <origin> <mountpoint>\n       parentfs mount [--background] --config <file> [mountpoint]')
    .argument('[origin]', 'URL of the directory that has the images; not with --config')
    .argument('[mountpoint]', 'an existing directory; with --config the one of the file when absent')
    .option('--config <file>', 'take everything from a file, see "parentfs check-config"')
    .option(
      '--cache-dir <dir>',
      'where the cache lies (default: /var/cache/parentfs/<hash>, for users ~/.cache/parentfs/<hash>)',
    )
    .option(
      '--capacity <size>',
      'what the cache may take, like 10GiB; G, GB and GiB are the same (default: 10GiB)',
      value(parseSize),
    )
    .option(
      '--block-size <size>',
      'a power of two, 4KiB to 1MiB; fixed when the cache is made (default: 64KiB)',
      value(parseSize),
    )
    .option(
      '--revalidate <duration>',
      'how long names are taken as fresh, like 60s (default: 1m)',
      value(parseDuration),
    )
    .option('--transport <name>', 'how to speak with the kernel: kernel (default: kernel)')
    .option('-o <options>', 'uid=,gid=,mode=,allow_other,noallow_other, separated by commas', collect, [])
    .option('--background', 'return when the mount answers; logs go to --log-file alone')
    .addOption(new Option('--log-level <level>', 'what to log (default: info)').choices(logLevels).env('PARENTFS_LOG'))
    .option('--log-file <file>', 'append the log here instead of writing it to standard error')
    .action(async (origin: string | undefined, mountpoint: string | undefined, options: MountFlags) => {
      const places = placesOf(mount, origin, mountpoint, options)
      const module = await import('./mount.ts')
      ended(await module.mount({ ...options, places }))
    })
}

type MountFlags = Omit<MountArguments, 'places'>

/** ORIGIN MOUNTPOINT; or with a file, which says the rest, MOUNTPOINT or nothing. */
function placesOf(
  mount: Command,
  origin: string | undefined,
  mountpoint: string | undefined,
  { config }: MountFlags,
): string[] {
  const missing = (name: string) => mount.error(`error: missing required argument '${name}'`)
  if (config === undefined) {
    return [origin ?? missing('origin'), mountpoint ?? missing('mountpoint')]
  }
  const beside = mount.options.find(option => {
    const name = option.attributeName()
    return !['config', 'background'].includes(name) && mount.getOptionValueSource(name) === 'cli'
  })
  if (beside) mount.error(`error: ${beside.long ?? beside.short} does not go with --config: write it in ${config}`)
  if (mountpoint !== undefined) mount.error('error: the origin does not go with --config: write it in the file')
  return origin === undefined ? [] : [origin]
}

function defineCheckConfig(program: Command, ended: Ended): void {
  const check = program.command('check-config').copyInheritedSettings(program)
  check
    .description('Say what a configuration file puts into effect, or everything that is wrong with it (exit code 2).')
    .argument('<file>')
    .action(async (file: string) => {
      const module = await import('./check-config.ts')
      ended(await module.checkConfig(file))
    })
}

function defineStatus(program: Command, ended: Ended): void {
  const status = program.command('status').copyInheritedSettings(program)
  status
    .description('Say how the mount on MOUNTPOINT is doing, or all mounts.')
    .argument('[mountpoint]')
    .option('--json', 'for machines: one object, or an array for all mounts')
    .action(async (mountpoint: string | undefined, { json = false }: { json?: boolean }) => {
      const module = await import('./status.ts')
      ended(await module.status(mountpoint ?? null, json))
    })
}

function defineSet(program: Command, ended: Ended): void {
  const set = program.command('set').copyInheritedSettings(program).description('Change a setting of a running mount.')
  set
    .command('capacity')
    .copyInheritedSettings(program)
    .description('Set another capacity until the daemon ends; returns when the cache has shrunk to it.')
    .argument('<mountpoint>')
    .argument('<size>', 'like 10GiB', value(parseSize))
    .action(async (mountpoint: string, capacityBytes: number) => {
      const module = await import('./set-capacity.ts')
      ended(await module.setCapacity(mountpoint, capacityBytes))
    })
}

function defineUnmount(program: Command, ended: Ended): void {
  const unmount = program.command('unmount').copyInheritedSettings(program)
  unmount
    .description('Unmount MOUNTPOINT and wait until its daemon has gone.')
    .argument('<mountpoint>')
    .option('--force', 'also when somebody uses it: their reads fail')
    .action(async (mountpoint: string, { force = false }: { force?: boolean }) => {
      const module = await import('./unmount.ts')
      ended(await module.unmount(mountpoint, force))
    })
}

function defineVerify(program: Command, ended: Ended): void {
  const verify = program.command('verify').copyInheritedSettings(program)
  verify
    .description(
      'Compare what is held of IMAGE, or of all, with its checksums and digests. Exits 1 when anything was bad.',
    )
    .argument('<mountpoint>')
    .argument('[image]', 'its name, as "parentfs status" shows it')
    .action(async (mountpoint: string, image: string | undefined) => {
      const module = await import('./verify.ts')
      ended(await module.verify(mountpoint, image ?? null))
    })
}

/** A parser whose complaint commander reports together with the option's name. */
function value<T>(parse: (text: string) => T): (text: string) => T {
  return text => {
    try {
      return parse(text)
    } catch (error) {
      throw new InvalidArgumentError(messageOf(error))
    }
  }
}

/** Several `-o` add up; each is checked where it stands. */
function collect(text: string, before: readonly string[]): readonly string[] {
  value(option => parseMountOptions([option]))(text)
  return [...before, text]
}

/** @returns the exit code */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExitCode
  process.stderr.write(asOneLine(`error: ${messageOf(error)}`))
  if (process.env.PARENTFS_LOG === 'debug' && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  return 1
}

/** Help stays as it is; a complaint becomes one line under our name. */
function asOneLine(text: string): string {
  if (!text.startsWith('error: ')) return text
  return `parentfs: ${text
    .slice('error: '.length)
    .trim()
    .replace(/\s*\n\s*/g, ' ')}\n`
}
