/**
 * `parentfs locations`: the locations of an image with their figures; `parentfs verify --locations`: all of them
 * compared with the origin.
 */
import { requestLocations } from '../../admin/admin-client.ts'
import { requestLong } from '../../admin/progress-client.ts'
import type { ComparedLocation } from '../../origin/locations/compare-locations.ts'
import type { ImageLocation } from '../../origin/locations/image-location.ts'
import { createProgressView } from '../output/progress.ts'
import { newTable, size, trimmed } from '../output/tables.ts'
import { say } from '../output/terminal-output.ts'
import { findImage, noDaemon } from './target.ts'

/**
 * @param image its name or path
 * @param path of the mount; null: as the image says, or the only one
 * @returns the exit code. @throws CacheError not-found, invalid-argument, origin-*, access-denied, closed
 */
export async function locationsCommand(image: string, path: string | null, json: boolean): Promise<number> {
  const { mountpoint, socket, name } = await findImage(image, path)
  const locations = await requestLocations(socket, name)
  if (!locations) throw await noDaemon(mountpoint)
  console.log(json ? JSON.stringify(locations, null, 2) : tableOfLocations(locations))
  return 0
}

/**
 * @returns the exit code: 1 when a location differs, or could not be compared
 * @throws CacheError not-found, invalid-argument, origin-*, access-denied, closed
 */
export async function verifyLocations(image: string, path: string | null): Promise<number> {
  const { mountpoint, socket, name } = await findImage(image, path)
  const view = await createProgressView()
  try {
    const compared = await requestLong(socket, 'verify-locations', { image: name }, { onProgress: view.update })
    if (!compared) throw await noDaemon(mountpoint)
    view.stop()
    if (compared.length === 0) say(`${name}: no other location has it`)
    for (const location of compared) say(summaryOfLocation(location))
    return compared.some(isDifferent) ? 1 : 0
  } finally {
    view.stop()
  }
}

export function tableOfLocations(locations: readonly ImageLocation[]): string {
  const table = newTable([
    ...['KIND', 'STATE', 'HOLDS', 'LATENCY', 'RATE', 'REQUESTS', 'BYTES', 'ERRORS'],
    ...['LOCATION', ''],
  ])
  for (const {
    url,
    kind,
    latencyMs,
    bytesPerSecond,
    requests,
    bytes,
    errors,
    heldBytes,
    reason,
    ...state
  } of locations) {
    const latency = latencyMs === null ? '-' : `${latencyMs.toFixed(1)} ms`
    const rate = bytesPerSecond === null ? '-' : `${size(Math.round(bytesPerSecond))}/s`
    const holds = heldBytes === null ? '-' : size(heldBytes)
    const own = [kind, stateOf(state), holds, latency, rate, requests, size(bytes), errors]
    table.push([...own, url, reason])
  }
  return trimmed(table.toString())
}

/** Used, spare, or the reason that it is neither. */
function stateOf({ state, isRead }: Pick<ImageLocation, 'state' | 'isRead'>): string {
  if (isRead) return 'used'
  return state === 'origin' || state === 'good' ? 'spare' : state
}

export function summaryOfLocation({
  url,
  by,
  problem,
  differences,
  differingBlocks,
  comparedBytes,
}: ComparedLocation): string {
  if (differingBlocks > 0) {
    const more = differingBlocks > differences.length ? ', ...' : ''
    return `${url}: DIFFERS in ${differingBlocks} blocks, at ${differences.join(', ')}${more}; it is not read any more`
  }
  if (problem !== null) return `${url}: NOT the same, or not compared: ${problem}`
  return by === 'digest' ? `${url}: the same digest` : `${url}: the same, ${size(comparedBytes)} compared`
}

function isDifferent({ differingBlocks, problem }: ComparedLocation): boolean {
  return differingBlocks > 0 || problem !== null
}
