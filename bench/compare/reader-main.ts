/**
 * Reader process of the comparison: takes a {@link Reading} as JSON on standard input, prints what it measured as JSON.
 * Reads are system calls on the thread that measures them, and threads begin together.
 */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs'
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads'
import { type Played, play } from '../replay/player.ts'
import { readReplay, type TracedRead } from '../replay/trace.ts'
import type { Reading } from './reading.ts'

interface Lane {
  readonly path: string
  readonly imagePath: string
  readonly reads: readonly TracedRead[]
  /** Set to 1 when all lanes are ready. */
  readonly gate: Int32Array
}

if (isMainThread) {
  const reading = JSON.parse(readFileSync(0, 'utf8')) as Reading
  process.stdout.write(JSON.stringify(await measure(reading)))
} else {
  const { path, imagePath, reads, gate } = workerData as Lane
  const opened = () => {
    parentPort!.postMessage('ready')
    Atomics.wait(gate, 0, 0)
  }
  parentPort!.postMessage(await play(reads, { path, imagePath, realTime: false, direct: true, opened }))
}

async function measure({ path, imagePath, work }: Reading): Promise<Played> {
  if (work.kind === 'sequential') return readThrough(path, imagePath)
  const lists = work.kind === 'replay' ? [await readReplay(work.trace)] : work.lists
  if (lists.length === 1) return play(lists[0]!, { path, imagePath, realTime: false, direct: true })
  return readTogether(path, imagePath, lists)
}

async function readTogether(path: string, imagePath: string, lists: readonly (readonly TracedRead[])[]) {
  const gate = new Int32Array(new SharedArrayBuffer(4))
  let ready = 0
  const lanes = lists.map(reads => {
    const worker = new Worker(new URL(import.meta.url), { workerData: { path, imagePath, reads, gate } satisfies Lane })
    return new Promise<Played>((resolve, reject) => {
      worker.once('error', reject)
      worker.on('message', (message: Played | 'ready') => {
        if (message !== 'ready') return resolve(message)
        if (++ready < lists.length) return
        Atomics.store(gate, 0, 1)
        Atomics.notify(gate, 0)
      })
    })
  })
  const played = await Promise.all(lanes)
  const sum = (of: (each: Played) => number) => played.reduce((total, each) => total + of(each), 0)
  return {
    latenciesMs: played.flatMap(each => each.latenciesMs),
    // Lanes begin together: the longest is the time of all.
    seconds: Math.max(...played.map(each => each.seconds)),
    bytes: sum(each => each.bytes),
    wrong: sum(each => each.wrong),
  }
}

/** Pieces of a megabyte through the page cache, as `cp` reads. Comparing is not timed. */
function readThrough(path: string, imagePath: string): Played {
  const [file, image] = [openSync(path, 'r'), openSync(imagePath, 'r')]
  const [piece, wanted] = [Buffer.alloc(2 ** 20, 1), Buffer.alloc(2 ** 20)]
  const latenciesMs: number[] = []
  let [bytes, wrong] = [0, 0]
  const { size } = fstatSync(image)
  while (bytes < size) {
    const startedMs = performance.now()
    const count = readSync(file, piece, 0, piece.length, bytes)
    latenciesMs.push(performance.now() - startedMs)
    if (count === 0) break
    readSync(image, wanted, 0, count, bytes)
    if (piece.compare(wanted, 0, count, 0, count) !== 0) wrong++
    bytes += count
  }
  if (bytes !== size) wrong++
  for (const fd of [file, image]) closeSync(fd)
  return { latenciesMs, seconds: latenciesMs.reduce((sum, each) => sum + each, 0) / 1000, bytes, wrong }
}
