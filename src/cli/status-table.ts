/**
 * Statuses as tables for people: sizes in binary units, shares in per cent.
 */
import Table from 'cli-table3'
import ms from 'ms'
import prettyBytes from 'pretty-bytes'
import type { Status } from '../admin/status.ts'
import type { UnansweredMount } from './status.ts'

/** No boxes: lines that grep and awk can work with. */
const plain = {
  chars: Object.fromEntries(
    'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid middle'
      .split(' ')
      .map(name => [name, '']),
  ),
  style: { 'padding-left': 0, 'padding-right': 2, head: [], border: [] },
}

/** One line a mount. */
export function tableOfAll(statuses: readonly (Status | UnansweredMount)[]): string {
  if (statuses.length === 0) return 'nothing is mounted'
  const table = newTable(['MOUNTPOINT', 'STATE', 'USED', 'CAPACITY', 'HITS', 'ORIGIN'])
  for (const status of statuses) {
    if (status.state === 'unanswered') {
      table.push([status.mountpoint, status.state, '-', '-', '-', '-'])
      continue
    }
    const { cache, reads, origin } = status
    const sizes = [bytes(cache.usedBytes), bytes(cache.capacityBytes)]
    table.push([status.mountpoint, status.state, ...sizes, share(reads.hits, reads.hits + reads.misses), origin.url])
  }
  return trimmed(table.toString())
}

/** Everything about one mount. */
export function tableOfOne(status: Status): string {
  const { cache, reads, origin, promotion, eviction, scrub } = status
  const facts = newTable()
  facts.push(
    ['mountpoint', status.mountpoint],
    ['origin', origin.url],
    [
      'state',
      `${status.state} for ${ms(status.uptimeSeconds * 1000)}, ${status.transport} transport, parentfs ${status.version}`,
    ],
    ['processes', `server ${status.pid}, keeper ${status.keeperPid}`],
    [
      'cache',
      `${bytes(cache.usedBytes)} of ${bytes(cache.capacityBytes)} in ${cache.objects} objects, ${cache.directory}`,
    ],
    ['cache disk', healthOf(status)],
    ['hits', `${reads.hits} reads (${share(reads.hits, reads.hits + reads.misses)}), ${bytes(reads.hitBytes)}`],
    ['misses', `${reads.misses} reads, ${bytes(reads.missBytes)}`],
    ['fetched', `${bytes(origin.bytes)} in ${origin.requests} requests, ${origin.errors} failed`],
    [
      'promoted',
      `${bytes(promotion.promotedBytes)}, ${bytes(promotion.queuedBytes)} waiting, ${promotion.dropped} dropped`,
    ],
    ['evicted', `${bytes(eviction.bytes)} in ${eviction.objects} objects`],
    [
      'scrub',
      `${bytes(scrub.verifiedBytes)} verified, ${scrub.rounds} rounds, ${scrub.corruptBlocks} damaged blocks dropped`,
    ],
  )
  const images = newTable(['IMAGE', 'SIZE', 'RESIDENT', 'DIGEST', 'VALIDATOR'])
  for (const { name, sizeBytes, residentBytes, complete, digest, validator } of status.images) {
    const resident = complete ? 'complete' : `${bytes(residentBytes)} (${share(residentBytes, sizeBytes)})`
    images.push([name, bytes(sizeBytes), resident, digest, validator])
  }
  return status.images.length === 0 ? trimmed(facts.toString()) : trimmed(`${facts}\n\n${images}`)
}

/** `bypass for 5s: a read took over 750 ms` */
function healthOf({ health: { state, reason, sinceSeconds } }: Status): string {
  return state === 'healthy' ? state : `${state} for ${ms(sinceSeconds * 1000)}: ${reason}`
}

function newTable(head: string[] = []): Table.Table {
  return new Table({ ...plain, ...(head.length > 0 ? { head } : {}) })
}

function bytes(count: number): string {
  return prettyBytes(count, { binary: true })
}

function share(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`
}

function trimmed(text: string): string {
  return text.replace(/[ ]+$/gm, '')
}
