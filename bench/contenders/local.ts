/** Bounds for the contenders: the raw file, a server that only reads and writes, and a download. */
import { execFile } from 'node:child_process'
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { type Contender, type Place, programs, type Running } from './contender.ts'
import { show } from './process.ts'

/** The raw file on the local disk. */
export const rawFile: Contender = {
  name: 'raw file',
  lives: ['complete'],
  missing: programs(),
  start: async ({ imagePath }) => running(imagePath),
}

/** bench/comparison-server.cc: no index, no checksums, no cache, only FUSE. */
export function comparison(threads: number): Contender {
  const start = (place: Place) => startComparison(place, threads)
  return { name: `comparison ${threads} threads`, lives: ['complete'], missing: programs(), start }
}

async function startComparison({ directory, imagePath }: Place, threads: number): Promise<Running> {
  const mountpoint = join(directory, 'mnt')
  await mkdir(mountpoint, { recursive: true })
  const { size } = await stat(imagePath)
  const words = [imagePath, mountpoint, String(threads)]
  const shown = { path: join(mountpoint, 'image'), sizeBytes: size, mountpoint }
  return show('native-bindings/build/comparison-server', words, shown)
}

/** Bytes that curl discards: nothing is mounted, and its lives call {@link download}. */
export const curl: Contender = {
  name: 'curl 8 streams',
  lives: ['sequential'],
  missing: programs('curl'),
  start: async ({ originUrl, imageName }) => running(`${originUrl}${imageName}`),
}

const streams = 8

/** Download in 8 parts at once, each by a curl of its own. @returns seconds */
export async function download(url: string, sizeBytes: number): Promise<number> {
  const part = Math.ceil(sizeBytes / streams)
  const startedMs = performance.now()
  const parts = Array.from({ length: streams }, (_, k) => `${k * part}-${Math.min(sizeBytes, (k + 1) * part) - 1}`)
  await Promise.all(parts.map(range => promisify(execFile)('curl', ['-sSf', '-o', '/dev/null', '-r', range, url])))
  return (performance.now() - startedMs) / 1000
}

function running(path: string): Running {
  return { path, pids: () => [], stop: async () => {}, kill: async () => {} }
}
