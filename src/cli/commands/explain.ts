/**
 * `parentfs explain`: shows the source of a read, and the reason. The image may be an object as librbd names it.
 */
import { fetchStatus, requestExplanation, requestObject } from '../../admin/admin-client.ts'
import type { LibrbdObject } from '../../admin/librbd-report.ts'
import type { Status } from '../../admin/status.ts'
import type { ExplainedObject, Explanation } from '../../cache/operations/explain-read.ts'
import { newTable, size, trimmed } from '../output/tables.ts'
import { linesOfUnits } from './fleet.ts'
import { findImage, findMount, noDaemon } from './target.ts'

export interface ExplainArguments {
  /** Its name or path, or the name of one of its objects. */
  readonly image: string
  /** In the object where one is named. */
  readonly offset: number
  readonly length: number
  /** Of the mount; null: as the image says, or the only one. */
  readonly path: string | null
  readonly json: boolean
}

/** @returns the exit code. @throws CacheError not-found, invalid-argument, origin-*, access-denied, closed */
export async function explainCommand(asked: ExplainArguments): Promise<number> {
  const { image, path, json } = asked
  if (!objectName.test(image)) return await explainImage(asked, null)
  const { mountpoint, socket } = await findMount(path, 'say which one with -m DIR')
  const object = await requestObject(socket, image)
  if (!object) throw await noDaemon(mountpoint)
  const { place } = object
  if (place === null) {
    console.log(json ? JSON.stringify({ librbd: object }, null, 2) : trimmed(tableOf(linesOfObject(object))))
    return 0
  }
  return await explainImage(
    { ...asked, image: place.image, path: mountpoint, offset: place.offset + asked.offset },
    object,
  )
}

/** Names of objects, with the id of a snapshot or without. */
const objectName = /^rbd_data\.[0-9a-f.]+\.[0-9a-f]{16}(@\d+)?$/

async function explainImage(
  { image, offset, length, path, json }: ExplainArguments,
  object: LibrbdObject | null,
): Promise<number> {
  const { mountpoint, socket, name } = await findImage(image, path)
  const explanation = await requestExplanation(socket, { image: name, offset, length })
  const status = explanation && (await fetchStatus(socket))
  if (!explanation || !status) throw await noDaemon(mountpoint)
  const origin = status.origins.find(({ url }) => url === explanation.origin) ?? status.origin
  const librbd = object ? { librbd: object } : {}
  if (json) console.log(JSON.stringify({ ...explanation, originStatus: origin, ...librbd }, null, 2))
  else {
    const lines = [...linesOfUnits(explanation.units ?? []), ...(object ? linesOfObject(object) : [])]
    console.log(tableOfExplanation(explanation, origin, lines))
  }
  return 0
}

/** Verdicts first, then what they rest on. */
export function tableOfExplanation(
  explanation: Explanation,
  origin: Status['origin'],
  units: readonly (readonly [string, string])[] = [],
): string {
  const { name, sizeBytes, offset, length, answer, promotion, health, validator, nodeId } = explanation
  const facts = newTable()
  facts.push(
    ['read', `${length} bytes at ${offset} of ${name}, which has ${sizeBytes}`],
    ['answered by', `${answer.verdict}: ${answer.why}`],
    ['promoted', `${promotion.verdict}: ${promotion.why}`],
    ['image', [`inode ${nodeId}`, `validator ${validator}`, ...traitsOf(explanation)].join(', ')],
    ...toldOf(explanation),
    ['boot profile', explanation.profile],
    ['cache disk', health.state === 'healthy' ? 'healthy' : `${health.state}: ${health.reason}`],
    ['origin', `${originOf(origin)}, ${origin.url}`],
    ...units,
  )
  if (explanation.objects.length === 0) return trimmed(facts.toString())
  const blocks = newTable(['OBJECT', 'BLOCKS', 'OFFSET', 'LENGTH', 'STATE', 'GENERATION', 'LAST USE'])
  for (const object of explanation.objects) {
    for (const { block, blocks: count, offset: at, length: bytes, state } of object.runs) {
      const range = count === 1 ? `${block}` : `${block}-${block + count - 1}`
      blocks.push([object.object, range, at, size(bytes), state, object.generation, lastUseOf(object)])
    }
  }
  return trimmed(`${facts}\n\n${blocks}`)
}

/** The answer that librbd gets, and the parent. */
export function linesOfObject({ parent, object, why, path, kind }: LibrbdObject): (readonly [string, string])[] {
  const { poolId, namespace, prefix, snapshotId } = parent
  const space = namespace === '' ? '' : `, namespace ${namespace}`
  return [
    ['object', `${object} of ${prefix}, snapshot ${snapshotId}, pool ${poolId}${space}`],
    ['librbd', `${kind}: answered ${why}`],
    ...(path === null ? [] : [['path', path] as const]),
  ]
}

function tableOf(lines: readonly (readonly [string, string])[]): string {
  const table = newTable()
  for (const line of lines) table.push([...line])
  return table.toString()
}

/** `away for 5 s: no connection` */
function originOf({ state, reason, sinceSeconds, waiting }: Status['origin']): string {
  return state === 'available' ? state : `${state} for ${sinceSeconds} s, ${waiting} reads wait for it: ${reason}`
}

/** The origin has not been reached since. */
function toldOf({ toldBy }: Explanation): (readonly [string, string])[] {
  return toldBy === null ? [] : [['version', `told by ${toldBy}; the origin has not named it yet`]]
}

function traitsOf({ digest, pinned, open, mode }: Explanation): string[] {
  return [...(open ? ['open'] : []), ...(pinned ? ['pinned'] : []), `digest ${digest}`, `mode ${mode}`]
}

/** Of running: the clock stands still while no daemon runs. */
function lastUseOf({ lastUseSeconds }: ExplainedObject): string {
  return lastUseSeconds === null ? 'never' : `${lastUseSeconds.toFixed(1)} s ago`
}
