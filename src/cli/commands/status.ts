/**
 * `parentfs status`: one mount or all, as a table for people or as JSON.
 */

import { fetchStatus } from '../../admin/admin-client.ts'
import { socketPath, socketPaths, trustedRuntimeDirectory } from '../../admin/socket-path.ts'
import type { Status } from '../../admin/status.ts'
import { fileSystemType, readMountTable } from '../../daemon/mount/mount-table.ts'
import { resolveMountpoint } from '../../daemon/mount/mountpoint.ts'
import type { UnansweredMount } from '../output/status-table.ts'
import { noDaemon } from './target.ts'

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
  throw await noDaemon(mountpoint)
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
