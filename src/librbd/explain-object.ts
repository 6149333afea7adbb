/**
 * Explains an object: the parent that it belongs to, its place in the image, and the answer that librbd would get now.
 */
import { CacheError } from '../base/errors.ts'
import type { LibrbdResponder, ParentName } from '../native/librbd.ts'
import { type AnswerKind, kindOfNumber } from './answer-kinds.ts'
import { objectNodeId, placeOfObject } from './object-node.ts'

/** A parent that was asked for. */
export interface ExplainedParent {
  readonly name: ParentName
  /** Null where it is refused. */
  readonly image: {
    readonly key: string
    readonly part: number
    readonly order: number
    readonly sizeBytes: number
  } | null
}

export interface ObjectExplanation {
  readonly name: ParentName
  readonly object: number
  /** Null where the parent is refused. */
  readonly place: { readonly image: string; readonly offset: number; readonly bytes: number } | null
  /** The path that a client is told; null where it reads the cluster. */
  readonly path: string | null
  readonly kind: AnswerKind
  readonly why: string
}

export interface ExplainObjectContext {
  readonly responder: Pick<LibrbdResponder, 'look'>
  readonly directory: string
  readonly parents: Iterable<ExplainedParent>
}

/**
 * @param text the object's name; `@` and the id of a snapshot behind it where more than one is known
 * @throws CacheError not-found, invalid-argument
 */
export function explainObject(
  text: string,
  { responder, directory, parents }: ExplainObjectContext,
): ObjectExplanation {
  const [, prefix, digits, id] = /^(.+)\.([0-9a-f]{16})(?:@(\d+))?$/.exec(text) ?? []
  if (prefix === undefined || digits === undefined) {
    const form = 'rbd_data.103392f4174.000000000000003f, or with @ and the id of a snapshot behind it'
    throw new CacheError('invalid-argument', `${text} is no object of librbd: it is named like ${form}`)
  }
  const { name, image } = theOne(
    [...parents].filter(
      each => each.name.prefix === prefix && (id === undefined || String(each.name.snapshotId) === id),
    ),
    text,
  )
  const object = Number(BigInt(`0x${digits}`))
  const place = image && placeOfObject({ image: image.part, order: image.order, number: object }, image.sizeBytes)
  if (image && !place) throw new CacheError('invalid-argument', `${text} is past the end of ${image.key}`)
  const kind = kindOfNumber(responder.look(name, object))
  const isByPath = kind === 'resident' || kind === 'partial'
  const nodeId = image && objectNodeId({ image: image.part, order: image.order, number: object })
  return {
    ...{ name, object, kind, why: reasons[kind] },
    place: image && place && { image: image.key, ...place },
    path: isByPath && nodeId !== null ? `${directory}/${nodeId.toString(16).padStart(16, '0')}` : null,
  }
}

function theOne(found: readonly ExplainedParent[], text: string): ExplainedParent {
  const [first] = found
  if (first === undefined) {
    throw new CacheError('not-found', `no client has asked for the parent of ${text}: "parentfs status" lists parents`)
  }
  if (found.length === 1) return first
  const ids = found.map(({ name }) => name.snapshotId).join(', ')
  throw new CacheError('invalid-argument', `${text} is in ${found.length} snapshots: put @ and one of ${ids} behind it`)
}

const reasons: Readonly<Record<AnswerKind, string>> = {
  resident: 'by path: all of it is held',
  partial: 'by path: a part of it is held or on its way, and the rest is fetched by blocks',
  absent: 'as absent: the parent does not have it',
  unknown: 'by the cluster: its parent is being looked for',
  cold: 'by the cluster: nothing of it is held; by path once it is asked for again 200 ms later, or for the 64th time',
  throttled: 'by the cluster: librbd.throttle is reached',
  closing: 'by the cluster: the mount is going',
  malformed: 'by the cluster: the parent has no such object',
  mode: 'by the cluster: the mode of its image says so',
  pressure: 'by the cluster: clients use more than the cache holds, and this object is not among those that are kept',
  'not-an-origin': 'by the cluster: its parent is in no rbd: origin of this mount',
  gone: 'by the cluster: the snapshot was deleted, or the image has another version',
  striped: 'by the cluster: its parent is striped',
  encrypted: 'by the cluster: its parent is encrypted',
  migrating: 'by the cluster: its parent is being migrated',
  unreachable: 'by the cluster: its parent could not be looked for',
  unsupported: 'by the cluster: the layout of its parent is not supported',
  ambiguous: 'by the cluster: another image has the same node ids',
}
