/**
 * Statuses as tables for people: sizes in binary units, shares in per cent.
 */
import ms from 'ms'
import type { Status } from '../../admin/status.ts'
import { newTable, share, size, trimmed } from './tables.ts'

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
    const sizes = [size(cache.usedBytes), size(cache.capacityBytes)]
    table.push([status.mountpoint, status.state, ...sizes, share(reads.hits, reads.hits + reads.misses), origin.url])
  }
  return trimmed(table.toString())
}

/** Everything about one mount. */
export function tableOfOne(status: Status): string {
  const { cache, pinned, reads, origin, promotion, eviction, scrub } = status
  const facts = newTable()
  facts.push(
    ['mountpoint', status.mountpoint],
    ['origin', `${origin.url}, ${originStateOf(status)}`],
    ...(origin.unsupported ? [['', origin.unsupported]] : []),
    [
      'state',
      `${status.state} for ${ms(status.uptimeSeconds * 1000)}, ${status.transport} transport, parentfs ${status.version}`,
    ],
    ['processes', `worker ${status.pid}, supervisor ${status.supervisorPid}${takeoversOf(status)}`],
    [
      'cache',
      `${size(cache.usedBytes)} of ${size(cache.capacityBytes)} in ${cache.objects} objects, ${cache.directory}`,
    ],
    ...(pinned.maxBytes > 0 ? [['pinned', pinnedOf(status)]] : []),
    ['cache disk', healthOf(status)],
    ['hits', `${reads.hits} reads (${share(reads.hits, reads.hits + reads.misses)}), ${size(reads.hitBytes)}`],
    ['misses', `${reads.misses} reads, ${size(reads.missBytes)}`],
    ['fetched', `${size(origin.bytes)} in ${origin.requests} requests, ${origin.errors} failed`],
    ['mode', modesOf(status)],
    ...proofsOf(status),
    [
      'promoted',
      `${size(promotion.promotedBytes)}, ${size(promotion.queuedBytes)} waiting, ${promotion.dropped} dropped`,
    ],
    // An older daemon does not say.
    ...(status.written ? [['written', writtenOf(status)]] : []),
    ['evicted', `${size(eviction.bytes)} in ${eviction.objects} objects`],
    [
      'scrub',
      `${size(scrub.verifiedBytes)} verified, ${scrub.rounds} rounds, ${scrub.corruptBlocks} damaged blocks dropped`,
    ],
    // An older daemon does not say.
    ...(status.librbd ? librbdOf(status.librbd) : []),
  )
  const images = newTable(['IMAGE', 'SIZE', 'RESIDENT', 'DIGEST', 'VALIDATOR'])
  for (const { name, sizeBytes, residentBytes, complete, digest, validator } of status.images) {
    const resident = complete ? 'complete' : `${size(residentBytes)} (${share(residentBytes, sizeBytes)})`
    images.push([name, size(sizeBytes), resident, digest, validator])
  }
  const known = status.librbd?.parents ?? []
  const parents = newTable(['PARENT', 'SNAPSHOT', 'POOL', 'NAMESPACE', 'IMAGE'])
  for (const { prefix, snapshotId, poolId, namespace, image, refusal } of known) {
    parents.push([prefix, snapshotId, poolId, namespace || '-', image ?? `left to the cluster: ${refusal}`])
  }
  const tables = [facts, ...(status.images.length > 0 ? [images] : []), ...(known.length > 0 ? [parents] : [])]
  return trimmed(tables.map(String).join('\n\n'))
}

/** `away for 5s: connect ECONNREFUSED 127.0.0.1:80; 3 reads wait` */
function originStateOf({ origin: { state, reason, sinceSeconds, waiting } }: Status): string {
  if (state === 'available') return state
  return `${state} for ${ms(sinceSeconds * 1000)}: ${reason}; ${waiting} reads wait`
}

/** The one of all, or of each origin: `a promote, b proxy` */
function modesOf({ origins, images }: Status): string {
  const [first] = origins
  const isOne = origins.every(({ mode }) => mode === first?.mode)
  const all = isOne ? (first?.mode ?? '-') : origins.map(({ name, url, mode }) => `${name ?? url} ${mode}`).join(', ')
  const own = images.filter(({ name, mode }) => mode !== originOf(name, origins)?.mode).length
  return own === 0 ? all : `${all}; ${own} images have another`
}

/** `2 images proven; 1 by a root hash that came with it, which proves nothing against its origin` */
function proofsOf({ images }: Status): string[][] {
  // An older daemon does not say.
  const proofs = images.flatMap(({ proof }) => proof ?? [])
  if (proofs.length === 0) return []
  const proven = proofs.filter(({ trust }) => trust !== null)
  const pinned = proven.filter(({ trust }) => trust === 'pinned').length
  const without = proofs.filter(({ trust, reason }) => trust === null && reason !== null).length
  const weak = pinned > 0 ? `; ${pinned} by a root hash that came with it, which proves nothing against its origin` : ''
  const rest = without > 0 ? `; ${without} without a proof` : ''
  return [['proofs', `${proven.length} images proven${weak}${rest}`]]
}

function originOf(image: string, origins: Status['origins']): Status['origins'][number] | undefined {
  return origins.find(({ name }) => name === null || image.startsWith(`${name}/`))
}

/** `bypass for 5s: a read took over 750 ms` */
function healthOf({ health: { state, reason, sinceSeconds } }: Status): string {
  return state === 'healthy' ? state : `${state} for ${ms(sinceSeconds * 1000)}: ${reason}`
}

/** `3 connections; 50 answers by path, 2 absent, 7 by the cluster (5 cold, 2 unknown)` */
function librbdOf({ connections, answers }: NonNullable<Status['librbd']>): string[][] {
  const { resident = 0, partial = 0, absent = 0, ...rest } = answers
  const cluster = Object.entries(rest).filter(([, count]) => count > 0)
  const why = cluster.map(([kind, count]) => `${count} ${kind}`).join(', ')
  const left = cluster.reduce((sum, [, count]) => sum + count, 0)
  const told = `${resident + partial} answers by path, ${absent} absent, ${left} by the cluster`
  return [['librbd', `${connections} connections; ${told}${why && ` (${why})`}`]]
}

/** `1 GiB of the 2 GiB that they may take; 5 GiB may be pinned` */
function pinnedOf({ pinned: { heldBytes, maxBytes: wholeBytes, allowedBytes } }: Status): string {
  const whole = `${size(heldBytes)} held of ${size(wholeBytes)}`
  const over = wholeBytes > allowedBytes ? '; the oldest pins are kept as far as that goes' : ''
  return `${whole}, at most ${size(allowedBytes)} can be${over}`
}

/** `1 GiB, 5 TiB since the cache was made; 100 GiB of the write budget are left` */
function writtenOf({ written: { bytes, totalBytes, leftBytes } }: Status): string {
  const left = leftBytes === null ? '' : `; ${size(Math.max(0, leftBytes))} of the write budget are left`
  return `${size(bytes)}, ${size(totalBytes)} since the cache was made${left}`
}

function takeoversOf({ takeovers: { possible, count, longestPauseMs } }: Status): string {
  if (!possible) return '; none could take over: on this mount requests are not repeated'
  return count === 0 ? '' : `; ${count} workers took over, in ${ms(longestPauseMs)} at most`
}

/** A parentfs mount whose daemon does not answer us: dead, or another user's. */
export interface UnansweredMount {
  readonly mountpoint: string
  readonly state: 'unanswered'
}
