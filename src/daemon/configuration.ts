/**
 * The configuration: settings judged as a whole, with every default filled in.
 */
import { createHash } from 'node:crypto'
import { statfs } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { CacheError } from '../errors.ts'
import { blocksPerObject } from '../image.ts'
import {
  blockBytesDefault,
  blockBytesMax,
  blockBytesMin,
  capacityBytesDefault,
  capacityObjectsMin,
  revalidateSecondsDefault,
} from '../limits.ts'
import { logLevels, type Settings, transports } from './settings.ts'

export type Configuration = z.output<typeof schema>

/** What defaults depend on. */
export interface Surroundings {
  readonly uid: number
  readonly gid: number
  readonly home: string
}

const bytes = z.number().int().nonnegative()

/** What each field may be by itself. Messages go to the person who typed the value. */
const schema = z
  .strictObject({
    origin: z.url({ error: issue => `origin "${issue.input}" is not a URL: write it like https://host/images/` }),
    mountpoint: z.string().startsWith('/'),
    cacheDirectory: z.string().startsWith('/'),
    capacityBytes: bytes,
    blockBytes: bytes.refine(isBlockSize, {
      error: issue => `block size ${issue.input} is not a power of two from ${blockBytesMin} to ${blockBytesMax} bytes`,
    }),
    revalidateMs: z.number().nonnegative(),
    transport: z.enum(transports, {
      error: issue => `transport "${issue.input}" is unknown: there is ${transports.join(', ')}`,
    }),
    attributes: z.strictObject({ uid: bytes, gid: bytes, mode: bytes.max(0o777) }),
    allowOther: z.boolean(),
    log: z.strictObject({
      level: z.enum(logLevels, {
        error: issue => `log level "${issue.input}" is unknown: there are ${logLevels.join(', ')}`,
      }),
      pretty: z.boolean(),
      file: z.string().nullable(),
    }),
  })
  .refine(({ capacityBytes, blockBytes }) => capacityBytes >= capacityMin(blockBytes), {
    error: issue => tooSmall(issue.input as { capacityBytes: number; blockBytes: number }),
  })
  .readonly()

/**
 * Fill in the defaults and judge.
 * @throws CacheError invalid-argument: the first thing that is wrong
 */
export function configure(settings: Settings, { uid, gid, home }: Surroundings): Configuration {
  const root = uid === 0 ? '/var/cache/parentfs' : join(home, '.cache', 'parentfs')
  const result = schema.safeParse({
    ...settings,
    cacheDirectory: settings.cacheDirectory ?? join(root, originHash(settings.origin)),
    capacityBytes: settings.capacityBytes ?? capacityBytesDefault,
    blockBytes: settings.blockBytes ?? blockBytesDefault,
    revalidateMs: settings.revalidateMs ?? revalidateSecondsDefault * 1000,
    attributes: {
      uid: settings.attributes.uid ?? uid,
      gid: settings.attributes.gid ?? gid,
      mode: settings.attributes.mode ?? 0o444,
    },
    allowOther: settings.allowOther ?? uid === 0,
  })
  if (result.success) return result.data
  throw new CacheError('invalid-argument', result.error.issues[0]?.message ?? 'the settings are not usable')
}

/**
 * The capacity has to fit on the file system that holds, or will hold, the cache directory.
 * @throws CacheError invalid-argument
 */
export async function checkFileSystem({ cacheDirectory, capacityBytes }: Configuration): Promise<void> {
  for (let directory = cacheDirectory; ; directory = dirname(directory)) {
    try {
      const { blocks, bsize } = await statfs(directory)
      if (capacityBytes <= blocks * bsize) return
      const what = `capacity ${capacityBytes} is larger than the file system of ${directory}, which has ${blocks * bsize} bytes`
      throw new CacheError('invalid-argument', `${what}: give a smaller --capacity or another --cache-dir`)
    } catch (cause) {
      if (cause instanceof CacheError) throw cause
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT' || directory === '/') {
        const why = (cause as Error).message
        throw new CacheError('invalid-argument', `cache directory ${cacheDirectory} is not usable: ${why}`, { cause })
      }
    }
  }
}

/**
 * Judge another capacity for a daemon that runs.
 * @throws CacheError invalid-argument
 */
export async function checkCapacity(configuration: Configuration, capacityBytes: number): Promise<void> {
  const changed = { ...configuration, capacityBytes }
  if (!(capacityBytes >= capacityMin(configuration.blockBytes)))
    throw new CacheError('invalid-argument', tooSmall(changed))
  await checkFileSystem(changed)
}

function tooSmall({ capacityBytes, blockBytes }: { capacityBytes: number; blockBytes: number }): string {
  const needed = `give at least ${Math.ceil(capacityMin(blockBytes) / 1024 ** 2)}MiB, or smaller blocks`
  return `capacity ${capacityBytes} is too small for blocks of ${blockBytes} bytes: ${needed}`
}

/** The smallest capacity: {@link capacityObjectsMin} objects. */
export function capacityMin(blockBytes: number): number {
  return capacityObjectsMin * blocksPerObject * blockBytes
}

function isBlockSize(size: number): boolean {
  return size >= blockBytesMin && size <= blockBytesMax && Number.isInteger(Math.log2(size))
}

/** Sixteen hex digits that name an origin, whoever's credentials are in the URL. */
function originHash(origin: string): string {
  const url = URL.canParse(origin) ? new URL(origin) : null
  if (url) {
    url.username = ''
    url.password = ''
  }
  return createHash('sha256')
    .update(url?.href ?? origin)
    .digest('hex')
    .slice(0, 16)
}
