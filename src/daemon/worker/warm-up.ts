/**
 * Warm-up: exercises the path of a miss before guests do, so that V8 has compiled it. The rooms of a scratch mount
 * serve a scratch kernel, from a scratch origin inside this process.
 *
 * It is bounded in processor time and in time, leaves nothing behind, and its failure is no failure of the worker.
 */
import { chmodSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { once } from '../../async/light-abort-signal.ts'
import { withTimeout } from '../../async/with-timeout.ts'
import type { CancelSignal } from '../../base/cancel-signal.ts'
import { HeldDirectory } from '../../base/held-directory.ts'
import { KiB } from '../../base/limits.ts'
import { type LeveledLogger, silentLogger } from '../../base/logger.ts'
import { noPoisonVerdict } from '../../fuse/kernel/inflight-journal.ts'
import type { Addon } from '../../native/addon.ts'
import type { Configuration } from '../config/configuration.ts'
import { capacityMin } from '../config/schema.ts'
import type { ConfigurationDocument } from '../config/settings.ts'
import { Rooms } from './assemble.ts'
import { warmUpCpuMsMax, warmUpMsMax, warmUpRandomReads, warmUpStreamBytes } from './limits.ts'
import { ScratchKernel } from './scratch-kernel.ts'
import { ScratchOrigin, scratchBytes, scratchImage } from './scratch-origin.ts'

export interface WarmUpContext {
  readonly addon: Addon
  readonly logger: Pick<LeveledLogger, 'debug'>
  /** @throws CacheError invalid-argument */
  configure(document: ConfigurationDocument): Configuration
  /** The scratch directory; an earlier content is removed. The one above it exists, and its owner alone can write. */
  directory(): string
  /** Is a web server an origin of the mount? Then the scratch origin is one. */
  readonly isWeb: boolean
  /** Asked between two reads: guests wait, and the warm-up ends. */
  readonly isUnwanted: () => boolean
  /** Those of limits.ts by default. */
  readonly bounds?: WarmUpBounds
}

export interface WarmUpBounds {
  /** Processor time, from which on it reads no more. */
  readonly cpuMsMax: number
  /** The time after which the worker goes on without it. */
  readonly msMax: number
}

const ownBounds: WarmUpBounds = { cpuMsMax: warmUpCpuMsMax, msMax: warmUpMsMax }

const blockBytes = 64 * KiB
/** The agreement with a kernel that offers nothing. */
const negotiated = { minor: 45, flags: 0, flags2: 0, maxReadaheadBytes: 128 * KiB }

/** Never rejects: a failure is a line for debugging. */
export async function warmUp(context: WarmUpContext): Promise<void> {
  const { cpuMsMax, msMax } = context.bounds ?? ownBounds
  const stopped = new AbortController()
  const beganMs = performance.now()
  const began = process.cpuUsage()
  const usedMs = () => {
    const { user, system } = process.cpuUsage(began)
    return (user + system) / 1000
  }
  const isOver = () => stopped.signal.aborted || context.isUnwanted() || usedMs() >= cpuMsMax
  let failure: unknown = null
  try {
    const late = () => new Error(`not done in ${msMax} ms`)
    await withTimeout(msMax, withScratch(context, isOver, stopped.signal), late)
  } catch (error) {
    failure = error
  }
  stopped.abort()
  const fields = { cpuMs: Math.round(usedMs()), ms: Math.round(performance.now() - beganMs) }
  if (failure === null) context.logger.debug(fields, 'warmed up')
  else context.logger.debug({ ...fields, err: failure }, 'the warm-up has failed')
}

async function withScratch(context: WarmUpContext, isOver: () => boolean, signal: CancelSignal): Promise<void> {
  const directory = context.directory()
  const [above, name] = [HeldDirectory.open(dirname(directory)), basename(directory)]
  try {
    above.remove(name)
    above.made(name).close()
    await serveScratch(context, directory, isOver, signal)
  } finally {
    above.remove(name)
    above.close()
  }
}

async function serveScratch(
  context: WarmUpContext,
  directory: string,
  isOver: () => boolean,
  signal: CancelSignal,
): Promise<void> {
  const { addon, isWeb } = context
  const bytes = scratchBytes(warmUpRandomReads * blockBytes + warmUpStreamBytes)
  const socket = join(directory, 'origin.sock')
  const origin = isWeb ? await ScratchOrigin.listen(socket, bytes) : null
  let [kernel, rooms] = [null as ScratchKernel | null, null as Rooms | null]
  try {
    const url = isWeb ? 'http://scratch.invalid/' : pathToFileURL(imagesIn(directory, bytes)).href
    const configuration = context.configure({
      origin: { url, ...(isWeb ? { unixSocket: socket } : {}) },
      cache: { directory: join(directory, 'cache'), capacity: capacityMin(blockBytes), blockSize: blockBytes },
      worker: { sessionThreads: 1, storeThreads: 1 },
    } as ConfigurationDocument)
    const quiet = { logger: silentLogger, bypass: null, indexDoubt: null, isAwaited: false, tell: () => {} }
    rooms = await Rooms.open(configuration, { addon, signal, ...quiet })
    kernel = new ScratchKernel(addon)
    signal.addEventListener('abort', () => kernel?.hangUp(), once)
    const work = { judgement: noPoisonVerdict, write: () => {} }
    await rooms.serve({ fd: kernel.device, negotiated, work, onNegotiated: async () => {} })
    await readAll(kernel, isOver)
  } finally {
    await rooms?.close()
    kernel?.close()
    origin?.close()
  }
}

/**
 * The second part of the image as a stream, then misses all over the first. The stream comes first: on a busy machine
 * the bounds end the warm-up soon, and the stream has most of the code.
 */
async function readAll(kernel: ScratchKernel, isOver: () => boolean): Promise<void> {
  const nodeId = await kernel.lookup(scratchImage.name)
  const handle = await kernel.open(nodeId)
  const begin = warmUpRandomReads * blockBytes
  for (let at = 0; at < warmUpStreamBytes && !isOver(); at += blockBytes)
    await kernel.read(nodeId, handle, begin + at, blockBytes)
  // Triangular numbers name each block once, and no three of them are equally far apart.
  for (let n = 0; n < warmUpRandomReads && !isOver(); n++) {
    const block = ((n * (n + 1)) / 2) % warmUpRandomReads
    await kernel.read(nodeId, handle, block * blockBytes, 4 * KiB)
  }
  await kernel.release(nodeId, handle)
}

function imagesIn(directory: string, bytes: Uint8Array): string {
  const images = HeldDirectory.open(directory)
  try {
    images.made('images').close()
    const path = join(directory, 'images')
    writeFileSync(join(path, scratchImage.name), bytes)
    chmodSync(join(path, scratchImage.name), 0o400)
    return path
  } finally {
    images.close()
  }
}
