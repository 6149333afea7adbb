/**
 * Memory cost of hot data: pages of the mounted file, pages of the data file, private memory of the worker.
 *
 *   node build/bench/memory.js [--mib 256]
 *
 * Needs root, fio, fincore and dist/. Each way of reading begins with an empty page cache and reads the whole image
 * once. Prints the memory afterwards in MiB, and all of it for each byte of the image. Private memory is the growth
 * meanwhile.
 */
import { execFile } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeSync,
} from 'node:fs'
import { release, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs, promisify } from 'node:util'
import type { Status } from '../src/admin/status.ts'
import { parentfs } from './demo/command.ts'
import { dropPages } from './fio.ts'

const { values } = parseArgs({ options: { mib: { type: 'string', default: '256' } } })
const MiB = 2 ** 20
const sizeBytes = Number(values.mib) * MiB

/** A mount over the one image. */
interface Mount {
  readonly target: string
  readonly mountpoint: string
  readonly cache: string
}

/** Bytes in memory. */
interface Held {
  readonly mounted: number
  readonly data: number
  readonly worker: number
}

const home = mkdtempSync(join(tmpdir(), 'parentfs-memory-'))
const origin = join(home, 'origin')
mkdirSync(origin)
const raw = join(origin, 'a.raw')
writeRandom(raw)
const mounts: Mount[] = []
try {
  console.log(`${values.mib} MiB, Linux ${release()}, load ${readFileSync('/proc/loadavg', 'utf8').split(' ')[0]}\n`)
  console.log('| read | pages of the mounted file | pages of the data file | private memory | for each byte |')
  console.log('|---|---|---|---|---|')
  await dropPages(raw)
  await program('dd', `if=${raw}`, 'of=/dev/null', 'bs=1M', 'status=none')
  print('the raw file, buffered', { mounted: 0, data: await pagesOf(raw), worker: 0 })
  const cold = await mount('cold', '--no-passthrough')
  await ask('cold, buffered, in sequence', cold, inSequence)
  const warm = await mount('warm', '--no-passthrough')
  await parentfs('promote', warm.target)
  await ask('warm, buffered, in sequence', warm, inSequence)
  await ask('warm, buffered, 4 KiB at random', warm, target => atRandom(target, 4, 0))
  await ask('warm, buffered, 64 KiB at random', warm, target => atRandom(target, 64, 0))
  await ask('warm, O_DIRECT, 64 KiB at random, 4 readers', warm, target => atRandom(target, 64, 1))
  const passed = await mount('passed')
  await parentfs('promote', passed.target)
  // Its pages are those of the data file: the kernel shows them under both names.
  await ask('passthrough, buffered, in sequence', passed, inSequence, true)
  const { passthrough } = await statusOf(passed)
  if (passthrough.opens === 0) console.log(`\nthere was no passthrough: ${passthrough.off}`)
} finally {
  for (const { mountpoint } of mounts) await parentfs('unmount', '--force', mountpoint)
  rmSync(home, { recursive: true, force: true })
}

/** Read, with nothing in the page cache before, and say what is there afterwards. */
async function ask(
  what: string,
  mount: Mount,
  read: (target: string) => Promise<unknown>,
  isSameFile = false,
): Promise<void> {
  const dataPath = () => {
    const [id] = readdirSync(join(mount.cache, 'images'))
    return id && join(mount.cache, 'images', id)
  }
  const { pid } = await statusOf(mount)
  const data = dataPath()
  if (data) await dropPages(data)
  await program('dd', `if=${mount.target}`, 'iflag=nocache', 'count=0', 'status=none')
  const before = privateBytes(pid)
  await read(mount.target)
  print(what, {
    mounted: isSameFile ? 0 : await pagesOf(mount.target),
    data: await pagesOf(dataPath()!),
    worker: Math.max(0, privateBytes(pid) - before),
  })
}

async function mount(name: string, ...options: readonly string[]): Promise<Mount> {
  const [mountpoint, cache] = [join(home, name), join(home, `cache-${name}`)]
  mkdirSync(mountpoint)
  const capacity = `${Number(values.mib) * 4}MiB`
  const where = ['--cache-dir', cache, '--capacity', capacity]
  await parentfs('mount', `file://${origin}`, mountpoint, ...where, ...options, '--background')
  const made = { mountpoint, cache, target: join(mountpoint, 'a.raw') }
  mounts.push(made)
  return made
}

async function statusOf({ mountpoint }: Mount): Promise<Status> {
  return JSON.parse(await parentfs('status', mountpoint, '--json')) as Status
}

function inSequence(target: string): Promise<string> {
  return program('dd', `if=${target}`, 'of=/dev/null', 'bs=1M', 'status=none')
}

/** Every block once, in another order. */
function atRandom(target: string, kib: number, direct: 0 | 1): Promise<string> {
  const readers = direct ? ['--numjobs=4', '--thread'] : []
  const job = ['--name=x', '--rw=randread', '--ioengine=psync', '--invalidate=0', `--bs=${kib}k`, `--direct=${direct}`]
  // fio would say that its readers come at random, and the kernel would not read ahead.
  return program('fio', '--readonly', '--fadvise_hint=0', `--filename=${target}`, ...job, ...readers)
}

async function pagesOf(path: string): Promise<number> {
  return Number(await program('fincore', '--bytes', '--noheadings', '--output', 'RES', path))
}

function privateBytes(pid: number): number {
  return Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) * 1024
}

function print(what: string, { mounted, data, worker }: Held): void {
  const all = ((mounted + data + worker) / statSync(raw).size).toFixed(2)
  console.log(`| ${what} | ${[mounted, data, worker].map(bytes => (bytes / MiB).toFixed(0)).join(' | ')} | ${all} |`)
}

/** @returns what it wrote */
async function program(file: string, ...args: readonly string[]): Promise<string> {
  return (await promisify(execFile)(file, args)).stdout
}

function writeRandom(path: string): void {
  const fd = openSync(path, 'w')
  const piece = Buffer.alloc(MiB)
  for (let at = 0; at < sizeBytes; at += piece.length) writeSync(fd, randomFillSync(piece))
  closeSync(fd)
}
