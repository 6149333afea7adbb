/**
 * The list of metrics: name, type, help and labels, and the reading of each off the measurements. docs/OPERATIONS.md
 * lists them.
 *
 * Names follow the conventions of Prometheus: base units, `_total` for counters. Labels have few values, all known
 * beforehand except the names of origins, of which there are at most `originsMax`; no label names an image.
 */
import { cacheModes } from '../cache/modes/cache-mode.ts'
import { fleetMetrics, servingMetrics } from './fleet-metrics.ts'
import { librbdMetrics } from './librbd-metrics.ts'
import type { Measurements } from './measurements.ts'
import { type CounterMetric, counter, gauge, type Metric, states } from './metric.ts'

type Origin = Measurements['origins'][number]
type Purposes = Measurements['prefetch']['purposes']

const daemonStates = ['starting', 'ready', 'stopping'] as const
const healthStates = ['healthy', 'degraded', 'bypass', 'recovering'] as const
const originStates = ['available', 'suspect', 'away'] as const

const reads: readonly Metric[] = [
  counter('parentfs_hits_total', 'Reads that the cache answered whole.', ({ reads }) => reads.hits),
  counter('parentfs_misses_total', 'Reads that needed the origin.', ({ reads }) => reads.misses),
  counter('parentfs_hit_bytes_total', 'Bytes of hits.', ({ reads }) => reads.hitBytes),
  counter('parentfs_miss_bytes_total', 'Bytes of misses.', ({ reads }) => reads.missBytes),
  {
    kind: 'histogram',
    name: 'parentfs_read_duration_seconds',
    help: 'Time to answer a read, by source. memory, disk: native hits; store: hits verified or retried by the main thread; origin: misses.',
    labels: ['source'],
    read: ({ latencies }) => Object.entries(latencies).map(([source, value]) => ({ labels: { source }, value })),
  },
  gauge('parentfs_requests_in_flight', 'Kernel requests that wait for an answer.', ({ gauges }) => gauges.requests),
  gauge(
    'parentfs_requests_interrupted',
    'Kernel requests whose reader was interrupted and that wait for an answer.',
    ({ gauges }) => gauges.interrupted,
  ),
  gauge('parentfs_fetches_in_flight', 'Extents being fetched or promoted.', ({ gauges }) => gauges.inflightFetches),
  gauge('parentfs_open_images', 'Images that are open.', ({ gauges }) => gauges.openImages),
  gauge('parentfs_open_directories', 'Directories that are open.', ({ gauges }) => gauges.openDirectories),
  gauge('parentfs_nodes', 'Images that the kernel remembers.', ({ gauges }) => gauges.nodes),
]

const cache: readonly Metric[] = [
  gauge('parentfs_cache_capacity_bytes', 'Capacity: the ceiling of the cache directory.', m => m.cache.capacityBytes),
  gauge(
    'parentfs_cache_used_bytes',
    'Bytes that the cache directory takes, reservations included.',
    m => m.cache.usedBytes,
  ),
  gauge('parentfs_cache_index_bytes', 'Bytes that the records of the index take.', ({ cache }) => cache.indexBytes),
  gauge('parentfs_cache_images', 'Images that have a data file.', ({ cache }) => cache.images),
  gauge('parentfs_cache_pinned_bytes', 'Bytes that pinned images hold.', ({ pinned }) => pinned.heldBytes),
  states('parentfs_cache_disk_state', 'State of the cache disk: 1 for the one it is in.', healthStates, m => m.health),
  counter(
    'parentfs_cache_disk_busy_total',
    'Times that the cache disk was healthy but too slow, and reads went to the origin for a second.',
    m => m.busyTimes,
  ),
  gauge(
    'parentfs_cache_index_unlocked_bytes',
    'Bytes of the index that are not locked in memory; a disk error there ends the worker.',
    m => m.cache.unlockedIndexBytes,
  ),
  counter('parentfs_cache_failed_batches_total', 'Batches of promotions lost to the disk.', m => m.cache.failedBatches),
  {
    kind: 'counter',
    name: 'parentfs_taken_bytes_total',
    help: 'Bytes that new versions of sealed images took from older ones: shared by the file system (reflink), or written once more (copy).',
    labels: ['way'],
    read: ({ cache: { taken } }) => [
      { labels: { way: 'reflink' }, value: taken.reflinkedBytes },
      { labels: { way: 'copy' }, value: taken.copiedBytes },
    ],
  },
  gauge('parentfs_promotion_queue_bytes', 'Bytes in the promotion queue.', m => m.promotion.queuedBytes),
  counter('parentfs_promoted_bytes_total', 'Bytes promoted into the cache.', m => m.promotion.promotedBytes),
  {
    kind: 'counter',
    name: 'parentfs_promotions_dropped_total',
    help: 'Extents that were answered and not promoted: queue-full, no-room, disk-failed, recency, write-budget, max-objects or too-young.',
    labels: ['reason'],
    read: ({ promotion }) =>
      Object.entries(promotion.droppedBy).map(([reason, value]) => ({ labels: { reason }, value })),
  },
  counter(
    'parentfs_promotion_withheld_bytes_total',
    'Bytes answered and not promoted because of the mode of their image.',
    m => m.promotion.withheldBytes,
  ),
  counter('parentfs_written_bytes_total', 'Bytes of blocks written to the cache disk.', m => m.written.bytes),
  {
    kind: 'gauge',
    name: 'parentfs_write_budget_left_bytes',
    help: 'Bytes that the write budget has left; no sample without a budget.',
    labels: [],
    read: ({ written: { leftBytes } }) => (leftBytes === null ? [] : [{ labels: {}, value: leftBytes }]),
  },
  counter('parentfs_dropped_samples_total', 'Uses that "parentfs plan" does not know.', m => m.droppedSamples),
  counter('parentfs_evicted_objects_total', 'Objects evicted.', ({ eviction }) => eviction.objects),
  counter('parentfs_evicted_bytes_total', 'Bytes freed by eviction.', ({ eviction }) => eviction.bytes),
  gauge('parentfs_superseded_versions', 'Superseded versions still in the cache.', m => m.retirement.superseded),
  gauge('parentfs_known_images', 'Known images: versions with a name, a record or a node.', m => m.knownImages.known),
  counter('parentfs_forgotten_images_total', 'Images forgotten: too many were known.', m => m.knownImages.forgotten),
  counter('parentfs_refused_images_total', 'Lookups refused: no image could be forgotten.', m => m.knownImages.refused),
  counter('parentfs_truncated_listings_total', 'Listings cut: they had too many names.', m => m.truncatedListings),
  counter('parentfs_retired_versions_total', 'Superseded versions removed from the cache.', m => m.retirement.retired),
  counter('parentfs_forced_retired_versions_total', 'Superseded versions removed early.', m => m.retirement.forced),
  counter('parentfs_scrub_rounds_total', 'Scrub rounds completed over the whole cache.', m => m.scrub.rounds),
  counter('parentfs_scrubbed_bytes_total', 'Bytes that the scrub compared.', m => m.scrub.verifiedBytes),
  counter('parentfs_corrupt_blocks_total', 'Blocks found damaged and dropped.', ({ scrub }) => scrub.corruptBlocks),
  counter('parentfs_passthrough_opens_total', 'Opens by passthrough (reads by the kernel).', m => m.passthrough.opens),
  gauge('parentfs_passthrough_open', 'Passthrough opens that are open now.', ({ passthrough }) => passthrough.openNow),
  gauge(
    'parentfs_passthrough_held_bytes',
    'Bytes of images that are open by passthrough; they are not evicted.',
    m => m.passthrough.heldBytes,
  ),
  counter(
    'parentfs_passthrough_refused_total',
    'Complete images refused passthrough because too many bytes are held.',
    m => m.passthrough.refused,
  ),
  counter('parentfs_forwarded_opens_total', "Opens given the origin's own file.", m => m.forwarding.opens),
  gauge('parentfs_forwarded_open', "Opens of the origin's own files now.", ({ forwarding }) => forwarding.openNow),
  counter('parentfs_forward_refused_total', 'Opens in mode forward that were served.', m => m.forwarding.refused),
  counter('parentfs_forward_redirects_total', 'Requests sent on to the origin.', m => m.forwarding.redirects),
  counter('parentfs_repaired_blocks_total', 'Damaged blocks repaired in place.', m => m.passthrough.repairedBlocks),
]

const prefetch: readonly Metric[] = [
  ofPurposes('parentfs_prefetch_fetched_bytes_total', 'Bytes requested from origins ahead of readers.', 'fetchedBytes'),
  ofPurposes('parentfs_prefetch_read_bytes_total', 'Bytes fetched ahead that were read.', 'readBytes'),
  ofPurposes('parentfs_prefetch_unread_bytes_total', 'Bytes fetched ahead and not read in time.', 'unreadBytes'),
  counter('parentfs_profiles_recorded_total', 'Boot profiles learned or extended.', m => m.prefetch.profiles.recorded),
  counter('parentfs_profiles_replayed_total', 'Cold opens with a boot profile.', m => m.prefetch.profiles.replayed),
  counter(
    'parentfs_profiles_dropped_total',
    'Boot profiles dropped for bad predictions.',
    m => m.prefetch.profiles.dropped,
  ),
  counter(
    'parentfs_profiles_from_group_total',
    'Cold opens with a boot profile that another host had learned.',
    m => m.prefetch.profiles.fromGroup,
  ),
  {
    name: 'parentfs_read_around_held_back_total',
    kind: 'counter',
    help: 'Reads whose neighbours were not fetched: over-budget or busy.',
    labels: ['reason'],
    read: ({ prefetch: { readAround } }) => [
      { labels: { reason: 'over-budget' }, value: readAround.overBudget },
      { labels: { reason: 'busy' }, value: readAround.busy },
    ],
  },
  {
    kind: 'counter',
    name: 'parentfs_published_profiles_total',
    help: 'Searches for boot profiles beside images: used for this version or by name, or why none was used.',
    labels: ['outcome'],
    read: ({ prefetch: { profiles } }) =>
      Object.entries({ ...profiles.published.replayed, ...profiles.published.refused }).map(([outcome, value]) => ({
        labels: { outcome },
        value,
      })),
  },
  gauge('parentfs_prefetch_bytes_in_flight', 'Bytes in flight ahead of readers.', ({ prefetch }) => prefetch.bytes),
  gauge('parentfs_prefetch_queued_requests', 'Prefetch requests in the queue.', m => m.prefetch.queuedRequests),
  gauge('parentfs_readahead_buffer_bytes', 'Bytes in the read-ahead buffer.', ({ prefetch }) => prefetch.bufferedBytes),
  counter('parentfs_prefetch_skipped_total', 'Prefetch requests dropped: no room.', m => m.prefetch.skippedRequests),
]

const origins: readonly Metric[] = [
  ofOrigins('counter', 'parentfs_origin_requests_total', 'Requests sent, retries included.', o => o.requests),
  ofOrigins('counter', 'parentfs_origin_received_bytes_total', 'Bytes of image data received.', o => o.bytes),
  {
    kind: 'counter',
    name: 'parentfs_origin_errors_total',
    help: 'Requests that failed, by error code.',
    labels: ['origin', 'code'],
    read: ({ origins }) =>
      origins.flatMap(({ name: origin, errorsByCode }) =>
        [...errorsByCode].map(([code, value]) => ({ labels: { origin, code }, value })),
      ),
  },
  ofOrigins(
    'counter',
    'parentfs_origin_cancelled_total',
    'Requests cancelled: all readers had left.',
    o => o.cancelled,
  ),
  ofOrigins('gauge', 'parentfs_origin_requests_in_flight', 'Requests in flight.', o => o.inFlight),
  {
    kind: 'histogram',
    name: 'parentfs_origin_read_duration_seconds',
    help: 'Time of a successful read request.',
    labels: ['origin'],
    read: ({ origins }) =>
      origins.map(({ name, readLatencies }) => ({ labels: { origin: name }, value: readLatencies })),
  },
  {
    kind: 'gauge',
    name: 'parentfs_origin_state',
    help: 'State of the origin: 1 for the one it is in; suspect: it was away and has answered since.',
    labels: ['origin', 'state'],
    read: ({ origins }) =>
      origins.flatMap(({ name: origin, state: now }) =>
        originStates.map(state => ({ labels: { origin, state }, value: Number(state === now) })),
      ),
  },
  {
    kind: 'gauge',
    name: 'parentfs_origin_mode',
    help: 'Mode of the images of the origin: 1 for the one in force.',
    labels: ['origin', 'mode'],
    read: ({ origins }) =>
      origins.flatMap(({ name: origin, mode: now }) =>
        cacheModes.map(mode => ({ labels: { origin, mode }, value: Number(mode === now) })),
      ),
  },
  {
    kind: 'counter',
    name: 'parentfs_origin_wrong_blocks_total',
    help: 'Blocks that differed from their hash trees (data), blocks of trees from their root hashes, from the origin (tree) and on disk (kept_tree).',
    labels: ['origin', 'kind'],
    read: ({ origins }) =>
      origins.flatMap(({ name: origin, wrongBlocks }) =>
        Object.entries(wrongBlocks).map(([kind, value]) => ({ labels: { origin, kind }, value })),
      ),
  },
  ofOrigins('gauge', 'parentfs_origin_waiting_reads', 'Reads that wait for the origin to come back.', o => o.waiting),
  ofOrigins('counter', 'parentfs_origin_outages_total', 'Times that the origin went away.', o => o.outages),
  ofOrigins('counter', 'parentfs_origin_delayed_total', 'Attempts delayed until the origin came back.', o => o.delayed),
  ofOrigins('counter', 'parentfs_origin_refused_total', 'Requests for names refused during outages.', o => o.refused),
  ofOrigins('counter', 'parentfs_origin_hedges_total', 'Second requests for slow reads.', o => o.hedges.sent),
  ofOrigins('counter', 'parentfs_origin_hedges_won_total', 'Second requests that answered first.', o => o.hedges.won),
  ofOrigins(
    'counter',
    'parentfs_origin_hedges_over_budget_total',
    'Second requests not sent because the budget was used up.',
    o => o.hedges.overBudget,
  ),
]

const daemon: readonly Metric[] = [
  {
    kind: 'gauge',
    name: 'parentfs_build_info',
    help: 'Always 1; the version is in the label.',
    labels: ['version'],
    read: ({ version }) => [{ labels: { version }, value: 1 }],
  },
  states('parentfs_daemon_state', 'State of the daemon: 1 for the one it is in.', daemonStates, ({ state }) => state),
  {
    kind: 'counter',
    name: 'parentfs_refused_connections_total',
    help: 'Connections refused over the limit: to the admin socket, the metrics port or the page.',
    labels: ['to'],
    read: ({ refusedConnections }) =>
      Object.entries(refusedConnections).map(([to, value]) => ({ labels: { to }, value })),
  },
  counter('parentfs_log_lines_lost_total', 'Log lines of the worker that were lost.', m => m.process.logLinesLost),
  counter(
    'parentfs_trace_spans_exported_total',
    'Spans of misses that the collector has taken.',
    m => m.traces.exported,
  ),
  counter(
    'parentfs_trace_spans_dropped_total',
    'Spans of misses that the collector did not get.',
    m => m.traces.dropped,
  ),
  {
    kind: 'histogram',
    name: 'parentfs_event_loop_lag_seconds',
    help: 'Lateness of a timer on the main thread, sampled four times a second.',
    labels: [],
    read: ({ eventLoopLag }) => [{ labels: {}, value: eventLoopLag }],
  },
  gauge('process_resident_memory_bytes', 'Resident memory of the worker.', ({ process }) => process.residentBytes),
  counter('process_cpu_seconds_total', 'CPU time of the worker, native threads included.', m => m.process.cpuSeconds),
  gauge(
    'process_start_time_seconds',
    'Start time of the worker, in seconds since the epoch.',
    m => m.process.startedSeconds,
  ),
  gauge('nodejs_heap_size_used_bytes', 'JavaScript heap in use.', ({ process }) => process.heapUsedBytes),
  gauge('nodejs_external_memory_bytes', 'Memory of JavaScript buffers outside the heap.', m => m.process.externalBytes),
]

export const metricList: readonly Metric[] = [
  ...reads,
  ...cache,
  ...prefetch,
  ...origins,
  ...servingMetrics,
  ...fleetMetrics,
  ...librbdMetrics,
  ...daemon,
]

/** One series for each reason to fetch ahead. */
function ofPurposes(name: string, help: string, key: keyof Purposes['stream']): CounterMetric {
  const read = ({ prefetch }: Measurements) =>
    Object.entries(prefetch.purposes).map(([purpose, counters]) => ({ labels: { purpose }, value: counters[key] }))
  return { kind: 'counter', name, help, labels: ['purpose'], read }
}

/** One series for each origin. */
function ofOrigins(kind: 'counter' | 'gauge', name: string, help: string, value: (origin: Origin) => number): Metric {
  const read = ({ origins }: Measurements) =>
    origins.map(origin => ({ labels: { origin: origin.name }, value: value(origin) }))
  return { kind, name, help, labels: ['origin'], read }
}
