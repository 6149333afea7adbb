/**
 * `parentfs status`: one mount or all, as a table for people or as JSON.
 */

import { fetchStatus } from '../../admin/admin-client.ts'
import { socketPath, socketPaths, trustedRuntimeDirectory } from '../../admin/socket-path.ts'
import type { Status } from '../../admin/status.ts'
import { troubleOf } from '../../admin/supervisor-presence.ts'
import { CacheError } from '../../base/errors.ts'
import { fileSystemType, mountAt, readMountTable } from '../../daemon/mount/mount-table.ts'
import { resolveMountpoint } from '../../daemon/mount/mountpoint.ts'
import type { UnansweredMount } from '../output/status-table.ts'

/**
 * @param mountpoint null for all
 * @returns the exit code
 * @throws CacheError not-found when nothing is mounted there, closed when its daemon does not answer
 */
export async function status(mountpoint: string | null, json: boolean): Promise<number> {
  const found = mountpoint === null ? await statusOfAll() : await statusOf(mountpoint)
  if (json) {
    console.log(JSON.stringify(found, null, 2))
  } else {
    const { tableOfAll, tableOfOne } = await import('../output/status-table.ts')
    console.log(Array.isArray(found) ? tableOfAll(found) : tableOfOne(found as Status))
  }
  return 0
}

async function statusOf(path: string): Promise<Status> {
  const mountpoint = await resolveMountpoint(path)
  const socket = socketPath(mountpoint, trustedRuntimeDirectory())
  const answer = await fetchStatus(socket)
  if (answer) return answer
  const trouble = troubleOf(socket)
  if (trouble !== null) {
    const advice = 'readers wait while another is tried again and again; its log says more'
    throw new CacheError('closed', `${mountpoint} has no worker (${trouble}): ${advice}`)
  }
  const entry = await mountAt(mountpoint)
  if (entry?.type !== fileSystemType) {
    throw new CacheError('not-found', `${mountpoint} is not a parentfs mount: "parentfs status" lists the mounts`)
  }
  const advice = `it died, or another user mounted it: "parentfs unmount ${mountpoint}" removes what a dead one left`
  throw new CacheError('closed', `${mountpoint} is a parentfs mount whose daemon does not answer: ${advice}`)
}

async function statusOfAll(): Promise<(Status | UnansweredMount)[]> {
  const paths = socketPaths(trustedRuntimeDirectory())
  const answers = await Promise.allSettled(paths.map(path => fetchStatus(path)))
  const statuses = answers.flatMap(answer => (answer.status === 'fulfilled' && answer.value ? [answer.value] : []))
  const answered = new Set(statuses.map(({ mountpoint }) => mountpoint))
  const table = await readMountTable()
  const unanswered = table
    .filter(({ type, mountpoint }) => type === fileSystemType && !answered.has(mountpoint))
    .map(({ mountpoint }) => ({ mountpoint, state: 'unanswered' as const }))
  return [...statuses, ...unanswered].sort((a, b) => (a.mountpoint < b.mountpoint ? -1 : 1))
}
