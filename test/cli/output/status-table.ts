/** Tables for people. */
import t from 'tap'
import type { Status } from '../../../src/admin/status.ts'
import { tableOfImages, tableOfTemperatures } from '../../../src/cli/commands/images.ts'
import { tableOfAll, tableOfOne } from '../../../src/cli/output/status-table.ts'

const status = {
  version: '1.2.3',
  mountpoint: '/srv/images',
  transport: 'kernel',
  state: 'ready',
  pid: 11,
  supervisorPid: 10,
  configFile: null,
  logFile: null,
  takeovers: { possible: true, count: 2, lastPauseMs: 300, longestPauseMs: 1200, refusedUpgrade: null },
  uptimeSeconds: 7200,
  cache: {
    directory: '/var/cache/x',
    blockBytes: 65536,
    capacityBytes: 10 * 1024 ** 3,
    usedBytes: 1536 * 1024 ** 2,
    objects: 3,
  },
  pinned: { heldBytes: 1024 ** 3, maxBytes: 6 * 1024 ** 3, allowedBytes: 5 * 1024 ** 3 },
  health: { state: 'bypass', reason: 'a read took over 750 ms', sinceSeconds: 5, busyTimes: 0 },
  reads: { hits: 3, misses: 1, hitBytes: 12288, missBytes: 4096 },
  origin: {
    url: 'https://host/images/',
    requests: 4,
    bytes: 65536,
    errors: 1,
    state: 'away',
    reason: 'refused',
    sinceSeconds: 7,
    waiting: 2,
  },
  origins: [
    { name: 'a', url: 'https://host/images/', mode: 'promote' },
    { name: null, url: 'https://other/', mode: 'proxy' },
  ],
  promotion: { queuedBytes: 0, promotedBytes: 65536, dropped: 0 },
  eviction: { objects: 0, bytes: 0 },
  written: { bytes: 65536, totalBytes: 3 * 1024 ** 3, leftBytes: 1024 ** 2 },
  retirement: { superseded: 0, retired: 0, forced: 0 },
  scrub: { rounds: 0, roundStartedSeconds: 5, verifiedBytes: 65536, corruptBlocks: 0 },
  images: [
    {
      ...{ name: 'debian.qcow2', sizeBytes: 2 * 1024 ** 3, residentBytes: 1024 ** 3, complete: false },
      ...{ mode: 'none', validator: '"abc"' },
    },
    {
      ...{ name: 'empty.raw', sizeBytes: 0, residentBytes: 0, complete: true },
      ...{ mode: 'proxy', validator: '"def"', pinned: true },
    },
  ],
} as unknown as Status

t.test('one mount: sizes in binary units, shares in per cent, no boxes', async t => {
  const text = tableOfOne(status)
  t.match(text, /^state +ready for 2h, kernel transport, parentfs 1\.2\.3$/m)
  t.match(text, /^origin +https:\/\/host\/images\/, away for 7s: refused; 2 reads wait$/m)
  t.match(text, /^cache +1\.5 GiB of 10 GiB in 3 objects, \/var\/cache\/x$/m)
  t.match(text, /^pinned +1 GiB held of 6 GiB, at most 5 GiB can be; the oldest pins are kept/m)
  t.match(text, /^cache disk +bypass for 5s: a read took over 750 ms$/m)
  t.match(text, /^mode +a promote, https:\/\/other\/ proxy; 1 images have another$/m)
  t.match(text, /^hits +3 reads \(75\.0 %\), 12 KiB$/m)
  t.match(text, /^written +64 KiB, 3 GiB since the cache was made; 1 MiB of the write budget are left$/m)
  t.notMatch(tableOfOne({ ...status, written: undefined } as unknown as Status), /^written/m)
  t.match(text, /^debian\.qcow2 +2 GiB +1 GiB \(50\.0 %\) +"abc"$/m)
  t.match(text, /^empty\.raw +0 B +complete +"def"$/m)
  t.notMatch(text, /[│─]| $/m)
})

t.test('all mounts: a line each, also for what does not answer', async t => {
  const text = tableOfAll([status, { mountpoint: '/srv/dead', state: 'unanswered' }])
  const lines = text.split('\n')
  t.equal(lines.length, 3)
  t.match(lines[1], /^\/srv\/images +ready +1\.5 GiB +10 GiB +75\.0 % +https:\/\/host\/images\/$/)
  t.match(lines[2], /^\/srv\/dead +unanswered +-/)
  t.equal(tableOfAll([]), 'nothing is mounted')
})

t.test('images: a line each, with what is pinned, open, and not served', async t => {
  const digests = ['mismatch', 'verified'] as const
  const text = tableOfImages(status.images.map((image, k) => ({ ...image, digest: digests[k]! })))
  t.match(text, /^debian\.qcow2 +2 GiB +1 GiB \(50\.0 %\) +none +- +- +quarantined +"abc"$/m)
  t.match(text, /^empty\.raw +0 B +complete +proxy +yes +- +served, verified +"def"$/m)
  t.match(tableOfImages([]), /list the mount/)
  const [first] = status.images
  t.match(tableOfImages([{ ...first!, digest: 'unverified', passBytes: 2 ** 30 }]), /a pass is at 50\.0 %/)
})

t.test('temperatures: the hit sets of each origin, and a column for each number of periods', async t => {
  const sets = { sets: 2, count: 4, periodSeconds: 3600, memoryBytes: 2048, overflow: 0 }
  const images = [{ name: 'a.raw', sizeBytes: 3 * 2 ** 20, bytesByPeriods: [2 ** 20, 2 ** 20, 2 ** 20] }]
  const text = tableOfTemperatures({ origins: [{ name: null, type: 'bloom', ...sets }], images })
  t.match(text, /^hit sets: bloom, 2 of 4 periods of 1h, 2 KiB$/m)
  t.match(text, /^IMAGE +SIZE +IN 0 +IN 1 +IN 2$/m)
  t.match(text, /^a\.raw +3 MiB +1 MiB +1 MiB +1 MiB$/m)
  const [none, full] = [{ type: 'none' as const }, { type: 'explicit' as const, overflow: 7 }]
  const names = {
    origins: [
      { name: 'x', ...sets, ...none },
      { name: 'y', ...sets, ...full },
    ],
    images: [],
  }
  t.match(tableOfTemperatures(names), /^x: no hit sets\ny: explicit, .*; 7 uses found no room$/)
})
