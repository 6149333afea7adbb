/**
 * `node build/bench/profiles.js [--rounds 5] [--trace TRACE]`: the first boot of an image on a host, 10 ms and 100 MiB/s away, without
 * a boot profile, with one that lies beside the image, and with one of another version. Each boot replays a recorded one on an empty cache, one read after the other
 * past the page cache, and compares every byte. Needs root.
 */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Status } from '../src/admin/status.ts'
import { BootProfile } from '../src/cache/prefetch/boot-profile.ts'
import { formatProfileFile, profileFileOf } from '../src/cache/prefetch/profile-file.ts'
import { profileSuffix } from '../src/origin/contract/image-name.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { startParentfs } from './contenders/parentfs.ts'
import { parentfs } from './demo/command.ts'
import { play } from './replay/player.ts'
import { readReplay, type TracedRead, writeTouched } from './replay/trace.ts'
import { describeMachine } from './report/machine.ts'

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    trace: { type: 'string', default: 'bench/traces/debian-12-ext4.txt.gz' },
  },
})
const MiB = 2 ** 20
const blockBytes = 64 * 1024
const kinds = { 'bare.raw': 'no profile', 'boot.raw': 'published profile', 'other.raw': 'profile of another version' }
/** A read that took longer has waited for the origin. */
const stallMs = 2
const home = await mkdtemp(join(tmpdir(), 'parentfs-profiles-'))
try {
  const { processors, processor, kernel, load } = await describeMachine('')
  console.log(`${processors} x ${processor}, Linux ${kernel}, load ${load.toFixed(1)}`)
  const files = join(home, 'files')
  await mkdir(files)
  const reads = await readReplay(values.trace)
  for (const name of Object.keys(kinds)) await writeTouched(join(files, name), reads)
  await writeFile(join(files, `boot.raw${profileSuffix}`), profileOf(reads, null))
  await writeFile(join(files, `other.raw${profileSuffix}`), profileOf(reads, 'other'))
  const origin = await spawnHttpOrigin({ directory: files, delayMs: 10, bytesPerSecond: 100 * MiB })
  try {
    for (let round = 1; round <= Number(values.rounds); round++) {
      for (const [name, kind] of Object.entries(kinds)) await boot(origin, { name, kind, reads, files })
    }
  } finally {
    await origin.close()
  }
} finally {
  await rm(home, { recursive: true, force: true })
}

/** As `parentfs profile record` writes it of these reads. */
function profileOf(reads: readonly TracedRead[], validator: string | null): string {
  const { record } = BootProfile.ofRanges(
    blockBytes,
    reads.map(({ offset, length }) => [offset, length]),
  )
  const sizeBytes = Math.ceil(Math.max(...reads.map(({ offset, length }) => offset + length)) / MiB) * MiB
  return formatProfileFile({ ...profileFileOf({ origin: '', sizeBytes, validator: '' }, record), validator })
}

interface Boot {
  readonly name: string
  readonly kind: string
  readonly reads: readonly TracedRead[]
  /** The directory of the images. */
  readonly files: string
}

async function boot(origin: HttpOriginServer, { name: imageName, kind, reads, files }: Boot): Promise<void> {
  const directory = join(home, 'mounted')
  const imagePath = join(files, imageName)
  await mkdir(directory)
  const running = await startParentfs({ directory, originUrl: origin.url, imageName, imagePath }, [])
  try {
    const { seconds, latenciesMs, wrong } = await play(reads, {
      path: running.path,
      imagePath,
      realTime: false,
      direct: true,
    })
    const status = JSON.parse(await parentfs('status', join(directory, 'mnt'), '--json')) as Status
    const stalled = latenciesMs.filter(ms => ms > stallMs).length
    const { misses } = status.reads
    const fetched = (status.origin.bytes / 1e6).toFixed(0)
    console.log(
      `${kind}: ${seconds.toFixed(2)} s, ${misses} misses, ${stalled} over ${stallMs} ms, ${fetched} MB; ${wrong} wrong`,
    )
  } finally {
    await running.stop()
    await rm(directory, { recursive: true })
  }
}
