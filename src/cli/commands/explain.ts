/**
 * `parentfs explain`: shows the source of a read, and the reason.
 */
import { fetchStatus, requestExplanation } from '../../admin/admin-client.ts'
import type { Status } from '../../admin/status.ts'
import type { ExplainedObject, Explanation } from '../../cache/operations/explain-read.ts'
import { newTable, size, trimmed } from '../output/tables.ts'
import { linesOfUnits } from './fleet.ts'
import { findImage, noDaemon } from './target.ts'

export interface ExplainArguments {
  /** Its name or path. */
  readonly image: string
  readonly offset: number
  readonly length: number
  /** Of the mount; null: as the image says, or the only one. */
  readonly path: string | null
  readonly json: boolean
}

/** @returns the exit code. @throws CacheError not-found, invalid-argument, origin-*, access-denied, closed */
export async function explainCommand({ image, offset, length, path, json }: ExplainArguments): Promise<number> {
  const { mountpoint, socket, name } = await findImage(image, path)
  const explanation = await requestExplanation(socket, { image: name, offset, length })
  const status = explanation && (await fetchStatus(socket))
  if (!explanation || !status) throw noDaemon(mountpoint)
  const origin = status.origins.find(({ url }) => url === explanation.origin) ?? status.origin
  if (json) console.log(JSON.stringify({ ...explanation, originStatus: origin }, null, 2))
  else console.log(tableOfExplanation(explanation, origin, linesOfUnits(explanation.units ?? [])))
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

/** `away for 5 s: no connection` */
function originOf({ state, reason, sinceSeconds, waiting }: Status['origin']): string {
  return state === 'available' ? state : `${state} for ${sinceSeconds} s, ${waiting} reads wait for it: ${reason}`
}

function traitsOf({ digest, pinned, open, mode }: Explanation): string[] {
  return [...(open ? ['open'] : []), ...(pinned ? ['pinned'] : []), `digest ${digest}`, `mode ${mode}`]
}

/** Of running: the clock stands still while no daemon runs. */
function lastUseOf({ lastUseSeconds }: ExplainedObject): string {
  return lastUseSeconds === null ? 'never' : `${lastUseSeconds.toFixed(1)} s ago`
}
