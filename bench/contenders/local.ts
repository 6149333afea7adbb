/** What there is to reach: the image itself, and a server that only reads and writes. */
import { mkdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { Contender, Place, Running } from './contender.ts'
import { show } from './process.ts'

/** The raw file on the local disk. */
export const rawFile: Contender = {
  name: 'raw file',
  programs: [],
  far: false,
  keeps: true,
  start: async ({ imagePath }) => ({
    path: imagePath,
    pids: () => [],
    stop: async () => {},
    kill: async () => {},
  }),
}

/** bench/comparison-server.cc: no index, no checksums, no cache, only FUSE. */
export function comparison(threads: number): Contender {
  const start = (place: Place) => startComparison(place, threads)
  return { name: `comparison ${threads} threads`, programs: [], far: false, keeps: true, start }
}

async function startComparison({ directory, imagePath }: Place, threads: number): Promise<Running> {
  const mountpoint = join(directory, 'mnt')
  await mkdir(mountpoint, { recursive: true })
  const { size } = await stat(imagePath)
  const words = [imagePath, mountpoint, String(threads)]
  const shown = { path: join(mountpoint, 'image'), sizeBytes: size, mountpoint }
  return show('native-bindings/build/comparison-server', words, shown)
}
