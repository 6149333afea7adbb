/**
 * Changes to the records of objects: blocks are added to a record and taken out of it, never copied over it.
 *
 * Every method runs within a transaction of its caller, which awaits that one's promise: those of single values are
 * left to it.
 */
import { blocksPerObject, highHalf, isSet, lowHalf } from '../base/image.ts'
import * as layout from './format/encoding.ts'
import type { ForgetEntry, RecordEntry } from './format/records.ts'
import type { BinaryDatabase, Environment } from './lmdb-environment.ts'

/** A value, decoded; null where there is none, or where it is damaged. */
export type Get = <T>(
  database: BinaryDatabase,
  key: Buffer,
  decode: (key: Buffer, value: Buffer) => T | null,
) => T | null

export class ObjectRecords {
  readonly #databases: Environment['databases']
  readonly #get: Get

  constructor(databases: Environment['databases'], get: Get) {
    this.#databases = databases
    this.#get = get
  }

  add({ imageId, object, zero, sums }: RecordEntry, blocks: bigint): void {
    if (blocks === 0n) return
    const key = layout.objectKey(imageId, object)
    const record = this.#get(this.#databases.residency, key, layout.decodeRecord) ?? { resident: 0n, zero: 0n }
    // A block that was recorded and comes again has new bytes: its zero bit is the new one.
    const next = { resident: record.resident | blocks, zero: (record.zero & ~blocks) | (zero & blocks) }
    void this.#databases.residency.put(key, layout.encodeRecord(key, next))
    const before = this.#get(this.#databases.sums, key, layout.decodeSums)
    const merged = before ?? { blocks: 0n, sums: new Uint32Array(64) }
    const low = lowHalf(blocks)
    const high = highHalf(blocks)
    for (let k = 0; k < blocksPerObject; k++) if (isSet(low, high, k)) merged.sums[k] = sums[k]!
    void this.#databases.sums.put(key, layout.encodeSums(key, { blocks: merged.blocks | blocks, sums: merged.sums }))
  }

  subtract({ imageId, object, blocks }: ForgetEntry): void {
    const key = layout.objectKey(imageId, object)
    const record = this.#get(this.#databases.residency, key, layout.decodeRecord)
    const resident = (record?.resident ?? 0n) & ~blocks
    if (!record || resident === 0n) {
      void this.#databases.residency.remove(key)
      void this.#databases.sums.remove(key)
    } else {
      void this.#databases.residency.put(key, layout.encodeRecord(key, { resident, zero: record.zero & resident }))
      // A block that comes again must not be measured by the sum of what it was.
      const before = this.#get(this.#databases.sums, key, layout.decodeSums)
      const sums = before && { blocks: before.blocks & ~blocks, sums: before.sums }
      if (sums) void this.#databases.sums.put(key, layout.encodeSums(key, sums))
    }
  }

  /** All of an image, its recency too. */
  removeAll(imageId: string): void {
    const { recency, residency, sums } = this.#databases
    void recency.remove(layout.imageKey(imageId))
    const range = { start: layout.objectKey(imageId, 0), end: layout.objectKey(imageId, 0xffffffff) }
    for (const database of [residency, sums]) {
      for (const key of [...database.getKeys(range)]) void database.remove(Buffer.from(key))
    }
  }
}
