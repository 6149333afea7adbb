/**
 * Metrics of hosts that share: the serving port, and the group. docs/OPERATIONS.md lists them.
 */
import { peerHealths } from '../fleet/asking/peer-health.ts'
import { originReasons } from '../fleet/asking/unit-reader.ts'
import { counter, gauge, type Metric } from './metric.ts'

export const servingMetrics: readonly Metric[] = [
  counter('parentfs_served_requests_total', 'Requests of other hosts to the serving port.', m => m.serving.requests),
  counter('parentfs_served_bytes_total', 'Bytes of images sent to other hosts.', m => m.serving.sentBytes),
  counter('parentfs_served_native_bytes_total', 'Of these, bytes sent by native threads.', m => m.serving.nativeBytes),
  {
    kind: 'counter',
    name: 'parentfs_served_refused_total',
    help: 'Requests and connections refused: unauthorized, busy (503) or too-many.',
    labels: ['reason'],
    read: ({ serving: { denied, busy, tooMany } }) => [
      { labels: { reason: 'unauthorized' }, value: denied },
      { labels: { reason: 'busy' }, value: busy },
      { labels: { reason: 'too-many' }, value: tooMany },
    ],
  },
  gauge('parentfs_served_connections', 'Connections to the serving port.', ({ serving }) => serving.connections),
  gauge('parentfs_served_waiting_requests', 'Requests of other hosts that wait for an origin.', m => m.serving.waiting),
  gauge(
    'parentfs_registered_copies',
    'Copies of this host among the locations of an image service.',
    m => m.registrations.registered,
  ),
  {
    kind: 'counter',
    name: 'parentfs_registrations_total',
    help: 'Locations added at and removed from an image service, and changes that it refused.',
    labels: ['outcome'],
    read: ({ registrations: { added, removed, refused } }) =>
      Object.entries({ added, removed, refused }).map(([outcome, value]) => ({ labels: { outcome }, value })),
  },
  gauge('parentfs_foreign_bytes', 'Bytes held that only other hosts read.', ({ serving }) => serving.foreignBytes),
]

export const fleetMetrics: readonly Metric[] = [
  {
    kind: 'gauge',
    name: 'parentfs_fleet_members',
    help: 'Members of the group, this host included, by health as this host sees it.',
    labels: ['health'],
    read: ({ fleet }) =>
      peerHealths.map(health => ({
        labels: { health },
        value: fleet?.members.filter(member => member.health === health).length ?? 0,
      })),
  },
  gauge('parentfs_fleet_registry_up', 'Does the registry of the group answer?', ({ fleet }) =>
    Number(fleet?.registry.state === 'connected'),
  ),
  gauge(
    'parentfs_fleet_view_age_seconds',
    'Time since the registry was heard of; 0: never, or in no group.',
    ({ fleet }) => fleet?.viewAgeSeconds ?? 0,
  ),
  counter(
    'parentfs_fleet_member_bytes_total',
    'Bytes of reads that came from members.',
    m => m.fleet?.memberBytes ?? 0,
  ),
  {
    kind: 'counter',
    name: 'parentfs_fleet_origin_bytes_total',
    help: 'Bytes of shared reads that came from the origin, by reason: own is the part of this host, the others are fallbacks.',
    labels: ['reason'],
    read: ({ fleet }) => originReasons.map(reason => ({ labels: { reason }, value: fleet?.originBytes[reason] ?? 0 })),
  },
  counter(
    'parentfs_fleet_native_bytes_total',
    'Of the bytes with the reason own, those that session threads read by themselves.',
    m => m.fleet?.native.bytes ?? 0,
  ),
  counter(
    'parentfs_fleet_permits_refused_total',
    'Images opened in a group that session threads do not read by themselves, for lack of room.',
    m => m.fleet?.native.refusedImages ?? 0,
  ),
  {
    name: 'parentfs_fleet_profiles_total',
    kind: 'counter',
    help: 'Boot profiles asked of the group (found, absent) and left with its members (pushed, not-pushed).',
    labels: ['outcome'],
    read: ({ fleet }) => {
      const { found = 0, absent = 0, pushed = 0, notPushed = 0 } = fleet?.profiles ?? {}
      return Object.entries({ found, absent, pushed, 'not-pushed': notPushed }).map(([outcome, value]) => ({
        labels: { outcome },
        value,
      }))
    },
  },
  {
    name: 'parentfs_fleet_versions_total',
    kind: 'counter',
    help: 'Versions of images asked of members because the origin did not answer: told, or known to none (untold).',
    labels: ['outcome'],
    read: ({ fleet }) =>
      Object.entries(fleet?.versions ?? { told: 0, untold: 0 }).map(([outcome, value]) => ({
        labels: { outcome },
        value,
      })),
  },
  {
    name: 'parentfs_fleet_promoted_members_total',
    kind: 'counter',
    help: 'Members that promotions by the group, begun here, left with all of an image (complete) or without (incomplete).',
    labels: ['outcome'],
    read: ({ fleet }) =>
      Object.entries(fleet?.promotions ?? { complete: 0, incomplete: 0 }).map(([outcome, value]) => ({
        labels: { outcome },
        value,
      })),
  },
  counter('parentfs_fleet_refusals_total', 'Questions that members refused.', ({ fleet }) =>
    (fleet?.members ?? []).reduce((sum, { refusals }) => sum + refusals, 0),
  ),
  {
    kind: 'counter',
    name: 'parentfs_fleet_audited_blocks_total',
    help: 'Blocks of members that were compared with the origin.',
    labels: ['result'],
    read: ({ fleet }) => [
      { labels: { result: 'same' }, value: (fleet?.audits.compared ?? 0) - (fleet?.audits.different ?? 0) },
      { labels: { result: 'different' }, value: fleet?.audits.different ?? 0 },
    ],
  },
]
