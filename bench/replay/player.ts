/**
 * Player of recorded reads: plays them on a file and compares each byte with the image itself.
 *
 * As fast as possible, the next read begins when the last one has ended: a booting guest waits for most of its reads.
 * In real time a read begins when it began in the recording, however many are still out.
 */
import { readSync } from 'node:fs'
import { constants, type FileHandle, open } from 'node:fs/promises'
import type { TracedRead } from './trace.ts'

export interface Played {
  /** Of each read, in the order of the trace. */
  readonly latenciesMs: readonly number[]
  readonly seconds: number
  readonly bytes: number
  /** Reads that brought other bytes than the image has, or that failed. */
  readonly wrong: number
}

export interface PlayOptions {
  /** The file under test. */
  readonly path: string
  /** The image. */
  readonly imagePath: string
  readonly realTime: boolean
  /** Past the page cache of the file, as a hypervisor with cache=none reads. */
  readonly direct: boolean
  /** Called before the first read, with both files open. */
  readonly opened?: () => void
}

export async function play(reads: readonly TracedRead[], options: PlayOptions): Promise<Played> {
  const flags = constants.O_RDONLY | (options.direct ? constants.O_DIRECT : 0)
  const [file, image] = [await open(options.path, flags), await open(options.imagePath)]
  try {
    options.opened?.()
    return await (options.realTime ? playInTime : playOneByOne)(reads, file, image)
  } finally {
    await Promise.all([file.close(), image.close()])
  }
}

/** Reads are system calls on this thread, compared when all are over: nothing but the reads is timed. */
function playOneByOne(reads: readonly TracedRead[], file: FileHandle, image: FileHandle): Played {
  const got = reads.map(({ length }) => Buffer.alloc(length, 1))
  const latenciesMs: number[] = []
  const counts = reads.map(({ offset }, k) => {
    const startedMs = performance.now()
    const count = readOrFail(file.fd, got[k]!, offset)
    latenciesMs.push(performance.now() - startedMs)
    return count
  })
  const wrong = reads.filter(({ offset, length }, k) => {
    const wanted = Buffer.alloc(length)
    const count = readOrFail(image.fd, wanted, offset)
    return count !== counts[k] || !got[k]!.subarray(0, count).equals(wanted.subarray(0, count))
  })
  return {
    latenciesMs,
    seconds: latenciesMs.reduce((sum, each) => sum + each, 0) / 1000,
    bytes: reads.reduce((sum, { length }) => sum + length, 0),
    wrong: wrong.length,
  }
}

/** @returns bytes that there are; -1 when the read failed */
function readOrFail(fd: number, into: Buffer, offset: number): number {
  try {
    return readSync(fd, into, 0, into.length, offset)
  } catch {
    return -1
  }
}

async function playInTime(reads: readonly TracedRead[], file: FileHandle, image: FileHandle): Promise<Played> {
  const startedMs = performance.now()
  const played = reads.map(async read => {
    await new Promise(resolve => setTimeout(resolve, read.atMs))
    return playOne(read, file, image)
  })
  const all = await Promise.all(played)
  return {
    latenciesMs: all.map(({ latencyMs }) => latencyMs),
    seconds: (performance.now() - startedMs) / 1000,
    bytes: reads.reduce((sum, { length }) => sum + length, 0),
    wrong: all.filter(({ isRight }) => !isRight).length,
  }
}

async function playOne({ offset, length }: TracedRead, file: FileHandle, image: FileHandle) {
  const [got, wanted] = [Buffer.alloc(length), Buffer.alloc(length)]
  const startedMs = performance.now()
  const count = await readWhole(file, got, offset)
  const latencyMs = performance.now() - startedMs
  const isRight = count === (await readWhole(image, wanted, offset)) && got.equals(wanted)
  return { latencyMs, isRight }
}

/** @returns bytes that there are; -1 when the read failed */
async function readWhole(file: FileHandle, into: Buffer, offset: number): Promise<number> {
  try {
    return (await file.read(into, 0, into.length, offset)).bytesRead
  } catch {
    return -1
  }
}

/** The value below which a share of them lies; 0 of none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0
}
