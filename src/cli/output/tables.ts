/**
 * Tables as this program prints them: no boxes, so that grep and awk can work with the lines.
 */
import Table from 'cli-table3'
import prettyBytes from 'pretty-bytes'
import { printable } from '../../base/printable.ts'

const plain = {
  chars: Object.fromEntries(
    'top top-mid top-left top-right bottom bottom-mid bottom-left bottom-right left left-mid mid mid-mid right right-mid middle'
      .split(' ')
      .map(name => [name, '']),
  ),
  style: { 'padding-left': 0, 'padding-right': 2, head: [], border: [] },
}

export interface LinesOfCells {
  push(...rows: readonly (readonly (string | number)[])[]): void
  toString(): string
}

/** Columns of a first cell that others are aligned by: one name of 255 characters is not to move all rows. */
const alignedColumnsMax = 64

/** A row is one line, whatever its cells say. A first cell that is very long moves its own row alone. */
export function newTable(head: string[] = []): LinesOfCells {
  const table = new Table({ ...plain, ...(head.length > 0 ? { head } : {}) })
  const long: string[] = []
  const cellOf = (cell: string | number, at: number) => {
    const text = typeof cell === 'string' ? printable(cell) : cell
    if (at > 0 || typeof text === 'number' || text.length <= alignedColumnsMax) return text
    // Stands in for it while the columns are measured. No printable text has a NUL.
    return `\0${long.push(text) - 1}\0`
  }
  return {
    push: (...rows) => void table.push(...rows.map(row => row.map(cellOf))),
    toString: () => table.toString().replaceAll(/\0(\d+)\0/g, (_, at: string) => long[Number(at)]!),
  }
}

/** `1.5 GiB` */
export function size(bytes: number): string {
  return prettyBytes(bytes, { binary: true })
}

/** `12.5 %` */
export function share(part: number, whole: number): string {
  return whole === 0 ? '-' : `${((100 * part) / whole).toFixed(1)} %`
}

/** Without blanks at the ends of lines. */
export function trimmed(text: string): string {
  return text.replace(/[ ]+$/gm, '')
}
