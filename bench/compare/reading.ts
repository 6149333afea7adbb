/** Reading by a process of its own, which is ended when it hangs. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { randomFrom } from '../../test/fixtures/images.ts'
import type { Played } from '../replay/player.ts'
import type { TracedRead } from '../replay/trace.ts'

export interface Reading {
  readonly path: string
  /** The same bytes on the local disk. */
  readonly imagePath: string
  readonly work:
    | { readonly kind: 'sequential' }
    | { readonly kind: 'replay'; readonly trace: string }
    /** One thread for each list; all begin together. */
    | { readonly kind: 'lists'; readonly lists: readonly (readonly TracedRead[])[] }
}

/** Longest reading: three times that of the slowest contender. */
export const readingMsMax = 45_000

/** Thrown when a contender does not answer: it has to be ended by force. */
export class Hung extends Error {}

/** @throws Hung when it is late; Error when the reader failed */
export async function read(reading: Reading, msMax = readingMsMax): Promise<Played> {
  const main = fileURLToPath(new URL('reader-main.js', import.meta.url))
  const child = spawn(process.execPath, [main], { stdio: ['pipe', 'pipe', 'pipe'] })
  child.stdin.end(JSON.stringify(reading))
  let [said, wrote] = ['', '']
  child.stdout.on('data', (data: Buffer) => {
    said += data
  })
  child.stderr.on('data', (data: Buffer) => {
    wrote = `${wrote}${data}`.slice(-2000)
  })
  let late: NodeJS.Timeout | undefined
  try {
    const code = await new Promise<number | null>((resolve, reject) => {
      late = setTimeout(() => reject(new Hung(`no end after ${msMax / 1000} s`)), msMax)
      child.once('error', reject).once('close', resolve)
    })
    if (code !== 0) throw new Error(wrote.trim() || `the reader ended with ${code}`)
    return JSON.parse(said) as Played
  } finally {
    clearTimeout(late)
    child.kill('SIGKILL') // A reader that hangs ends when its mount has gone.
  }
}

const unitBytes = 64 * 1024

/**
 * Random reads of 4 KiB, each in another 64 KiB of the image, in an order that the seed decides.
 * @returns those from `first` on
 */
export function randomReads(imageBytes: number, seed: number, first: number, count: number): TracedRead[] {
  const random = randomFrom(seed)
  const units = Array.from({ length: Math.floor(imageBytes / unitBytes) }, (_, unit) => unit)
  for (let k = units.length - 1; k > 0; k--) {
    const other = Math.floor(random() * (k + 1))
    ;[units[k], units[other]] = [units[other]!, units[k]!]
  }
  const inUnit = () => Math.floor(random() * (unitBytes / 4096)) * 4096
  const all = units.map(unit => ({ atMs: 0, offset: unit * unitBytes + inUnit(), length: 4096 }))
  return all.slice(first, first + count)
}

/** So many lists of about one length. */
export function dealt<T>(values: readonly T[], lists: number): T[][] {
  return Array.from({ length: lists }, (_, list) => values.filter((_, k) => k % lists === list))
}
