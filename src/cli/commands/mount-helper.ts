/**
 * The arguments of `mount.parentfs`, as mount(8) gives them for lines of /etc/fstab: `SPEC DIR [-sfnv] [-o options] [-t
 * type]`.
 *
 * SPEC is the URL of the origin, an absolute directory, or with `-o config` a configuration file. Options that belong
 * to mount(8) and to systemd are left to them. Source: mount(8), EXTERNAL HELPERS; systemd.mount(5), FSTAB.
 */
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { CacheError, messageOf } from '../../base/errors.ts'
import { parseDuration, parseSize } from '../../base/sizes.ts'
import { logLevels, transports } from '../../daemon/config/settings.ts'
import type { MountArguments } from './mount.ts'
import { mountOptionsKnown, parseMountOptions } from './mount-options.ts'

/** One call, understood. */
export interface HelperCall {
  readonly mount: MountArguments
  /** `-f`: everything but the mount. */
  readonly fake: boolean
  /** `-v` */
  readonly verbose: boolean
}

/** Options with a value, and what they set; the same as the long options of `parentfs mount`. */
const settings: Readonly<Record<string, (value: string) => Partial<MountArguments>>> = {
  cache_dir: cacheDir => ({ cacheDir }),
  capacity: value => ({ capacity: parseSize(value) }),
  block_size: value => ({ blockSize: parseSize(value) }),
  revalidate: value => ({ revalidate: parseDuration(value) }),
  ceph_conf: cephConf => ({ cephConf }),
  id: id => ({ id }),
  keyring: keyring => ({ keyring }),
  transport: value => ({ transport: oneOf(value, transports) }),
  log_level: value => ({ logLevel: oneOf(value, logLevels) }),
  log_file: logFile => ({ logFile }),
}

/** All options that a line of fstab can set here. */
export const helperOptionNames: readonly string[] = [
  'config',
  ...Object.keys(settings),
  ...mountOptionsKnown.map(name => name.replace('=', '')),
]

/**
 * Not ours. `rw` among them: mount(8) says it whenever a line does not say `ro`.
 * Source: mount(8), FILESYSTEM-INDEPENDENT MOUNT OPTIONS.
 */
const left = new Set(
  `rw ro defaults auto noauto user users nouser owner group nofail _netdev suid nosuid dev nodev exec noexec async sync atime
  noatime diratime nodiratime relatime norelatime strictatime nostrictatime lazytime nolazytime default_permissions`.split(
    /\s+/,
  ),
)

/**
 * @param argv without the program
 * @throws CacheError invalid-argument
 */
export function parseHelperCall(argv: readonly string[]): HelperCall {
  const { values, positionals } = parse(argv)
  const [spec, directory, ...more] = positionals
  if (!spec || !directory || more.length > 0) {
    throw unusable('mount.parentfs SPEC DIR [-sfnv] [-o options] [-t type]: mount(8) calls it for lines of /etc/fstab')
  }
  if (values.namespace !== undefined) throw unusable('other mount namespaces (-N) are not entered: run mount in there')
  let chosen: Partial<MountArguments> = {}
  let config = false
  const shared: string[] = []
  for (const option of (values.options ?? []).flatMap(text => text.split(',')).filter(Boolean)) {
    const at = option.indexOf('=')
    const [name, value] = at < 0 ? [option, null] : [option.slice(0, at), option.slice(at + 1)]
    if (option === 'config') config = true
    else if (option === 'remount') throw unusable('remount changes nothing here: unmount, and mount again')
    else if (Object.hasOwn(settings, name) && value) chosen = { ...chosen, ...settingOf(option, name, value) }
    else if (helperOptionNames.includes(name) && !Object.hasOwn(settings, name)) shared.push(option)
    else if (!left.has(option) && !/^(x-|X-|comment=)/.test(option) && values.sloppy !== true) throw unknown(option)
  }
  if (config && (Object.keys(chosen).length > 0 || shared.length > 0)) {
    throw unusable(`beside "config" no other option sets anything: write it in ${spec}`)
  }
  parseMountOptions(shared)
  const places = config ? [directory] : [spec.startsWith('/') ? pathToFileURL(spec).href : spec, directory]
  // mount -a looks for SPEC in the mount table, to leave alone what is there.
  const mount = { ...chosen, places, o: shared, background: true, source: spec, ...(config ? { config: spec } : {}) }
  return { mount, fake: values.fake === true, verbose: values.verbose === true }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        sloppy: { type: 'boolean', short: 's' },
        fake: { type: 'boolean', short: 'f' },
        'no-mtab': { type: 'boolean', short: 'n' },
        verbose: { type: 'boolean', short: 'v' },
        options: { type: 'string', short: 'o', multiple: true },
        type: { type: 'string', short: 't' },
        namespace: { type: 'string', short: 'N' },
      },
    })
  } catch (cause) {
    throw unusable(messageOf(cause), cause)
  }
}

function settingOf(option: string, name: string, value: string): Partial<MountArguments> {
  try {
    return settings[name]!(value)
  } catch (cause) {
    throw unusable(`mount option "${option}": ${messageOf(cause)}`, cause)
  }
}

function oneOf(value: string, known: readonly string[]): string {
  if (!known.includes(value)) throw unusable(`"${value}" is unknown: there is ${known.join(', ')}`)
  return value
}

function unknown(option: string): CacheError {
  return unusable(`mount option "${option}" is not known: there are ${helperOptionNames.join(', ')}`)
}

function unusable(message: string, cause?: unknown): CacheError {
  return new CacheError('invalid-argument', message, { cause })
}
