/**
 * Records that belong to an origin, not to one of its images: names, listing, pins, modes, profiles and hit sets. Their
 * keys begin with the origin's.
 */
import { originKey } from './format/encoding.ts'
import type { BinaryDatabase, Environment } from './lmdb-environment.ts'

/** Keys that one transaction takes: some milliseconds. */
const removedAtOnceMax = 4096

/** Remove all of them, a part in each transaction. */
export async function removeOriginRecords(
  { names, listings, pins, modes, profiles, hitsets }: Environment['databases'],
  origin: string,
  write: (action: () => void) => Promise<void>,
): Promise<void> {
  for (const database of [names, listings, pins, modes, profiles, hitsets]) {
    for (let keys = keysOfOrigin(database, origin); keys.length > 0; keys = keysOfOrigin(database, origin)) {
      const removed = keys
      await write(() => {
        for (const key of removed) void database.remove(key)
      })
    }
  }
}

/** The first keys of an origin in a database, as many as one transaction takes. */
export function keysOfOrigin(database: BinaryDatabase, origin: string, max = removedAtOnceMax): Buffer[] {
  const start = originKey(origin)
  const end = Buffer.concat([start, Buffer.alloc(1, 0xff)])
  const keys: Buffer[] = []
  for (const key of database.getKeys({ start, end })) {
    if (keys.length >= max) break
    keys.push(Buffer.from(key))
  }
  return keys
}
