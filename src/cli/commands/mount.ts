/**
 * `parentfs mount`: turns arguments or a file into settings; then this process becomes the supervisor, or starts one in
 * the background.
 */
import { resolve } from 'node:path'
import { ConfigurationError } from '../../daemon/config/configuration-error.ts'
import { librbdSocketDefault } from '../../daemon/config/limits.ts'
import type { LogSettings, Settings } from '../../daemon/config/settings.ts'
import { creationAdvice, resolveMountpoint } from '../../daemon/mount/mountpoint.ts'
import { runSupervisor } from '../../daemon/supervisor/run-supervisor.ts'
import { superviseInBackground } from './background.ts'
import { parseMountOptions } from './mount-options.ts'

/** As the command line gives them; sizes and durations are numbers already. */
export interface MountArguments {
  /** ORIGIN MOUNTPOINT, or with `config` MOUNTPOINT or nothing. */
  readonly places: readonly string[]
  readonly config?: string
  readonly cacheDir?: string
  readonly capacity?: number
  readonly blockSize?: number
  readonly readAhead?: number
  readonly revalidate?: number
  readonly cephConf?: string
  readonly id?: string
  readonly keyring?: string
  readonly transport?: string
  /** False is never. */
  readonly passthrough?: string | false
  readonly metricsPort?: number
  /** True is the default path. */
  readonly librbdSocket?: string | true
  readonly o: readonly string[]
  readonly background?: boolean
  readonly logLevel?: string
  readonly logFile?: string
  /** For the mount table, in place of the origins. */
  readonly source?: string
}

/**
 * @returns the exit code: in the background when the mount answers, in the foreground when it has gone
 * @throws CacheError when it cannot be mounted; nothing is left then
 */
export async function mount(args: MountArguments): Promise<number> {
  const ask = () => (args.config === undefined ? settingsOf(args) : settingsOfFile(args.config, args))
  if (args.background) {
    await superviseInBackground(await ask())
    return 0
  }
  process.title = 'parentfs supervisor'
  return runSupervisor(ask)
}

/** Every path becomes absolute here: neither supervisor nor worker has our working directory. */
async function settingsOf(args: MountArguments): Promise<Settings> {
  const { attributes, allowOther, origin: options } = parseMountOptions(args.o)
  const [origin, mountpoint] = args.places as [string, string]
  const log = { level: args.logLevel, file: args.logFile === undefined ? undefined : resolve(args.logFile) }
  const document = {
    mountpoint: resolve(mountpoint),
    origin: {
      url: origin,
      revalidate: args.revalidate === undefined ? undefined : `${args.revalidate}ms`,
      ...cephSettingsOf(args),
      ...options,
    },
    cache: {
      directory: args.cacheDir === undefined ? undefined : resolve(args.cacheDir),
      capacity: args.capacity,
      blockSize: args.blockSize,
      readAhead: args.readAhead,
    },
    transport: args.transport,
    passthrough: args.passthrough,
    metrics: { port: args.metricsPort },
    librbd: librbdSettingsOf(args),
    attributes,
    allowOther,
    log,
  }
  return {
    configFile: null,
    cacheDirectory: document.cache.directory ?? null,
    mountpoint: await resolveMountpoint(mountpoint, creationAdvice),
    source: args.source ?? null,
    log: logSettingsOf({ level: log.level ?? 'info', file: log.file ?? null, format: 'auto' }, args),
    document,
  }
}

function librbdSettingsOf({ librbdSocket }: MountArguments): { readonly socket?: string } {
  if (librbdSocket === undefined) return {}
  return { socket: librbdSocket === true ? librbdSocketDefault : resolve(librbdSocket) }
}

/** Absent arguments are left out: other kinds of origins have no such setting. */
function cephSettingsOf({ cephConf, id, keyring }: MountArguments): Record<string, string> {
  return {
    ...(cephConf === undefined ? {} : { cephConf: resolve(cephConf) }),
    ...(id === undefined ? {} : { cephId: id }),
    ...(keyring === undefined ? {} : { cephKeyring: resolve(keyring) }),
  }
}

/** @throws ConfigurationError; CacheError invalid-argument */
async function settingsOfFile(config: string, args: MountArguments): Promise<Settings> {
  // Loaded when it is used: other mounts start faster.
  const { readConfigurationFile } = await import('../../daemon/config/configuration-file.ts')
  const file = resolve(config)
  const { document, settings } = await readConfigurationFile(file)
  const mountpoint = args.places[0] ?? settings.mountpoint
  if (mountpoint === null) {
    throw new ConfigurationError([`${file} has no mountpoint: write it there, or give it as an argument`])
  }
  return {
    configFile: file,
    cacheDirectory: settings.cache.directory,
    mountpoint: await resolveMountpoint(mountpoint, creationAdvice),
    source: args.source ?? null,
    log: logSettingsOf(settings.log, args),
    document,
  }
}

function logSettingsOf(
  { level, file, format }: { readonly level: string; readonly file: string | null; readonly format: string },
  { background }: MountArguments,
): LogSettings {
  const isWatched = file === null && background !== true && process.stderr.isTTY === true
  return { level, file, pretty: format === 'pretty' || (format === 'auto' && isWatched) }
}
