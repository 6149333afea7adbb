/**
 * Public block traces, as the simulator wants them: one number a reference, small and dense.
 *
 * Three formats: the ARC paper's `.lis` (lines of first block, number of blocks, ignored, request number; 512-byte
 * blocks), the CSV of libCacheSim's cloudPhysicsIO sample (time, op, size in bytes, first sector), and little-endian
 * 32-bit block numbers (`.trace`). Each may be packed by xz or zstd, and is unpacked by the program of that name.
 */
import { spawn } from 'node:child_process'
import { createReadStream } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'

/** A trace with its units numbered in the order of their first reference. */
export interface Trace {
  readonly name: string
  /** References in order, each below `footprint`. */
  readonly references: Uint32Array
  /** Number of different units. */
  readonly footprint: number
}

const sectorBytes = 512
const sectorsPerUnit = 4096 / sectorBytes

type Format = (input: Readable, add: (unit: number) => void) => Promise<void>

const formats: Readonly<Record<string, Format>> = { '.lis': readLis, '.csv': readCsv, '.trace': readNumbers }
const unpackers: Readonly<Record<string, string>> = { '.xz': 'xz', '.zst': 'zstd' }

/** Paths of the traces in a directory, by name. */
export async function tracesIn(directory: string): Promise<string[]> {
  const names = (await readdir(directory)).filter(name => formatOf(name) !== null)
  return names.sort().map(name => join(directory, name))
}

/** @throws Error when the file cannot be unpacked or is of no known format */
export async function readTrace(path: string): Promise<Trace> {
  const found = formatOf(basename(path))
  if (!found) throw new Error(`${path}: no trace of a known format (${Object.keys(formats).join(', ')})`)
  const numbers = new Map<number, number>()
  let references = new Uint32Array(1 << 20)
  let count = 0
  const [input, ended] = unpacked(path, found.unpacker)
  await found.format(input, unit => {
    let number = numbers.get(unit)
    if (number === undefined) numbers.set(unit, (number = numbers.size))
    if (count === references.length) {
      const longer = new Uint32Array(2 * count)
      longer.set(references)
      references = longer
    }
    references[count++] = number
  })
  await ended
  return { name: found.name, references: references.slice(0, count), footprint: numbers.size }
}

function formatOf(file: string) {
  const packed = Object.keys(unpackers).find(extension => file.endsWith(extension))
  const plain = packed ? file.slice(0, -packed.length) : file
  const extension = Object.keys(formats).find(each => plain.endsWith(each))
  if (!extension) return null
  return { name: plain.slice(0, -extension.length), format: formats[extension]!, unpacker: packed && unpackers[packed] }
}

/** The plain bytes, and a promise that rejects when they were not all there. */
function unpacked(path: string, unpacker: string | undefined): [Readable, Promise<void>] {
  if (!unpacker) return [createReadStream(path), Promise.resolve()]
  const child = spawn(unpacker, ['-dcf', path], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', code =>
      code === 0 ? resolve() : reject(new Error(`${unpacker} -dcf ${path} ended with ${code}`)),
    )
  })
  return [child.stdout, ended]
}

/** Source: the traces of Megiddo and Modha, "ARC: A Self-Tuning, Low Overhead Replacement Cache", FAST 03. */
async function readLis(input: Readable, add: (unit: number) => void): Promise<void> {
  for await (const line of createInterface({ input })) {
    const [first, blocks] = line.split(' ', 2).map(Number)
    if (first === undefined || !blocks) continue
    for (let k = 0; k < blocks; k++) add(first + k)
  }
}

/** Units of 4 KiB; op is a SCSI command, 28 reads and 2a writes. Both bring a unit into a cache of a whole disk. */
async function readCsv(input: Readable, add: (unit: number) => void): Promise<void> {
  let header = true
  for await (const line of createInterface({ input })) {
    const [, , , size, lbn] = line.split(',')
    if (!header) {
      const end = Number(lbn) + Math.max(1, Number(size) / sectorBytes)
      for (let unit = Math.floor(Number(lbn) / sectorsPerUnit); unit * sectorsPerUnit < end; unit++) add(unit)
    }
    header = false
  }
}

async function readNumbers(input: Readable, add: (unit: number) => void): Promise<void> {
  let rest = Buffer.alloc(0)
  for await (const chunk of input) {
    const bytes = Buffer.concat([rest, chunk as Buffer])
    const whole = bytes.length - (bytes.length % 4)
    for (let at = 0; at < whole; at += 4) add(bytes.readUInt32LE(at))
    rest = bytes.subarray(whole)
  }
}
