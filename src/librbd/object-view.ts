/**
 * Object view: a directory whose files are the objects of parents, as librbd reads them. Operations of its own FUSE
 * connection, by node id.
 *
 * OPEN is answered "not supported" once: from then on the kernel opens and closes without asking, and READs come by
 * node id. The directory lists nothing: its names are told to clients, one for each object.
 */
import type { Image } from '../base/image.ts'
import { readBytesMax } from '../base/limits.ts'
import {
  type Attributes,
  directoryAttributes,
  imageAttributes,
  type Presentation,
} from '../fuse/filesystem/attributes.ts'
import type { BackendOptions, KnownImage } from '../fuse/filesystem/backend.ts'
import { FsError } from '../fuse/filesystem/fs-error.ts'
import { type DirectoryNode, rootNodeId } from '../fuse/filesystem/nodes.ts'
import { answerOf, emptyAnswer, type RequestHandler, type RequestHandlers } from '../fuse/kernel/handler.ts'
import { opcodes } from '../fuse/kernel/opcodes.ts'
import { absentReply, attributesReply, entryReply, statfsReply, statxReply } from '../fuse/kernel/replies.ts'
import * as request from '../fuse/kernel/requests.ts'
import { absentPathMs, objectNameSecondsValid } from './limits.ts'
import type { ObjectImages } from './object-images.ts'
import { type ObjectNode, objectNamed, objectNodeId, objectNodeOf, orderMin, placeOfObject } from './object-node.ts'

export interface ObjectViewContext {
  readonly images: Pick<ObjectImages, 'find' | 'ensure'>
  readonly presentation: Presentation
  /** Exactly these bytes of an image. @throws CacheError */
  read(image: Image, offset: number, length: number, options: BackendOptions): Promise<Uint8Array>
}

const noBytes = new Uint8Array(0)
const root: DirectoryNode = { kind: 'directory', nodeId: rootNodeId, place: { directory: null, prefix: '' } }

export class ObjectView {
  readonly #parts: ObjectViewContext

  constructor(parts: ObjectViewContext) {
    this.#parts = parts
  }

  /** Handlers of all requests that are answered otherwise than with "not supported". */
  handlers(): RequestHandlers {
    const { LOOKUP, GETATTR, STATX, STATFS, READ, READDIR, READDIRPLUS, ACCESS, DESTROY } = opcodes
    const nothing: RequestHandler = () => emptyAnswer
    return new Map<number, RequestHandler>([
      [LOOKUP, ({ header }, body) => answerOf(this.#lookup(header.nodeId, body.name()))],
      [GETATTR, ({ header }) => answerOf(attributesReply(this.#attributes(header.nodeId)))],
      [STATX, ({ header }) => answerOf(statxReply(this.#attributes(header.nodeId)))],
      [STATFS, () => answerOf(statfsReply({ totalBytes: 0, freeBytes: 0, files: 0 }))],
      [
        READ,
        async (call, body) => {
          const { offset, length } = request.readRead(body)
          return answerOf(await this.#read(objectNodeOf(call.header.nodeId), Number(offset), length, call))
        },
      ],
      ...[READDIR, READDIRPLUS, ACCESS, DESTROY].map((opcode): [number, RequestHandler] => [opcode, nothing]),
    ])
  }

  /** The answer to a LOOKUP of the first object of an image; those of the others differ in node id and size alone. */
  entryOf(part: number, known: KnownImage): Uint8Array {
    const first = { image: part, order: orderMin, number: 0 }
    return entryReply(this.#attributesIn(known, first)!, objectNameSecondsValid)
  }

  #lookup(parent: bigint, name: string | null): Uint8Array {
    if (parent !== rootNodeId) throw new FsError('not-a-directory')
    const object = name === null ? null : objectNamed(name)
    if (object === null) return absentReply(absentPathMs)
    const attributes = this.#attributesOf(object)
    if (attributes === null) throw new FsError('no-such-name')
    return entryReply(attributes, objectNameSecondsValid)
  }

  /** @throws FsError stale-node */
  #attributes(nodeId: bigint): Attributes {
    if (nodeId === rootNodeId) return directoryAttributes(root, true, this.#parts.presentation)
    const attributes = this.#attributesOf(objectNodeOf(nodeId))
    if (attributes === null) throw new FsError('stale-node', `no object has node id ${nodeId}`)
    return attributes
  }

  #attributesOf(object: ObjectNode): Attributes | null {
    const known = this.#parts.images.find(object.image)
    return known && this.#attributesIn(known, object)
  }

  #attributesIn(known: KnownImage, object: ObjectNode): Attributes | null {
    const place = placeOfObject(object, known.image.sizeBytes)
    if (!place) return null
    const image = { ...known.image, sizeBytes: place.bytes }
    const nodeId = objectNodeId(object)
    return { ...imageAttributes({ image, nodeId }, this.#parts.presentation), inode: BigInt.asUintN(63, nodeId) }
  }

  /** @throws FsError stale-node, malformed; CacheError as Backend.read */
  async #read(object: ObjectNode, from: number, length: number, options: BackendOptions): Promise<Uint8Array> {
    if (length > readBytesMax) throw new FsError('malformed', `a READ of ${length} bytes`)
    const { known } = await this.#parts.images.ensure(object.image)
    const place = placeOfObject(object, known.image.sizeBytes)
    if (place === null) throw new FsError('stale-node', `object ${object.number} is past the end`)
    const wanted = Math.min(length, place.bytes - from)
    if (wanted <= 0) return noBytes
    const bytes = await this.#parts.read(known.image, place.offset + from, wanted, options)
    // A reply that is too short would shrink the file, and librbd takes what is missing for zeros.
    if (bytes.length !== wanted) throw new Error(`read ${bytes.length} bytes of ${wanted} of ${known.image.key}`)
    return bytes
  }
}
