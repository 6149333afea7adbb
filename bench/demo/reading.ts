/**
 * A pass of the demo: its reads, their latencies, and the checksum of their bytes.
 *
 * Files are opened with O_DIRECT, so that each read goes to parentfs and none to the kernel's page cache. Reads are
 * aligned as a disk needs them: those of a complete image go to the data file itself.
 */
import { createHash } from 'node:crypto'
import { constants, type FileHandle, open } from 'node:fs/promises'

/** Result of one kind of read. */
export interface Measured {
  readonly reads: number
  readonly bytes: number
  readonly seconds: number
  readonly meanMs: number
  readonly p99Ms: number
}

export interface ReadingOptions {
  readonly path: string
  readonly sizeBytes: number
  /** Called with the bytes read so far. */
  readonly onProgress: (bytes: number) => void
  readonly signal: AbortSignal
}

/** Members that Node has and its types lack. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number }) => { readonly buffer: ArrayBuffer }
}

/** Reads in flight: as many as Node has threads for files. */
const inFlight = 4
const randomBytes = 4096
const sequentialBytes = 1024 * 1024
/** Lengths and places of reads, in bytes. */
const alignedBytes = 4096

/** `count` reads of 4 KiB at offsets that `random` draws. */
export async function readRandomly(options: ReadingOptions, count: number, random: () => number): Promise<Measured> {
  const blocks = Math.floor(options.sizeBytes / randomBytes)
  const offsets = Array.from({ length: count }, () => Math.floor(random() * blocks) * randomBytes)
  return measure(options, offsets, randomBytes, () => {})
}

/** The whole image in order, in reads of 1 MiB; with its SHA-256 in hex. */
export async function readThrough(options: ReadingOptions): Promise<Measured & { readonly sha256: string }> {
  const hash = createHash('sha256')
  const offsets = Array.from(
    { length: Math.ceil(options.sizeBytes / sequentialBytes) },
    (_, index) => index * sequentialBytes,
  )
  const measured = await measure(options, offsets, sequentialBytes, bytes => hash.update(bytes))
  return { ...measured, sha256: hash.digest('hex') }
}

/** Read at each offset, a few at once; `see` gets the bytes in the order of the offsets. */
async function measure(
  { path, sizeBytes, onProgress, signal }: ReadingOptions,
  offsets: readonly number[],
  length: number,
  see: (bytes: Uint8Array) => void,
): Promise<Measured> {
  const file = await open(path, constants.O_RDONLY | constants.O_DIRECT)
  const waiting: Promise<Uint8Array>[] = []
  // Memory that is aligned to whole pages, which no other of JavaScript is.
  const { buffer } = new WebAssembly.Memory({ initial: (inFlight * sequentialBytes) / 65_536 })
  try {
    const latenciesMs: number[] = []
    const startMs = performance.now()
    let bytes = 0
    for (let index = 0; index < offsets.length + inFlight; index++) {
      signal.throwIfAborted()
      if (waiting.length === inFlight || index >= offsets.length) {
        const block = await waiting.shift()
        if (!block) break
        see(block)
        bytes += block.length
        onProgress(bytes)
      }
      const offset = offsets[index]
      if (offset === undefined) continue
      const wanted = Math.min(length, sizeBytes - offset)
      const target = new Uint8Array(buffer, (index % inFlight) * sequentialBytes, wanted)
      const read = readAt(file, offset, target, latenciesMs)
      read.catch(() => {}) // Seen when its turn comes, or not at all when an earlier one failed.
      waiting.push(read)
    }
    const seconds = (performance.now() - startMs) / 1000
    return { reads: latenciesMs.length, bytes, seconds, ...summary(latenciesMs) }
  } finally {
    // After a failure others are still in flight, and fail too.
    await Promise.allSettled(waiting)
    await file.close()
  }
}

/** Fill `target`; more is asked for where the image ends in between, and does not come. */
async function readAt(
  file: FileHandle,
  offset: number,
  target: Uint8Array<ArrayBuffer>,
  latenciesMs: number[],
): Promise<Uint8Array> {
  const askedBytes = Math.ceil(target.length / alignedBytes) * alignedBytes
  const asked = new Uint8Array(target.buffer, target.byteOffset, askedBytes)
  const startMs = performance.now()
  const { bytesRead } = await file.read(asked, 0, askedBytes, offset)
  latenciesMs.push(performance.now() - startMs)
  if (bytesRead !== target.length) throw new Error(`${bytesRead} of ${target.length} bytes at ${offset}`)
  return target
}

function summary(latenciesMs: readonly number[]): { meanMs: number; p99Ms: number } {
  const sorted = [...latenciesMs].sort((a, b) => a - b)
  const meanMs = sorted.reduce((sum, each) => sum + each, 0) / sorted.length
  return { meanMs, p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0 }
}
