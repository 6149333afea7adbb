/**
 * `parentfs verify`: compares what the daemon holds with its checksums and digests, shows how far it is, and says what it found.
 */
import prettyBytes from 'pretty-bytes'
import { runtimeDirectory, runtimeSurroundings, socketPath } from '../admin/socket-path.ts'
import { requestVerification } from '../admin/verification-client.ts'
import type { VerificationProgress, VerifiedImage } from '../cache/verification.ts'
import { resolveMountpoint } from '../daemon/mountpoint.ts'
import { CacheError } from '../errors.ts'

/** Shows how far a verification is. */
interface ProgressView {
  update(progress: VerificationProgress): void
  stop(): void
}

/**
 * @param image its name, or null for all
 * @returns the exit code: 0 when all is well, 1 when anything was bad
 * @throws CacheError not-found when no daemon serves the mountpoint, or it has no such image
 */
export async function verify(path: string, image: string | null): Promise<number> {
  const mountpoint = await resolveMountpoint(path)
  const view = process.stderr.isTTY ? await bar() : lines()
  try {
    const socket = socketPath(mountpoint, runtimeDirectory(runtimeSurroundings()))
    const images = await requestVerification(socket, image, progress => view.update(progress))
    if (images === null) throw new CacheError('not-found', `no parentfs daemon serves ${mountpoint}`)
    view.stop()
    for (const found of images) process.stdout.write(`${summaryOf(found)}\n`)
    if (images.length === 0) process.stdout.write('nothing is held yet\n')
    return images.some(isBad) ? 1 : 0
  } finally {
    view.stop()
  }
}

function isBad({ corruptBlocks, digest }: VerifiedImage): boolean {
  return corruptBlocks > 0 || digest === 'mismatch'
}

function summaryOf({ name, verifiedBytes, corruptBlocks, complete, digest, problem }: VerifiedImage): string {
  const blocks =
    corruptBlocks === 0 ? 'no damaged block' : `${corruptBlocks} damaged blocks dropped, to be fetched again`
  const whole = {
    none: 'its publisher gives no digest',
    unverified: complete ? 'not compared with its digest' : 'not complete',
    verified: 'as its publisher says',
    mismatch: 'NOT what its publisher says; it is not served',
  }[digest]
  const why = problem === null ? '' : ` (${problem})`
  return `${name}: ${prettyBytes(verifiedBytes, { binary: true })} verified, ${blocks}, ${whole}${why}`
}

/** On a terminal. */
async function bar(): Promise<ProgressView> {
  const { default: cliProgress } = await import('cli-progress')
  const format = '{bar} {percentage} % {name} {phase}'
  const shown = new cliProgress.SingleBar(
    { format, barsize: 24, hideCursor: true, stopOnComplete: false, clearOnComplete: true },
    cliProgress.Presets.shades_classic,
  )
  shown.start(1, 0, { name: '', phase: '' })
  return {
    update: ({ name, phase, doneBytes, totalBytes }) => {
      shown.setTotal(Math.max(1, totalBytes))
      shown.update(doneBytes, { name, phase })
    },
    stop: () => shown.stop(),
  }
}

/** Elsewhere: a line for each image and phase. */
function lines(): ProgressView {
  let last = ''
  return {
    update: ({ name, phase, totalBytes }) => {
      const line = `${name}: verifying ${phase} of ${prettyBytes(totalBytes, { binary: true })}`
      if (line !== last) process.stderr.write(`${line}\n`)
      last = line
    },
    stop: () => {},
  }
}
