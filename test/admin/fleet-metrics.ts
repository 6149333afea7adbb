/** The metrics of a group, off the status of this host's part in it. */
import t from 'tap'
import { fleetMetrics } from '../../src/admin/fleet-metrics.ts'
import type { Measurements } from '../../src/admin/measurements.ts'
import { originReasons } from '../../src/fleet/asking/unit-reader.ts'

const healths = ['well', 'well', 'passed-by', 'quarantined', 'quarantined', 'quarantined']
const byReason = (from: number) => Object.fromEntries(originReasons.map((reason, k) => [reason, from + k]))
const fleet = {
  registry: { state: 'connected' },
  viewAgeSeconds: 10,
  members: healths.map((health, k) => ({ health, refusals: 2 ** k })),
  memberBytes: 11,
  originBytes: byReason(20),
  originReads: byReason(30),
  native: { bytes: 12, refusedImages: 13 },
  hedges: { paid: 14, unpaid: 15 },
  audits: { compared: 9, different: 2, leftOut: 0, forgottenUnits: 0 },
  profiles: { found: 40, absent: 41, pushed: 42, notPushed: 43 },
  versions: { told: 44, untold: 45 },
  promotions: { complete: 46, incomplete: 47 },
}

/** Every sample of them, by name and value of its label. */
function samplesOf(fleet: unknown): Record<string, unknown> {
  const measured = { fleet } as Measurements
  const samples = fleetMetrics.flatMap(({ name, read }) =>
    read(measured).map(({ labels, value }) => [[name, ...Object.values(labels)].join(' '), value]),
  )
  return Object.fromEntries(samples)
}

t.test('members are counted by health, reads by their source, and audits by their result', async t => {
  t.match(samplesOf(fleet), {
    'parentfs_fleet_members well': 2,
    'parentfs_fleet_members passed-by': 1,
    'parentfs_fleet_members quarantined': 3,
    parentfs_fleet_registry_up: 1,
    parentfs_fleet_view_age_seconds: 10,
    parentfs_fleet_member_bytes_total: 11,
    'parentfs_fleet_origin_bytes_total own': 20,
    'parentfs_fleet_origin_bytes_total late': 23,
    parentfs_fleet_native_bytes_total: 12,
    parentfs_fleet_permits_refused_total: 13,
    'parentfs_fleet_profiles_total not-pushed': 43,
    'parentfs_fleet_versions_total untold': 45,
    'parentfs_fleet_promoted_members_total incomplete': 47,
    parentfs_fleet_refusals_total: 63,
    'parentfs_fleet_audited_blocks_total same': 7,
    'parentfs_fleet_audited_blocks_total different': 2,
  })
  t.match(samplesOf({ ...fleet, registry: { state: 'lost' } }), { parentfs_fleet_registry_up: 0 })
})

t.test('a host in no group has all of them, and each is 0', async t => {
  const alone = samplesOf(null)
  t.same(Object.keys(alone), Object.keys(samplesOf(fleet)))
  for (const [name, value] of Object.entries(alone)) t.equal(value, 0, name)
})
