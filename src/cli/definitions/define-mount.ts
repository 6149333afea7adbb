/**
 * Definitions of the commands that make and end a mount.
 */
import { type Command, Option } from 'commander'
import { formatDuration, formatSize, parseDuration, parseSize } from '../../base/sizes.ts'
import { prefetchWindowBytesMax } from '../../cache/fetch/limits.ts'
import { blockBytesDefault, capacityBytesDefault, revalidateSecondsDefault } from '../../daemon/config/limits.ts'
import { logLevels } from '../../daemon/config/settings.ts'
import type { MountArguments } from '../commands/mount.ts'
import { mountOptionsKnown, parseMountOptions } from '../commands/mount-options.ts'
import { type Ended, parsePort, value } from '../output/argument-parsers.ts'
import { addExamples } from './examples.ts'
import { chosenMount, type OnMount, onMount } from './mount-choice.ts'

export function defineMount(program: Command, ended: Ended): void {
  const mount = program.command('mount').copyInheritedSettings(program)
  describeMount(mount)
    .option(
      '--librbd-socket [path]',
      "serve objects of parents to librbd on this socket (default: librbd's own path); see docs/LIBRBD.md",
    )
    .option('--config <file>', 'take everything from a file, see "parentfs check-config"')
    .option(
      '--cache-dir <dir>',
      'directory of the cache (default: /var/cache/parentfs/<hash>, for users ~/.cache/parentfs/<hash>)',
    )
    .option(
      '--capacity <size>',
      `ceiling of the cache directory, like 10GiB; G, GB and GiB are the same (default: ${formatSize(capacityBytesDefault)})`,
      value(parseSize),
    )
    .option(
      '--block-size <size>',
      `a power of two, 4KiB to 1MiB; fixed when the cache is made (default: ${formatSize(blockBytesDefault)})`,
      value(parseSize),
    )
    .option(
      '--read-ahead <size>',
      `read-ahead window of a sequential reader, at most; 0: no read-ahead of any kind (default: ${formatSize(prefetchWindowBytesMax)})`,
      value(parseSize),
    )
    .option(
      '--revalidate <duration>',
      `time for which names and versions count as fresh, like 60s (default: ${formatDuration(revalidateSecondsDefault * 1000)})`,
      value(parseDuration),
    )
    .option('--ceph-conf <file>', "Ceph's configuration file, for rbd and rados (default: where Ceph looks)")
    .option('--id <name>', 'client id for the Ceph cluster, without "client." (default: admin)')
    .option('--keyring <file>', 'keyring with the key of --id (default: where Ceph looks)')
    .option('--transport <name>', 'kernel, or fuse-native for libfuse 2 of that npm package (default: kernel)')
    .option(
      '--passthrough <opens>',
      'opens of complete images that the kernel reads for: auto, buffered, always, never',
    )
    .option('--no-passthrough', 'serve complete images through the daemon: --passthrough never')
    .option(
      '--metrics-port <port>',
      'answer GET /metrics on this port of 127.0.0.1, to every user of this machine',
      value(parsePort),
    )
    .addOption(
      new Option('-o <options>', `${mountOptionsKnown.join(',')}, separated by commas`)
        .argParser(collect)
        .default([], 'none'),
    )
    .option('--background', 'return when the mount answers; logs go to --log-file alone')
    .addOption(
      new Option('--log-level <level>', 'least severe level that is logged (default: info)')
        .choices(logLevels)
        .env('PARENTFS_LOG'),
    )
    .option('--log-file <file>', 'append the log here instead of writing it to standard error')
    .action(async (origin: string | undefined, mountpoint: string | undefined, options: MountFlags) => {
      const places = placesOf(mount, origin, mountpoint, options)
      const module = await import('../commands/mount.ts')
      ended(await module.mount({ ...options, places }))
    })
  addExamples(
    mount,
    'parentfs mount https://images.example.org/parents/ /srv/parents --capacity 200GiB',
    'parentfs mount s3://bucket/parents/ /srv/parents --background --log-file /var/log/parentfs.log',
    'parentfs mount --config /etc/parentfs/parents.yaml',
  )
}

/** Its purpose and its arguments. */
function describeMount(mount: Command): Command {
  return mount
    .description(
      'Mount the images of ORIGIN (file:///dir, http://host/dir/, https://host/dir/, rbd://pool/, rados://pool/prefix, swift://container/prefix/, glance://host/, s3://bucket/prefix/, nbd://host/, nbd+unix:///?socket=/path, oci://registry/repository:tag) on MOUNTPOINT, and stay.',
    )
    .usage('[options] <origin> <mountpoint>\n       parentfs mount [--background] --config <file> [mountpoint]')
    .argument('[origin]', 'URL of the directory that has the images; not with --config')
    .argument('[mountpoint]', 'an existing directory; with --config the one of the file when absent')
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

export function defineCheckConfig(program: Command, ended: Ended): void {
  const check = program.command('check-config').copyInheritedSettings(program)
  check
    .description('Say what a configuration file puts into effect, or everything that is wrong with it (exit code 2).')
    .argument('<file>')
    .action(async (file: string) => {
      const module = await import('../commands/check-config.ts')
      ended(await module.checkConfig(file))
    })
  addExamples(check, 'parentfs check-config /etc/parentfs/parents.yaml')
}

export function defineUnmount(program: Command, ended: Ended): void {
  const unmount = program.command('unmount').copyInheritedSettings(program)
  onMount(unmount, 'the mount to end: always named')
    .description('Unmount MOUNTPOINT and wait until its daemon has gone.')
    .option('--force', 'unmount a mount in use as well: its reads fail')
    .action(async (argument: string | undefined, options: OnMount & { force?: boolean }) => {
      const missing = () => unmount.error("error: missing required argument 'mountpoint'")
      const mountpoint = chosenMount(unmount, argument, options) ?? missing()
      const module = await import('../commands/unmount.ts')
      ended(await module.unmount(mountpoint, options.force ?? false))
    })
  addExamples(unmount, 'parentfs unmount /srv/parents', 'parentfs unmount /srv/parents --force')
}

/** Several `-o` add up; each is checked where it stands. */
function collect(text: string, before: readonly string[]): readonly string[] {
  value(option => parseMountOptions([option]))(text)
  return [...before, text]
}
