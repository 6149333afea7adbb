/**
 * `parentfs metrics`: what Prometheus would get, on standard output.
 */
import { fetchMetrics } from '../../admin/admin-client.ts'
import { findMount, noDaemon } from './target.ts'

/**
 * @param path null: the only mount
 * @returns the exit code
 * @throws CacheError not-found, access-denied, closed
 */
export async function metrics(path: string | null): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  const text = await fetchMetrics(socket)
  if (text === null) throw await noDaemon(mountpoint)
  process.stdout.write(text)
  return 0
}
