/**
 * `parentfs verify`: compares cached blocks with their checksums and digests, shows the progress, and reports the
 * findings.
 */
import { statSync } from 'node:fs'
import prettyBytes from 'pretty-bytes'
import { requestLong } from '../../admin/progress-client.ts'
import type { Progress } from '../../admin/progress-stream.ts'
import type { VerifiedImage } from '../../cache/integrity/verify-image.ts'
import { createProgressView } from '../output/progress.ts'
import { say } from '../output/terminal-output.ts'
import { findImage, findMount, findPath, type Mount, mountNamed, noDaemon } from './target.ts'

/**
 * @param image its name, its path, or the path of a mount: all of that; null: all
 * @param path of the mount; null: as the image says, or the only one
 * @returns the exit code: 0 when all is well, 1 when anything was bad
 * @throws CacheError not-found when no daemon serves the mountpoint, or it has no such image
 */
export async function verify(image: string | null, path: string | null): Promise<number> {
  const { mountpoint, socket, name } = await targetOf(image, path)
  const view = await createProgressView()
  try {
    const onProgress = (progress: Progress) => view.update({ ...progress, phase: `verifying ${progress.phase}` })
    const images = await requestLong(socket, 'verify', { image: name }, { onProgress })
    if (images === null) throw await noDaemon(mountpoint)
    view.stop()
    for (const found of images) say(summaryOf(found))
    if (images.length === 0) say('nothing is held yet')
    return images.some(isBad) ? 1 : 0
  } finally {
    view.stop()
  }
}

/** A directory outside of all mounts is meant as one, too: the complaint is about the mount that is not there. */
async function wholeMount(path: string): Promise<string | null> {
  const mountpoint = await mountNamed(path)
  if (mountpoint !== null || !path.includes('/') || (await findPath(path)) !== null) return mountpoint
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ? path : null
}

async function targetOf(image: string | null, path: string | null): Promise<Mount & { readonly name: string | null }> {
  const whole = image === null ? path : await wholeMount(image)
  if (image === null || (whole !== null && (path === null || (await mountNamed(path)) === whole))) {
    return { ...(await findMount(whole)), name: null }
  }
  return findImage(image, path)
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
