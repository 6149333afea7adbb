/**
 * Node ids of the object view, and its names: 16 hexadecimal digits, which are the id.
 *
 * An id says which image, how large its objects are, and which of them it is, so that any process can tell. The layout
 * is that of native-bindings/wire/object-node.h.
 */

export interface ObjectNode {
  /** The bits of the image's own node id, see {@link imagePartOf}; never 0. */
  readonly image: number
  /** The size of an object is 2 to the power of this. */
  readonly order: number
  readonly number: number
}

const numberBits = 28n
export const orderMin = 12
const orderMax = 27

/** The 32 highest of the 62 bits of an image's node id. Two images may share them: who names objects must check. */
export function imagePartOf(nodeId: bigint): number {
  return Number((nodeId >> 30n) & 0xffffffffn)
}

/** The order of a size of objects; null for a size that the view cannot have. */
export function orderOf(objectBytes: number): number | null {
  const order = Math.log2(objectBytes)
  return Number.isInteger(order) && order >= orderMin && order <= orderMax ? order : null
}

export function objectNodeId({ image, order, number }: ObjectNode): bigint {
  return (BigInt(image) << 32n) | (BigInt(order - orderMin) << numberBits) | BigInt(number)
}

export function objectNodeOf(nodeId: bigint): ObjectNode {
  return {
    image: Number(nodeId >> 32n),
    order: orderMin + Number((nodeId >> numberBits) & 15n),
    number: Number(nodeId & ((1n << numberBits) - 1n)),
  }
}

/** Null for a name that no object has. */
export function objectNamed(name: string): ObjectNode | null {
  return /^[0-9a-f]{16}$/.test(name) ? objectNodeOf(BigInt(`0x${name}`)) : null
}

/** The object's place in an image of that size; null when it is not in it. */
export function placeOfObject(
  { order, number }: ObjectNode,
  sizeBytes: number,
): { readonly offset: number; readonly bytes: number } | null {
  const objectBytes = 2 ** order
  const offset = number * objectBytes
  return offset < sizeBytes ? { offset, bytes: Math.min(objectBytes, sizeBytes - offset) } : null
}
