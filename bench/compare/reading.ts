/** One measured piece of reading, done by a process of its own that can be given up. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import type { Played } from '../replay/player.ts'

export type ReadingWork =
  | { readonly kind: 'random'; readonly reads: number; readonly atOnce: number; readonly seed: number }
  | { readonly kind: 'herd'; readonly readers: number; readonly offset: number }
  | { readonly kind: 'sequential' }
  | { readonly kind: 'replay'; readonly trace: string }

export interface Reading {
  readonly path: string
  /** The same bytes on the local disk. */
  readonly imagePath: string
  readonly work: ReadingWork
}

/** Three times what the slowest of them takes that gets there at all. */
export const readingMsMax = 45_000

/** Thrown when a contender does not answer: it has to be ended by force. */
export class Hung extends Error {}

/** @throws Hung when it is late; Error when the reader failed */
export async function read(reading: Reading): Promise<Played> {
  const main = fileURLToPath(new URL('reader-main.js', import.meta.url))
  const env = { ...process.env, UV_THREADPOOL_SIZE: '32' } // Two for each of sixteen readers: file and image.
  const child = spawn(process.execPath, [main, JSON.stringify(reading)], { stdio: ['ignore', 'pipe', 'pipe'], env })
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
      late = setTimeout(() => reject(new Hung(`no end after ${readingMsMax / 1000} s`)), readingMsMax)
      child.once('error', reject).once('close', resolve)
    })
    if (code !== 0) throw new Error(wrote.trim() || `the reader ended with ${code}`)
    return JSON.parse(said) as Played
  } finally {
    clearTimeout(late)
    child.kill('SIGKILL') // A reader that hangs ends when its mount has gone.
  }
}
