/**
 * `parentfs fleet` and `parentfs fleet leave`: shows the group of a mount, and takes its host out of it.
 */
import { requestFleet, requestFleetLeave } from '../../admin/admin-client.ts'
import type { FleetStatus, MemberStatus, UnitExplanation } from '../../fleet/asking/fleet-status.ts'
import { newTable, share, size, trimmed } from '../output/tables.ts'
import { say } from '../output/terminal-output.ts'
import { findMount, noDaemon } from './target.ts'

/** @returns the exit code: 1 when the registry is away. @throws CacheError not-found, access-denied, closed */
export async function fleetCommand(path: string | null, json: boolean): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  const answer = await requestFleet(socket)
  if (!answer) throw await noDaemon(mountpoint)
  const { fleet } = answer
  if (json) console.log(JSON.stringify(fleet, null, 2))
  else if (fleet === null) say(`${mountpoint}: in no group`)
  else console.log(tableOfFleet(fleet))
  return fleet?.registry.state === 'away' ? 1 : 0
}

/** @returns the exit code. @throws CacheError not-found, invalid-argument (in no group), access-denied, closed */
export async function leaveFleet(path: string | null): Promise<number> {
  const { mountpoint, socket } = await findMount(path)
  if (!(await requestFleetLeave(socket))) throw await noDaemon(mountpoint)
  say(`${mountpoint}: leaves the group; it serves on until it is unmounted`)
  return 0
}

/** The group, and a line for each member. */
export function tableOfFleet(fleet: FleetStatus): string {
  const { group, registry, viewAgeSeconds, memberBytes, originBytes, native, hedges, audits, versions } = fleet
  const fromOrigin = Object.values(originBytes).reduce((sum, bytes) => sum + bytes, 0)
  const facts = newTable()
  const age = viewAgeSeconds === null ? 'not heard of yet' : `heard of ${viewAgeSeconds} s ago`
  const reasons = Object.entries(originBytes).filter(([, bytes]) => bytes > 0)
  facts.push(
    ['group', `${group}, ${fleet.ownId === null ? 'asks only' : `${fleet.ownId} is ${fleet.state}`}`],
    ['registry', `${registry.engine} is ${registry.state}, ${age}${registry.reason && `: ${registry.reason}`}`],
    ['from members', `${size(memberBytes)}, offload ${share(memberBytes, memberBytes + fromOrigin)}`],
    ['from the origin', reasons.map(([reason, bytes]) => `${size(bytes)} ${reason}`).join(', ') || '0 B'],
    ['natively', `${size(native.bytes)} in ${native.reads} reads`],
    ['second requests', `${hedges.paid} sent, ${hedges.unpaid} not paid`],
    ['told versions', `${versions.told} of names that the origin did not answer, ${versions.untold} unknown`],
    ['audits', `${audits.compared} compared, ${audits.different} different`],
  )
  const members = newTable([
    'MEMBER',
    'STATE',
    'HEALTH',
    'RACK',
    'WEIGHT',
    'MS',
    'FROM IT',
    'TO IT',
    'REFUSED',
    'FAILED',
  ])
  for (const member of fleet.members) members.push(rowOf(member))
  return trimmed(`${facts}\n\n${members}`)
}

function rowOf(member: MemberStatus): (string | number)[] {
  const { id, state, isOwn, health, reason, rack, weight, latencyMs, bytes, sentBytes, refusals, failures } = member
  const isWell = isOwn ? 'own' : reason === '' ? health : `${health}: ${reason}`
  const ms = latencyMs === null ? '-' : latencyMs.toFixed(1)
  return [
    id,
    state,
    isWell,
    rack || '-',
    Number(weight.toFixed(3)),
    ms,
    size(bytes),
    size(sentBytes),
    refusals,
    failures,
  ]
}

/** The lines of an explanation about the group. */
export function linesOfUnits(units: readonly UnitExplanation[]): (readonly [string, string])[] {
  return units.map(({ unit, ranks, answeredBy: by }) => {
    const from = by === null ? null : 'member' in by ? by.member : `the origin (${by.origin})`
    const last = from === null ? 'not read yet' : `came from ${from}`
    return [`unit ${unit}`, `${ranks.join(', ') || 'no members'}; ${last}`]
  })
}
