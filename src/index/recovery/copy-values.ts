/**
 * Copies the values of one database that can be reached and whose checksum matches. Only what the source says is taken
 * for damage of it: an error of the copy is the caller's.
 */
import { checkedContent } from '../format/value-checksum.ts'
import { refusesTransaction, saysDamage } from './damage-error.ts'

type Value = readonly [key: Buffer, value: Buffer]

/** A database that may be damaged, as far as it is read here. */
export interface ValueSource {
  /** Keys and values are views that the next step may overwrite. */
  getRange(): Iterable<{ readonly key: Buffer; readonly value: Buffer }>
  /** Databases after this one may be whole. */
  resetReadTxn(): void
}

/** Values in one transaction of the copy. */
export const batchValues = 4096

/**
 * @param put puts values in one transaction
 * @throws what `put` throws, and errors of the source that say nothing of damage
 */
export function copyValues(source: ValueSource, put: (values: readonly Value[]) => void): void {
  let batch: Value[] = []
  const write = () => {
    try {
      put(batch)
    } catch (error) {
      if (!refusesTransaction(error)) throw error
      put(batch)
    }
    batch = []
  }
  for (const value of wholeValues(source)) {
    batch.push(value)
    if (batch.length === batchValues) write()
  }
  write()
}

/** Values in the order of their keys, up to the first that cannot be reached. */
function* wholeValues(source: ValueSource): Generator<Value> {
  try {
    for (const { key, value } of source.getRange()) {
      if (checkedContent(key, value) !== null) yield [Buffer.from(key), Buffer.from(value)]
    }
  } catch (error) {
    if (!saysDamage(error)) throw error
    source.resetReadTxn()
  }
}
