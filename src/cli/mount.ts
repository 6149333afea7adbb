/**
 * `parentfs mount`: from arguments to settings; then this process becomes the keeper, or starts one in the background.
 */
import { resolve } from 'node:path'
import { keep } from '../daemon/keep.ts'
import { resolveMountpoint } from '../daemon/mountpoint.ts'
import type { Settings } from '../daemon/settings.ts'
import { keepInBackground } from './background.ts'
import { parseMountOptions } from './mount-options.ts'

/** As the command line gives them; sizes and durations are numbers already. */
export interface MountArguments {
  readonly origin: string
  readonly mountpoint: string
  readonly cacheDir?: string
  readonly capacity?: number
  readonly blockSize?: number
  readonly revalidate?: number
  readonly transport: string
  readonly o: readonly string[]
  readonly background?: boolean
  readonly logLevel: string
  readonly logFile?: string
}

/**
 * @returns the exit code: in the background when the mount answers, in the foreground when it has gone
 * @throws CacheError when it cannot be mounted; nothing is left then
 */
export async function mount(args: MountArguments): Promise<number> {
  const settings = await settingsOf(args)
  if (args.background) {
    await keepInBackground(settings)
    return 0
  }
  process.title = 'parentfs keeper'
  return keep(settings)
}

async function settingsOf(args: MountArguments): Promise<Settings> {
  const { attributes, allowOther } = parseMountOptions(args.o)
  // Every path becomes absolute here: neither keeper nor server has our working directory.
  return {
    origin: args.origin,
    mountpoint: await resolveMountpoint(args.mountpoint),
    cacheDirectory: args.cacheDir === undefined ? null : resolve(args.cacheDir),
    capacityBytes: args.capacity ?? null,
    blockBytes: args.blockSize ?? null,
    revalidateMs: args.revalidate ?? null,
    transport: args.transport,
    attributes,
    allowOther,
    log: {
      level: args.logLevel,
      pretty: args.logFile === undefined && args.background !== true && process.stderr.isTTY === true,
      file: args.logFile === undefined ? null : resolve(args.logFile),
    },
  }
}
