/** Hit set as a list: the numbers of its objects, by image. It has no false positives, and takes more memory. */
import type { HitSet } from './hit-set.ts'

/** Of a number in a Set, with its slot: measured on Node 22, rounded up. */
const bytesPerObject = 40
const idBytes = 16

export class ExplicitHitSet implements HitSet {
  readonly type = 'explicit'
  readonly #objectsMax: number
  readonly #objects = new Map<string, Set<number>>()
  #size = 0

  constructor(objectsMax: number) {
    this.#objectsMax = objectsMax
  }

  /** Of each image: its id, the count of its objects, their numbers. */
  static decode(bytes: Buffer, objectsMax: number): ExplicitHitSet | null {
    const set = new ExplicitHitSet(objectsMax)
    for (let at = 0; at < bytes.length; ) {
      if (at + idBytes + 4 > bytes.length) return null
      const imageId = bytes.toString('hex', at, at + idBytes)
      const count = bytes.readUInt32LE(at + idBytes)
      at += idBytes + 4
      if (at + 4 * count > bytes.length) return null
      for (let k = 0; k < count; k++) set.add(imageId, bytes.readUInt32LE(at + 4 * k))
      at += 4 * count
    }
    return set
  }

  get size(): number {
    return this.#size
  }

  get memoryBytes(): number {
    return this.#size * bytesPerObject
  }

  add(imageId: string, object: number): boolean {
    let known = this.#objects.get(imageId)
    if (known?.has(object)) return true
    if (this.#size >= this.#objectsMax) return false
    if (!known) this.#objects.set(imageId, (known = new Set()))
    known.add(object)
    this.#size++
    return true
  }

  has(imageId: string, object: number): boolean {
    return this.#objects.get(imageId)?.has(object) ?? false
  }

  encode(): Buffer {
    return Buffer.concat(
      [...this.#objects].map(([imageId, objects]) => {
        const numbers = Uint32Array.from(objects)
        const head = Buffer.alloc(idBytes + 4)
        head.write(imageId, 0, 'hex')
        head.writeUInt32LE(numbers.length, idBytes)
        return Buffer.concat([head, Buffer.from(numbers.buffer)])
      }),
    )
  }
}
