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

/** A row is one line, whatever its cells say. */
export function newTable(head: string[] = []): LinesOfCells {
  const table = new Table({ ...plain, ...(head.length > 0 ? { head } : {}) })
  return {
    push: (...rows) =>
      void table.push(...rows.map(row => row.map(cell => (typeof cell === 'string' ? printable(cell) : cell)))),
    toString: () => table.toString(),
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
