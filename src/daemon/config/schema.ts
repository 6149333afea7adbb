/**
 * Every setting of a mount: what the file may say and, in its place, the command line. docs/OPERATIONS.md lists them.
 */
import { z } from 'zod'
import { blocksPerObject } from '../../base/image.ts'
import { evictionPolicies, evictionPolicyDefault } from '../../cache/evict/eviction-policy.ts'
import { prefetchWindowBytesMax, promotionBytesMax } from '../../cache/fetch/limits.ts'
import { scrubBytesPerSecond, scrubIntervalMs } from '../../cache/integrity/limits.ts'
import { fetchBytesMax } from '../../cache/limits.ts'
import { directoryNodeId } from '../../fuse/filesystem/backend.ts'
import { identityOf } from '../../origin/open-origin.ts'
import {
  batchBytesMax,
  batchMsMax,
  freeShareMin,
  highWatermarkDefault,
  lowWatermarkDefault,
  storeReadLookMs,
  storeReadMsMax,
  storeWriteMsMax,
} from '../../store/disk/limits.ts'
import {
  blockBytesDefault,
  blockBytesMax,
  blockBytesMin,
  capacityBytesDefault,
  capacityObjectsMin,
  originsMax,
  scrubIntervalMsMin,
  sessionThreads,
  storeThreads,
  workerCrashLimitDefault,
  workerStableMsDefault,
} from './limits.ts'
import { originSchema } from './origin-settings.ts'
import {
  booleanField,
  choiceField,
  countField,
  durationField,
  formatValue,
  measured,
  pathField,
  rateField,
  setting,
  shareField,
  shown,
  sizeField,
} from './setting-fields.ts'
import { logLevels, transports } from './settings.ts'

/** Settings with every default filled in, called as the file calls them; see setting-fields.ts for units. */
export type JudgedSettings = z.output<typeof schema>

const [KiB, MiB, GiB, TiB] = [1024, 1024 ** 2, 1024 ** 3, 1024 ** 4] as const

const blockSize = measured('size', bytes =>
  isBlockSize(bytes)
    ? null
    : `block size ${bytes} is not a power of two from ${blockBytesMin} to ${blockBytesMax} bytes`,
)

const cache = z
  .strictObject({
    directory: pathField({
      live: false,
      what: 'where the cache lies',
      unset: '/var/cache/parentfs/HASH, for users ~/.cache/parentfs/HASH',
    }),
    capacity: sizeField({ min: 0, max: 1024 * TiB }, capacityBytesDefault, {
      live: true,
      what: `a ceiling for everything in the cache directory; at least ${capacityObjectsMin} objects of ${blocksPerObject} blocks`,
    }),
    blockSize: setting(blockSize.default(blockBytesDefault), {
      kind: 'size',
      range: 'a power of two, 4KiB to 1MiB',
      live: false,
      what: 'the unit of what is fetched and kept; fixed when the cache is made',
    }),
    highWatermark: shareField({ min: 0.05, max: 1 }, highWatermarkDefault, {
      live: true,
      what: 'eviction starts over this share of what may be used',
    }),
    lowWatermark: shareField({ min: 0.01, max: 1 }, lowWatermarkDefault, {
      live: true,
      what: 'and stops under this one',
    }),
    keepFree: shareField({ min: 0, max: 0.9 }, freeShareMin, {
      live: true,
      what: 'the share of the file system that stays free whatever the capacity says',
    }),
    eviction: choiceField('eviction policy', evictionPolicies, evictionPolicyDefault, {
      live: false,
      what: 'what goes first: by recency or by S3-FIFO, whichever served better lately, or exactly the least recently used (docs/BENCHMARKS.md)',
    }),
    scrubRate: rateField({ min: 64 * KiB, max: TiB }, scrubBytesPerSecond, {
      live: true,
      what: 'how fast what is held is compared with its checksums, at most',
    }),
    scrubInterval: durationField({ min: scrubIntervalMsMin, max: 365 * 86_400_000 }, scrubIntervalMs, {
      live: true,
      what: 'how often all of it is: spread evenly over that time, but for what a start finds, which comes first',
    }),
    promotionQueue: sizeField({ min: MiB, max: 64 * GiB }, promotionBytesMax, {
      live: true,
      what: 'bytes that wait to be put into the cache; over it, a miss is answered and not kept',
    }),
    fetchBudget: sizeField({ min: MiB, max: 64 * GiB }, fetchBytesMax, {
      live: true,
      what: 'bytes being fetched at once from all origins, for readers who wait',
    }),
    readAhead: sizeField({ min: 0, max: GiB }, prefetchWindowBytesMax, {
      live: true,
      what: 'how far ahead of a sequential reader is fetched, at most; 0 for no reading ahead of any kind',
    }),
    readTimeout: durationField({ min: 2 * storeReadLookMs, max: 30_000 }, storeReadMsMax, {
      live: false,
      what: 'how long a read waits for the cache disk; then the origin is asked in its place',
    }),
    writeTimeout: durationField({ min: 1_000, max: 300_000 }, storeWriteMsMax, {
      live: false,
      what: 'how long a write or a sync may take before the cache disk counts as stalled',
    }),
    syncInterval: durationField({ min: 10, max: 60_000 }, batchMsMax, {
      live: false,
      what: 'how long what was put into the cache waits to be synced and recorded: a crash loses no more of it',
    }),
    syncBytes: sizeField({ min: MiB, max: GiB }, batchBytesMax, {
      live: false,
      what: 'and how much of it; whichever comes first',
    }),
  })
  .refine(({ lowWatermark, highWatermark }) => lowWatermark <= highWatermark, {
    path: ['lowWatermark'],
    error: ({ input }) => {
      const { lowWatermark, highWatermark } = input as { lowWatermark: number; highWatermark: number }
      return `${formatValue('share', lowWatermark)} is over highWatermark, ${formatValue('share', highWatermark)}: give less`
    },
  })
  .refine(({ capacity, blockSize: blockBytes }) => capacity >= capacityMin(blockBytes), {
    path: ['capacity'],
    error: ({ input }) => {
      const { capacity, blockSize: blockBytes } = input as { capacity: number; blockSize: number }
      return tooSmall(capacity, blockBytes)
    },
  })

const id = (what: string) =>
  setting(
    z
      .int({ error: ({ input }) => `${shown(input)} is not a numeric id` })
      .min(0)
      .max(0xffff_fffe)
      .nullable()
      .default(null),
    { kind: 'count', range: 'a numeric id', live: false, what, unset: 'who mounts' },
  )

const attributes = z.strictObject({
  uid: id('the owner of every file'),
  gid: id('its group'),
  mode: setting(
    z
      .string({ error: ({ input }) => `${shown(input)} is not a mode: write it in quotes, like "0440"` })
      .regex(/^0?[0145]{3}$/, {
        error: ({ input }) => `${shown(input)} is not a mode: three octal digits without write bits, like "0440"`,
      })
      .default('0444'),
    {
      kind: 'text',
      range: 'three octal digits in quotes, no write bits',
      live: false,
      what: 'permission bits of files',
    },
  ),
})

const log = z.strictObject({
  level: choiceField('log level', logLevels, 'info', { live: true, what: 'what is logged' }),
  format: choiceField('log format', ['auto', 'json', 'pretty'], 'auto', {
    live: false,
    what: 'JSON lines, or lines for people; auto: for people on a terminal',
  }),
  file: pathField({ live: false, what: 'append the log here', unset: 'standard error' }),
})

const metrics = z.strictObject({
  port: setting(
    z
      .int({ error: ({ input }) => notAPort(input) })
      .min(1, { error: ({ input }) => notAPort(input) })
      .max(65_535, { error: ({ input }) => notAPort(input) })
      .nullable()
      .default(null),
    {
      kind: 'count',
      range: '1 to 65535',
      live: false,
      what: 'GET /metrics on this port of 127.0.0.1, for every user of this machine; no other address can be given',
      unset: 'none',
    },
  ),
})

const worker = z.strictObject({
  crashLimit: countField({ min: 1, max: 1_000_000 }, workerCrashLimitDefault, {
    live: false,
    what: 'after this many worker crashes in a row, the next worker runs without the cache; after as many again, a mount that nobody has open goes',
  }),
  stableAfter: durationField({ min: 1, max: 24 * 3_600_000 }, workerStableMsDefault, {
    live: false,
    what: 'a worker that has served this long is stable: crashes before it do not count any more',
  }),
  sessionThreads: countField({ min: 1, max: 64 }, sessionThreads, {
    live: false,
    what: 'threads that read /dev/fuse and answer hits; on 2 cores 4 answered more reads a second than 2 or 16',
  }),
  storeThreads: countField({ min: 1, max: 256 }, storeThreads, {
    live: false,
    what: 'threads that wait for the cache disk: about as many as it takes requests at once',
  }),
})

function notAPort(input: unknown): string {
  return `${shown(input)} is not a port: give 1 to 65535; its address is always 127.0.0.1`
}

const originName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, {
  error: ({ input }) =>
    `${shown(input)} is not a name for a directory: letters, digits, dots, dashes and underscores, at most 64`,
})

const fields = z.strictObject({
  mountpoint: pathField({ live: false, what: 'an existing directory', unset: 'the argument of parentfs mount' }),
  origin: originSchema.optional(),
  origins: setting(z.record(originName, originSchema).optional(), {
    kind: 'text',
    range: `a mapping of at most ${originsMax} names, each with what stands under \`origin\``,
    live: true,
    what: 'in place of `origin`: several, each in a directory of its name; they can be added live, not removed',
    unset: 'none',
  }),
  cache: cache.prefault({}),
  transport: choiceField('transport', transports, 'kernel', { live: false, what: 'how to speak with the kernel' }),
  passthrough: setting(z.boolean({ error: ({ input }) => `${shown(input)} is not true or false` }).default(true), {
    kind: 'yes-no',
    range: 'true, false',
    live: false,
    what: 'the kernel reads complete images by itself, where it can: at the speed of the cache disk, and nothing stands between that disk and a guest',
  }),
  attributes: attributes.prefault({}),
  allowOther: booleanField({ live: false, what: 'other users may use the mount', unset: 'true for root' }),
  log: log.prefault({}),
  metrics: metrics.prefault({}),
  worker: worker.prefault({}),
})

export const schema = fields.superRefine(({ origin, origins, cache: { directory } }, ctx) => {
  const complain = (at: string[], message: string, lacking = false) =>
    ctx.addIssue({ code: 'custom', path: at, message, params: { lacking } })
  if (!origin && !origins) return complain([], 'there is no origin: write "origin:" with a url, or "origins:"', true)
  if (!origins) return
  const names = Object.keys(origins)
  if (origin) complain(['origins'], 'origin and origins do not go together: give one of them', true)
  if (names.length === 0) complain(['origins'], 'there is none: give at least one', true)
  if (names.length > originsMax)
    complain(['origins'], `there are ${names.length}: at most ${originsMax} go together`, true)
  if (directory === null)
    complain(['origins'], 'several origins share one cache: say where it lies with cache.directory', true)
  for (const name of names) {
    const earlier = names.slice(0, names.indexOf(name))
    const identity = identityOf(origins[name]!.url)
    const same = earlier.find(other => identityOf(origins[other]!.url) === identity)
    if (same !== undefined) complain(['origins', name, 'url'], `${identity} is the origin ${same} already`)
    const twin = earlier.find(other => directoryNodeId(other) === directoryNodeId(name))
    if (twin !== undefined)
      complain(['origins', name], `"${name}" cannot stand beside "${twin}": give it another name`, true)
  }
})

/** The smallest capacity: {@link capacityObjectsMin} objects. */
export function capacityMin(blockBytes: number): number {
  return capacityObjectsMin * blocksPerObject * blockBytes
}

/** The complaint about a capacity that is too small. */
export function tooSmall(capacityBytes: number, blockBytes: number): string {
  const needed = `give at least ${Math.ceil(capacityMin(blockBytes) / MiB)}MiB, or smaller blocks`
  const [capacity, block] = [formatValue('size', capacityBytes), formatValue('size', blockBytes)]
  return `capacity ${capacity} is too small for blocks of ${block}: ${needed}`
}

function isBlockSize(bytes: number): boolean {
  return bytes >= blockBytesMin && bytes <= blockBytesMax && Number.isInteger(Math.log2(bytes))
}
