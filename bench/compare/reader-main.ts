/**
 * The process that reads a contender's file: what it is told as JSON, with what it measured as JSON. Apart, so that a read that
 * hangs can be left alone.
 */
import { constants, open } from 'node:fs/promises'
import { randomFrom } from '../../test/fixtures/images.ts'
import { type Played, play } from '../replay/player.ts'
import { readReplay } from '../replay/trace.ts'
import type { Reading } from './reading.ts'

const { path, imagePath, work } = JSON.parse(process.argv[2]!) as Reading
const measured = await measure()
process.stdout.write(JSON.stringify(measured))

async function measure(): Promise<Played> {
  switch (work.kind) {
    case 'random':
      return readRandomly(work.reads, work.atOnce, work.seed)
    case 'herd':
      return readTogether(work.readers, work.offset)
    case 'sequential':
      return readThrough()
    case 'replay':
      return play(await readReplay(work.trace), { path, imagePath, realTime: false, direct: true })
  }
}

/** 4 KiB each, `atOnce` of them at a time. */
async function readRandomly(count: number, atOnce: number, seed: number): Promise<Played> {
  const random = randomFrom(seed)
  const blocks = Math.floor((await sizeOf(imagePath)) / 4096)
  const reads = Array.from({ length: count }, () => ({
    atMs: 0,
    offset: Math.floor(random() * blocks) * 4096,
    length: 4096,
  }))
  const startedMs = performance.now()
  const lanes = Array.from({ length: atOnce }, (_, lane) => reads.filter((_, k) => k % atOnce === lane))
  const played = await Promise.all(lanes.map(lane => play(lane, { path, imagePath, realTime: false, direct: true })))
  return together(played, (performance.now() - startedMs) / 1000)
}

async function readTogether(readers: number, offset: number): Promise<Played> {
  const startedMs = performance.now()
  const one = [{ atMs: 0, offset, length: 4096 }]
  const played = await Promise.all(
    Array.from({ length: readers }, () => play(one, { path, imagePath, realTime: false, direct: true })),
  )
  return together(played, (performance.now() - startedMs) / 1000)
}

/** Pieces of a megabyte through the page cache, as `cp` reads. */
async function readThrough(): Promise<Played> {
  const [file, image] = [await open(path, constants.O_RDONLY), await open(imagePath)]
  const [piece, wanted] = [Buffer.alloc(2 ** 20), Buffer.alloc(2 ** 20)]
  const latenciesMs: number[] = []
  let [bytes, wrong, seconds] = [0, 0, 0]
  const size = await sizeOf(imagePath)
  while (bytes < size) {
    const startedMs = performance.now()
    const { bytesRead } = await file.read(piece, 0, piece.length, bytes)
    const tookMs = performance.now() - startedMs
    latenciesMs.push(tookMs)
    seconds += tookMs / 1000
    if (bytesRead === 0) break
    await image.read(wanted, 0, bytesRead, bytes)
    if (piece.compare(wanted, 0, bytesRead, 0, bytesRead) !== 0) wrong++
    bytes += bytesRead
  }
  if (bytes !== size) wrong++
  await Promise.all([file.close(), image.close()])
  return { latenciesMs, seconds, bytes, wrong }
}

async function sizeOf(file: string): Promise<number> {
  const handle = await open(file)
  const { size } = await handle.stat()
  await handle.close()
  return size
}

function together(played: readonly Played[], seconds: number): Played {
  const sum = (of: (each: Played) => number) => played.reduce((total, each) => total + of(each), 0)
  return {
    latenciesMs: played.flatMap(each => each.latenciesMs),
    seconds,
    bytes: sum(each => each.bytes),
    wrong: sum(each => each.wrong),
  }
}
