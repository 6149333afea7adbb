/**
 * Every setting of a mount: what the file may say and, in its place, the command line. docs/OPERATIONS.md lists them.
 */
import { z } from 'zod'
import { blocksPerObject } from '../../base/image.ts'
import { evictionPolicies, evictionPolicyDefault } from '../../cache/evict/eviction-policy.ts'
import { prefetchWindowBytesMax, promotionBytesMax, readAroundDefault } from '../../cache/fetch/limits.ts'
import { scrubBytesPerSecond, scrubIntervalMs } from '../../cache/integrity/limits.ts'
import { fetchBytesMax } from '../../cache/limits.ts'
import { cacheModeDefault, cacheModes } from '../../cache/modes/cache-mode.ts'
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
import { fleetSchema } from './fleet-settings.ts'
import { librbdSettings } from './librbd-settings.ts'
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
import { logLevels, passthroughModes, readAroundWords, transports } from './settings.ts'
import { tracingSchema } from './tracing-settings.ts'
import { webSchema } from './web-settings.ts'

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
      what: 'directory of the cache: data files and index',
      unset: '/var/cache/parentfs/HASH, for users ~/.cache/parentfs/HASH',
    }),
    capacity: sizeField({ min: 0, max: 1024 * TiB }, capacityBytesDefault, {
      live: true,
      what: `ceiling for everything in the cache directory; at least ${capacityObjectsMin} objects of ${blocksPerObject} blocks`,
    }),
    blockSize: setting(blockSize.default(blockBytesDefault), {
      kind: 'size',
      range: 'a power of two, 4KiB to 1MiB',
      live: false,
      what: 'unit of fetching, residency and checksums; fixed when the cache is made',
    }),
    highWatermark: shareField({ min: 0.05, max: 1 }, highWatermarkDefault, {
      live: true,
      what: 'share of the usable capacity above which eviction starts',
    }),
    lowWatermark: shareField({ min: 0.01, max: 1 }, lowWatermarkDefault, {
      live: true,
      what: 'share of the usable capacity below which eviction stops',
    }),
    keepFree: shareField({ min: 0, max: 0.9 }, freeShareMin, {
      live: true,
      what: 'share of the cache file system that stays free, whatever the capacity is',
    }),
    eviction: choiceField('eviction policy', evictionPolicies, evictionPolicyDefault, {
      live: true,
      what: 'eviction policy; adaptive: recency or S3-FIFO, whichever hit more lately; lru: exact least-recently-used; temperature: first what is in no hit set, then by recency (docs/BENCHMARKS.md)',
    }),
    maxObjects: countField({ min: 0, max: 2 ** 32 }, 0, {
      live: true,
      what: 'objects of 64 blocks in the cache, at most; eviction starts at 95 % of it; 0: no limit but capacity',
    }),
    minEvictAge: durationField({ min: 0, max: 365 * 86_400_000 }, 0, {
      live: true,
      what: 'time of running since its last use for which an object is not evicted; where nothing else could go, nothing is promoted',
    }),
    writeBudget: sizeField({ min: 0, max: 1024 * TiB }, 0, {
      live: true,
      what: 'bytes a day that are written to the cache disk for promotions; over it a miss is answered and not promoted; 0: no limit',
    }),
    writeBurst: sizeField({ min: 0, max: 1024 * TiB }, 0, {
      live: true,
      what: 'bytes of writeBudget that may be written at once after a quiet time; 0: an eighth of writeBudget',
    }),
    mode: choiceField('mode', cacheModes, cacheModeDefault, {
      live: true,
      what: 'mode of images of which neither they nor their origin have another. promote: misses are kept; proxy: hits are served, misses not kept; forward: misses go back to where the reader can read by itself, else as proxy; none: the cache is not asked (docs/TIERING.md)',
    }),
    scrubRate: rateField({ min: 64 * KiB, max: TiB }, scrubBytesPerSecond, {
      live: true,
      what: 'scrub rate: bytes of the cache that are compared with their checksums a second, at most',
    }),
    scrubInterval: durationField({ min: scrubIntervalMsMin, max: 365 * 86_400_000 }, scrubIntervalMs, {
      live: true,
      what: 'time of one scrub round over the whole cache; blocks not verified since the start come first, at scrubRate',
    }),
    promotionQueue: sizeField({ min: MiB, max: 64 * GiB }, promotionBytesMax, {
      live: true,
      what: 'queue of bytes that wait for their promotion; when it is full, a miss is answered and not promoted',
    }),
    fetchBudget: sizeField({ min: MiB, max: 64 * GiB }, fetchBytesMax, {
      live: true,
      what: 'bytes in flight from all origins for waiting readers, at most',
    }),
    readAhead: sizeField({ min: 0, max: GiB }, prefetchWindowBytesMax, {
      live: true,
      what: 'read-ahead window of a sequential reader, at most; 0: no read-ahead of any kind',
    }),
    readAround: choiceField('readAround', readAroundWords, readAroundDefault, {
      live: true,
      what: 'bytes fetched ahead of a wait, as many as the link carries in its time; of those around clustered misses at most 40 % (frugal), 70 % (balanced) or 85 % (fast) go unread, and ahead of a short run there are at most 0.5, 2 or 4 times its bytes',
    }),
    readTimeout: durationField({ min: 2 * storeReadLookMs, max: 30_000 }, storeReadMsMax, {
      live: false,
      what: 'time-out of a read of the cache disk; after it the origin is asked',
    }),
    writeTimeout: durationField({ min: 1_000, max: 300_000 }, storeWriteMsMax, {
      live: false,
      what: 'time-out of a write or sync; after it the cache disk counts as stalled',
    }),
    syncInterval: durationField({ min: 10, max: 60_000 }, batchMsMax, {
      live: false,
      what: 'time until promoted bytes are synced and recorded; a crash loses at most the promotions of this time',
    }),
    syncBytes: sizeField({ min: MiB, max: GiB }, batchBytesMax, {
      live: false,
      what: 'promoted bytes that trigger a sync before syncInterval is over',
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
  uid: id('owner of every file and directory'),
  gid: id('group of every file and directory'),
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
      what: 'permission bits of every file',
    },
  ),
})

const log = z.strictObject({
  level: choiceField('log level', logLevels, 'info', { live: true, what: 'least severe level that is logged' }),
  format: choiceField('log format', ['auto', 'json', 'pretty'], 'auto', {
    live: false,
    what: 'json: a JSON object a line; pretty: text for people; auto: pretty on a terminal, else json',
  }),
  file: pathField({ live: false, what: 'file to which the log is appended', unset: 'standard error' }),
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
      what: 'port of 127.0.0.1 that answers GET /metrics to every user of this machine; the address is fixed',
      unset: 'none',
    },
  ),
})

const worker = z.strictObject({
  crashLimit: countField({ min: 1, max: 1_000_000 }, workerCrashLimitDefault, {
    live: false,
    what: 'crash limit: after this many consecutive worker crashes the next worker runs without the cache; after as many again, an unused mount is unmounted',
  }),
  stableAfter: durationField({ min: 1, max: 24 * 3_600_000 }, workerStableMsDefault, {
    live: false,
    what: 'time of service after which a worker counts as stable and earlier crashes are forgotten',
  }),
  sessionThreads: countField({ min: 1, max: 64 }, sessionThreads, {
    live: false,
    what: 'threads that read /dev/fuse and answer hits; on 2 cores, 4 threads answered more reads a second than 2 or 16',
  }),
  storeThreads: countField({ min: 1, max: 256 }, storeThreads, {
    live: false,
    what: 'threads that read and write the cache disk; about as many as the disk takes requests at once',
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
  mountpoint: pathField({
    live: false,
    what: 'existing directory on which the images appear',
    unset: 'the argument of parentfs mount',
  }),
  origin: originSchema.optional(),
  origins: setting(z.record(originName, originSchema).optional(), {
    kind: 'text',
    range: `a mapping of at most ${originsMax} names, each to the settings of an \`origin\``,
    live: true,
    what: 'several origins in place of `origin`, each shown in a directory of its name; a reload adds and removes origins',
    unset: 'none',
  }),
  cache: cache.prefault({}),
  transport: choiceField('transport', transports, 'kernel', {
    live: false,
    what: 'kernel: the FUSE protocol on /dev/fuse; fuse-native: libfuse 2 of the npm package of that name',
  }),
  passthrough: setting(
    z
      .union([z.enum(passthroughModes), z.boolean().transform(wanted => (wanted ? 'auto' : 'never'))], {
        error: ({ input }) => `passthrough ${shown(input)} is unknown: there is ${passthroughModes.join(', ')}`,
      })
      .default('auto'),
    {
      kind: 'text',
      range: passthroughModes.join(', '),
      live: false,
      what: 'opens of complete images for which the kernel reads the data file itself, where it supports that. auto: those that it makes faster, at present as buffered; buffered: those without O_DIRECT; always: all, and O_DIRECT needs the alignment of the cache disk; true and false mean auto and never',
    },
  ),
  fleet: fleetSchema.prefault({}),
  attributes: attributes.prefault({}),
  allowOther: booleanField({
    live: false,
    what: 'users other than the mounting one may use the mount',
    unset: 'true for root',
  }),
  log: log.prefault({}),
  metrics: metrics.prefault({}),
  tracing: tracingSchema.prefault({}),
  web: webSchema.prefault({}),
  librbd: librbdSettings.prefault({}),
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
