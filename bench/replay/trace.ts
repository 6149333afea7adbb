/**
 * Recorded reads of a block device, as bench/traces/record.sh writes them: lines of `milliseconds offset length`, times
 * since the first read, offsets and lengths in bytes; packed by gzip where the name ends so. Lines that begin with `#`
 * are for people.
 */
import { open, readFile } from 'node:fs/promises'
import { gunzipSync } from 'node:zlib'
import { sampleBytes } from '../../test/fixtures/images.ts'

const MiB = 2 ** 20

export interface TracedRead {
  /** Since the first. */
  readonly atMs: number
  readonly offset: number
  readonly length: number
}

/** @throws Error on a line that is none */
export async function readReplay(path: string): Promise<TracedRead[]> {
  const bytes = await readFile(path)
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString()
  const reads: TracedRead[] = []
  for (const [k, line] of text.split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue
    const [atMs, offset, length] = line.split(' ').map(Number)
    const read = { atMs: atMs!, offset: offset!, length: length! }
    if (!(read.atMs >= 0 && read.offset >= 0 && read.length > 0)) throw new Error(`${path}:${k + 1}: ${line}`)
    reads.push(read)
  }
  return reads
}

/** Make an image on which all of it can be read: data in each whole MiB that is touched, holes elsewhere. */
export async function writeTouched(path: string, reads: readonly TracedRead[]): Promise<void> {
  const touched = new Set<number>()
  for (const { offset, length } of reads) {
    for (let at = Math.floor(offset / MiB); at * MiB < offset + length; at++) touched.add(at)
  }
  const sizeBytes = (Math.max(...touched) + 1) * MiB
  const file = await open(path, 'wx')
  await file.truncate(sizeBytes)
  const sample = { seed: 8, sizeBytes, dataShare: 1 }
  for (const at of touched) await file.write(sampleBytes(sample, at * MiB, MiB), 0, MiB, at * MiB)
  await file.close()
}
