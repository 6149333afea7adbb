/**
 * `parentfs promote --group`: has every member of the group bring an image, each byte from the origin once.
 */
import { requestLong } from '../../admin/progress-client.ts'
import type { Progress } from '../../admin/progress-stream.ts'
import { CacheError, isCacheError } from '../../base/errors.ts'
import type { PromotedMember } from '../../fleet/asking/group-promotion.ts'
import { failedExitCode, interruptedExitCode } from '../output/exit-codes.ts'
import { createProgressView } from '../output/progress.ts'
import { newTable, size, trimmed } from '../output/tables.ts'
import { remark, say } from '../output/terminal-output.ts'
import { findImage, noDaemon } from './target.ts'

/**
 * @param image its name or path
 * @param ranges none may be given: a group brings whole images
 * @param path of the mount; null: as the image says, or the only one
 * @returns the exit code: 1 when a member has not all of it
 * @throws CacheError not-found, invalid-argument (in no group), origin-*, access-denied, closed
 */
export async function promoteGroup(image: string, ranges: readonly unknown[], path: string | null): Promise<number> {
  if (ranges.length > 0) throw new CacheError('invalid-argument', '--group brings whole images: leave --range out')
  const { mountpoint, socket, name } = await findImage(image, path)
  const view = await createProgressView()
  const left = new AbortController()
  const leave = () => left.abort()
  process.once('SIGINT', leave)
  process.once('SIGTERM', leave)
  try {
    const options = { onProgress: (progress: Progress) => view.update(progress), signal: left.signal }
    const members = await requestLong(socket, 'fleet/promote', { image: name }, options)
    if (!members) throw await noDaemon(mountpoint)
    view.stop()
    say(tableOfMembers(members))
    return members.every(({ complete }) => complete) ? 0 : failedExitCode
  } catch (error) {
    view.stop()
    if (!left.signal.aborted || !isCacheError(error, 'aborted')) throw error
    remark('parentfs: interrupted: the members stop by themselves; the same command goes on from there')
    return interruptedExitCode
  } finally {
    view.stop()
    process.off('SIGINT', leave)
    process.off('SIGTERM', leave)
  }
}

function tableOfMembers(members: readonly PromotedMember[]): string {
  const table = newTable(['MEMBER', 'PROMOTED', 'IMAGE'])
  for (const { id, promotedBytes, complete, failure } of members) {
    table.push([id, size(promotedBytes), failure ?? (complete ? 'complete' : 'not complete')])
  }
  return trimmed(table.toString())
}
