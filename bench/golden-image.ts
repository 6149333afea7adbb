/**
 * Upgrade of a golden image: bytes that a host fetches of the new version, as a ratio of the blocks that changed.
 *
 *   bench/golden-image/build.sh DIRECTORY; node build/bench/golden-image.js --pair DIRECTORY [--parts full,boot,zsync,casync]
 *
 * DIRECTORY has before.raw and after.raw: a Debian root, and the same after `apt-get upgrade`. Both are sealed with one
 * salt. A mount holds the first one whole when the second one takes its name. Read are all of it, and what a boot reads:
 * the files of a Debian start, through the file system in the image. Beside it zsync and casync for the same pair; the
 * chunks of casync are packed. Needs root, nginx, and zsync and casync where they are to be compared.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { cp, mkdir, mkdtemp, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import type { Status } from '../src/admin/status.ts'
import { type HttpOriginServer, spawnHttpOrigin } from '../test/fixtures/http-origin.ts'
import { startNginx } from '../test/fixtures/nginx.ts'
import { until } from '../test/fixtures/until.ts'
import { parentfs } from './demo/command.ts'
import { describeMachine } from './report/machine.ts'

const { values } = parseArgs({
  options: { pair: { type: 'string' }, parts: { type: 'string', default: 'full,boot,zsync,casync' } },
})
const parts = values.parts.split(',')
if (values.pair === undefined) throw new Error('--pair DIRECTORY: see bench/golden-image/build.sh')
const pair = values.pair
const MiB = 2 ** 20
const leafBytes = 4096
const blockBytes = 64 * 1024
const salt = '6b1f3300d2c94e5d8f3c7a5d6a0e9b41'
const patienceMs = 120_000
/** Longer than a background pass waits for readers. */
const restMs = 15_000
const execute = promisify(execFile)
const home = await mkdtemp(join(tmpdir(), 'parentfs-golden-'))

/** Blocks of the new version that the older one has nowhere. */
interface Changes {
  readonly changed: ReadonlySet<number>
  readonly leaves: number
}

try {
  await main()
} finally {
  await rm(home, { recursive: true, force: true })
}

async function main(): Promise<void> {
  const { processors, processor, kernel, load } = await describeMachine('')
  console.log(`${processors} x ${processor}, Linux ${kernel}, load ${load.toFixed(1)}`)
  const changes = await changesOf()
  const changedBytes = changes.changed.size * leafBytes
  console.log(`image ${mib(changes.leaves * leafBytes)} MiB, changed ${mib(changedBytes)} MiB in blocks of 4 KiB`)
  const files = join(home, 'files')
  await mkdir(files)
  const server = await spawnHttpOrigin({ directory: files })
  try {
    if (parts.includes('full')) await fullRead(server, files, changedBytes)
    if (parts.includes('boot')) await bootRead(server, files, changes)
  } finally {
    await server.close()
  }
  if (parts.includes('zsync') && existsSync('/usr/bin/zsync')) await zsync(files, changedBytes)
  if (parts.includes('casync') && existsSync('/usr/bin/casync')) await casync(files, changedBytes)
}

async function fullRead(server: HttpOriginServer, files: string, changedBytes: number): Promise<void> {
  await upgraded(server, files, 'full read', async view => {
    await readAll(view)
    return changedBytes
  })
}

async function readAll(view: string): Promise<void> {
  await execute('dd', [`if=${view}`, 'of=/dev/null', 'bs=1M', 'iflag=direct', 'status=none'])
}

async function bootRead(server: HttpOriginServer, files: string, changes: Changes): Promise<void> {
  const blocks = await bootBlocks()
  console.log(`a boot reads ${mib(blocks.length * blockBytes)} MiB`)
  const boot = async (view: string) => {
    const [program, ...args] = bootOf(view)
    await execute(program!, args)
    return changedBelow(changes, blocks)
  }
  await upgraded(server, files, 'boot', boot, async (view, fetched) => {
    await readAll(view)
    const [bytes, changedBytes] = [await fetched(), changes.changed.size * leafBytes]
    const ratio = (bytes / changedBytes).toFixed(3)
    console.log(`    and all of it then: ${mib(bytes)} MiB altogether, ratio ${ratio}`)
  })
}

/** A host that holds the older version reads the new one. @param work returns the bytes that changed of what it reads */
async function upgraded(
  server: HttpOriginServer,
  files: string,
  what: string,
  work: (view: string) => Promise<number>,
  later?: (view: string, fetched: () => Promise<number>) => Promise<void>,
): Promise<void> {
  const directory = await mkdtemp(join(home, 'host-'))
  const [config, mountpoint] = [join(directory, 'parentfs.yaml'), join(directory, 'mnt')]
  await mkdir(mountpoint)
  await publish(files, 'before.raw')
  const origin = `origin: { url: "${server.url}", revalidate: 1s, verify: { verity: require } }`
  const cache = `cache: { directory: "${join(directory, 'cache')}", capacity: 6GiB, readAhead: 0 }`
  await writeFile(config, `${origin}\n${cache}\n`)
  await parentfs('mount', mountpoint, '--config', config, '--background')
  try {
    const view = join(mountpoint, 'golden.raw')
    await parentfs('promote', view)
    const isComplete = async () => (await images(mountpoint)).some(({ complete }) => complete)
    await until(isComplete, patienceMs, 'the older version')
    const before = await pidStatus(mountpoint)
    const { mtimeMs: modifiedMs } = await stat(view)
    await publish(files, 'after.raw')
    const asked = before.origin.bytes
    const isKnown = async () => (await stat(view)).mtimeMs !== modifiedMs
    await until(isKnown, patienceMs, 'the new version')
    await server.reset()
    const changedBytes = await work(view)
    const fetched = async () => (await pidStatus(mountpoint)).origin.bytes - asked
    const bytes = await fetched()
    const ratio = (bytes / changedBytes).toFixed(3)
    console.log(`\n${what}: fetched ${mib(bytes)} MiB of ${mib(changedBytes)} MiB that changed, ratio ${ratio}`)
    await restsFor(restMs, fetched)
    console.log(`    and ${mib((await fetched()) - bytes)} MiB in the background behind it`)
    const cost = JSON.parse(await parentfs('images', '--delta', 'golden.raw', '--json', '-m', mountpoint))
    console.log(`    images --delta: ${JSON.stringify(cost)}`)
    if (later) await later(view, fetched)
  } finally {
    await parentfs('unmount', mountpoint)
    await rm(directory, { recursive: true })
  }
}

/** As a publisher does it: the tree first, then the image in the place of the older one. */
async function publish(files: string, name: string): Promise<void> {
  const next = join(files, '.next.raw')
  await cp(join(pair, name), next)
  await parentfs('seal', next, '--salt', salt)
  await rename(`${next}.verity`, join(files, 'golden.raw.verity'))
  await rename(next, join(files, 'golden.raw'))
}

/** A command that reads the files of a Debian start, through the file system in the image. */
function bootOf(view: string): readonly string[] {
  const files = 'etc usr/lib/systemd usr/sbin usr/bin/bash usr/bin/python3* usr/lib/x86_64-linux-gnu/*.so*'
  const script = [
    'root=$(mktemp -d)',
    'mount -o loop,ro,noload "$1" "$root"',
    `(cd "$root" && tar -chf - --ignore-failed-read ${files} 2>/dev/null | cat >/dev/null)`,
    'umount "$root"',
    'rmdir "$root"',
  ].join('\n')
  return ['unshare', '--mount', '--propagation', 'private', 'sh', '-euc', script, 'sh', view]
}

/** The blocks that such a boot of the new version reads. */
async function bootBlocks(): Promise<readonly number[]> {
  const file = join(home, 'boot.json')
  await parentfs('profile', 'record', '--output', file, join(pair, 'after.raw'), '--', ...bootOf('{}'))
  const { ranges } = JSON.parse(await readFile(file, 'utf8')) as { ranges: readonly (readonly [number, number])[] }
  return ranges.flatMap(([offset, length]) =>
    Array.from({ length: Math.ceil(length / blockBytes) }, (_, k) => Math.floor(offset / blockBytes) + k),
  )
}

function changedBelow({ changed }: Changes, blocks: readonly number[]): number {
  const perBlock = blockBytes / leafBytes
  let leaves = 0
  for (const block of new Set(blocks)) {
    for (let k = 0; k < perBlock; k++) if (changed.has(block * perBlock + k)) leaves++
  }
  return leaves * leafBytes
}

async function zsync(files: string, changedBytes: number): Promise<void> {
  await publish(files, 'after.raw')
  const image = join(files, 'golden.raw')
  await execute('zsyncmake', ['-b', '4096', '-u', 'golden.raw', '-o', join(files, 'golden.zsync'), image])
  const out = join(home, 'zsync.raw')
  await compared('zsync -b 4096', files, out, changedBytes, async url => {
    await execute('zsync', ['-q', '-i', join(pair, 'before.raw'), '-o', out, `${url}golden.zsync`], { cwd: home })
  })
}

async function casync(files: string, changedBytes: number): Promise<void> {
  await publish(files, 'after.raw')
  const [index, store] = ['golden.caibx', 'golden.castr']
  await execute('casync', ['make', `--store=${join(files, store)}`, join(files, index), join(files, 'golden.raw')])
  const out = join(home, 'casync.raw')
  await compared('casync, chunks packed with zstd', files, out, changedBytes, async url => {
    const seed = `--seed=${join(pair, 'before.raw')}`
    await execute('casync', ['extract', seed, `--store=${url}${store}`, `${url}${index}`, out], { cwd: home })
  })
}

/** Fetch the new version by another program, from nginx, whose log counts. */
async function compared(
  name: string,
  files: string,
  out: string,
  changedBytes: number,
  fetch: (url: string) => Promise<void>,
): Promise<void> {
  const log = join(home, 'access.log')
  await rm(log, { force: true })
  const server = await startNginx({ directory: files, listing: 'none', extra: `access_log ${log};` })
  try {
    await fetch(server.url)
  } finally {
    await server.close()
  }
  await execute('cmp', [out, join(pair, 'after.raw')])
  // Of each line: "REQUEST" STATUS BYTES.
  const sizes = (await readFile(log, 'utf8')).match(/" \d{3} \d+ "/g) ?? []
  const bytes = sizes.reduce((sum, each) => sum + Number(each.split(' ')[2]), 0)
  console.log(`\n${name}: fetched ${mib(bytes)} MiB, ratio ${(bytes / changedBytes).toFixed(3)}`)
}

/** By the digests of all blocks: one that lies elsewhere in the older version did not change. */
async function changesOf(): Promise<Changes> {
  const held = new Set<string>()
  await eachLeaf('before.raw', (_, digest) => void held.add(digest))
  const changed = new Set<number>()
  let leaves = 0
  await eachLeaf('after.raw', (leaf, digest) => {
    leaves++
    if (!held.has(digest)) changed.add(leaf)
  })
  return { changed, leaves }
}

async function eachLeaf(name: string, take: (leaf: number, digest: string) => void): Promise<void> {
  const file = await open(join(pair, name))
  try {
    const bytes = Buffer.alloc(4 * MiB)
    for (let leaf = 0; ; ) {
      const { bytesRead } = await file.read(bytes, 0, bytes.length, leaf * leafBytes)
      if (bytesRead === 0) return
      for (let at = 0; at < bytesRead; at += leafBytes, leaf++) {
        take(
          leaf,
          createHash('sha256')
            .update(bytes.subarray(at, at + leafBytes))
            .digest('base64'),
        )
      }
    }
  } finally {
    await file.close()
  }
}

/** Until a figure has not changed for so long. */
async function restsFor(ms: number, look: () => Promise<number>): Promise<void> {
  for (let [figure, sinceMs] = [-1, 0]; performance.now() - sinceMs < ms; ) {
    const next = await look()
    if (next !== figure) [figure, sinceMs] = [next, performance.now()]
    await new Promise(resolve => setTimeout(resolve, 500))
  }
}

async function pidStatus(mountpoint: string): Promise<Status> {
  return JSON.parse(await parentfs('status', mountpoint, '--json')) as Status
}

async function images(mountpoint: string): Promise<Status['images']> {
  return (await pidStatus(mountpoint)).images
}

function mib(bytes: number): string {
  return (bytes / MiB).toFixed(1)
}
