/**
 * `parentfs images`: what a mount shows, and how much of it the cache has.
 */
import ms from 'ms'
import { fetchStatus, requestDelta, requestTemperatures } from '../../admin/admin-client.ts'
import type { ImageStatus } from '../../cache/cache-status.ts'
import type { DeltaReport } from '../../cache/operations/delta-cost.ts'
import type { Temperatures } from '../../cache/operations/image-temperatures.ts'
import { newTable, share, size, trimmed } from '../output/tables.ts'
import { findMount, noDaemon } from './target.ts'

/** @param path null: the only mount. @returns the exit code. @throws CacheError not-found, access-denied, closed */
export async function images(path: string | null, json: boolean): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  const status = await fetchStatus(socket)
  if (!status) throw await noDaemon(mountpoint)
  console.log(json ? JSON.stringify(status.images, null, 2) : tableOfImages(status.images))
  return 0
}

/** @param path null: the only mount. @returns the exit code. @throws CacheError not-found, access-denied, closed */
export async function temperatures(path: string | null, json: boolean): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  const found = await requestTemperatures(socket)
  if (!found) throw await noDaemon(mountpoint)
  console.log(json ? JSON.stringify(found, null, 2) : tableOfTemperatures(found))
  return 0
}

/**
 * The cost of a new version.
 * @param path null: the only mount
 * @returns the exit code
 * @throws CacheError not-found, access-denied, closed, origin-*
 */
export async function delta(name: string, path: string | null, json: boolean): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  const report = await requestDelta(socket, name)
  if (!report) throw await noDaemon(mountpoint)
  console.log(json ? JSON.stringify(report, null, 2) : textOfDelta(report))
  return 0
}

/** `a.raw of 1 GiB: 10 MiB changed, 1000 MiB are equal (4 MiB of them at other offsets)` */
export function textOfDelta(report: DeltaReport): string {
  const { name, sizeBytes, changedBytes, sameBytes, movedBytes, reason } = report
  if (reason !== null) return `${name} of ${size(sizeBytes)}: costs all of it: ${reason}`
  const moved = movedBytes > 0 ? ` (${size(movedBytes)} of them at other offsets)` : ''
  return `${name} of ${size(sizeBytes)}: ${size(changedBytes)} changed, ${size(sameBytes + movedBytes)} are equal${moved}`
}

/** One line an image, with a column for each number of periods; above them the hit sets of each origin. */
export function tableOfTemperatures({ origins, images }: Temperatures): string {
  const sets = origins.map(({ name, type, sets: now, count, periodSeconds, memoryBytes, overflow }) => {
    const missing = overflow > 0 ? `; ${overflow} uses found no room` : ''
    const periods = `${now} of ${count} periods of ${ms(periodSeconds * 1000)}, ${size(memoryBytes)}`
    return `${name ?? 'hit sets'}: ${type === 'none' ? 'no hit sets' : `${type}, ${periods}${missing}`}`
  })
  if (images.length === 0) return sets.join('\n')
  const columns = Math.max(...images.map(({ bytesByPeriods }) => bytesByPeriods.length))
  const table = newTable(['IMAGE', 'SIZE', ...Array.from({ length: columns }, (_, k) => `IN ${k}`)])
  for (const { name, sizeBytes, bytesByPeriods } of images) {
    const cells = Array.from({ length: columns }, (_, k) => size(bytesByPeriods[k] ?? 0))
    table.push([name, size(sizeBytes), ...cells])
  }
  return `${sets.join('\n')}\n\n${trimmed(table.toString())}`
}

/** One line an image. */
export function tableOfImages(images: readonly ImageStatus[]): string {
  if (images.length === 0) return 'no image was looked up yet: list the mount, or open one'
  const table = newTable(['IMAGE', 'SIZE', 'RESIDENT', 'MODE', 'PINNED', 'OPEN', 'STATE', 'VALIDATOR'])
  for (const image of images) {
    const { name, sizeBytes, residentBytes, complete, mode, pinned, open, validator } = image
    const resident = complete ? 'complete' : `${size(residentBytes)} (${share(residentBytes, sizeBytes)})`
    table.push([name, size(sizeBytes), resident, mode, yes(pinned), yes(open), stateOf(image), validator])
  }
  return trimmed(table.toString())
}

/** The pass that brings it, or the verdict of its publisher's digest: only one of these is bad. */
function stateOf({ digest, passBytes, sizeBytes }: ImageStatus): string {
  if (typeof passBytes === 'number' && digest !== 'mismatch') return `a pass is at ${share(passBytes, sizeBytes)}`
  const states = { none: 'served', unverified: 'served', verified: 'served, verified', mismatch: 'quarantined' }
  return states[digest]
}

function yes(is: boolean): string {
  return is ? 'yes' : '-'
}
