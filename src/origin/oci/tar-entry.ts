/**
 * Tar entry search: the file below `disk/` in an uncompressed layer, found by reading headers alone.
 *
 * Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar manual, "Basic Tar Format"
 * (long names, base-256 sizes, sparse files); KubeVirt's documentation of containerDisks (one file below /disk).
 */
import { tarEntriesMax, tarExtendedBytesMax, tarWindowBytes } from './limits.ts'

/** A file in an archive. */
export interface TarEntry {
  /** Without its directory. */
  readonly name: string
  /** Place of its first byte in the archive. */
  readonly offset: number
  readonly sizeBytes: number
}

/** Fills `target` with the bytes of the archive at `offset`. */
export type ReadArchive = (offset: number, target: Uint8Array) => Promise<void>

const recordBytes = 512

/**
 * The first file directly below `disk/`; null where the first entries have none.
 * @throws Error when it is no archive, or the file is stored in a way that is not read; and what `read` throws
 */
export async function diskEntryOf(archiveBytes: number, read: ReadArchive): Promise<TarEntry | null> {
  const windowed = new Window(archiveBytes, read)
  let extended: Extended = {}
  for (let at = 0, entries = 0; entries < tarEntriesMax && at + recordBytes <= archiveBytes; entries++) {
    const header = headerOf(await windowed.bytes(at, recordBytes))
    if (header === null) return null
    const sizeBytes = extended.sizeBytes ?? header.sizeBytes
    const data = at + recordBytes
    if (data + sizeBytes > archiveBytes) throw new Error('an entry ends behind the end of the archive')
    at = data + Math.ceil(sizeBytes / recordBytes) * recordBytes
    if (header.type === 'x' || header.type === 'L') {
      if (sizeBytes > tarExtendedBytesMax) throw new Error(`an extended header has ${sizeBytes} bytes`)
      const bytes = await windowed.bytes(data, sizeBytes)
      extended = { ...extended, ...(header.type === 'x' ? paxOf(bytes) : { path: textOf(bytes) }) }
      continue
    }
    if (header.type === 'g' || header.type === 'K') continue
    const name = diskNameOf(extended.path ?? header.path)
    const isSparse = header.type === 'S' || extended.isSparse === true
    extended = {}
    if (name === null || !'0\x007S'.includes(header.type)) continue
    if (isSparse) throw new Error(`disk/${name} is a sparse entry, which is not read`)
    return { name, offset: data, sizeBytes }
  }
  return null
}

/** The one file name of a path like `disk/NAME`; null: it lies elsewhere. */
function diskNameOf(path: string): string | null {
  const [, name] = /^(?:\.?\/)?disk\/([^/]+)$/.exec(path) ?? []
  return name === undefined || name.startsWith('.wh.') ? null : name
}

/** Bytes of an archive, asked for in windows. */
class Window {
  readonly #archiveBytes: number
  readonly #read: ReadArchive
  #at = 0
  #bytes = new Uint8Array(0)

  constructor(archiveBytes: number, read: ReadArchive) {
    this.#archiveBytes = archiveBytes
    this.#read = read
  }

  async bytes(offset: number, length: number): Promise<Uint8Array> {
    if (offset < this.#at || offset + length > this.#at + this.#bytes.length) {
      const wanted = Math.min(Math.max(length, tarWindowBytes), this.#archiveBytes - offset)
      this.#bytes = new Uint8Array(wanted)
      this.#at = offset
      await this.#read(offset, this.#bytes)
    }
    return this.#bytes.subarray(offset - this.#at, offset - this.#at + length)
  }
}

interface Header {
  readonly path: string
  readonly sizeBytes: number
  readonly type: string
}

/** @returns null at the end of the archive @throws Error when it is no header */
function headerOf(record: Uint8Array): Header | null {
  if (record.every(byte => byte === 0)) return null
  const sum = record.reduce((total, byte, k) => total + (k >= 148 && k < 156 ? 0x20 : byte), 0)
  if (sum !== numberIn(record.subarray(148, 156))) throw new Error('it is no tar archive')
  const isUstar = textOf(record.subarray(257, 262)) === 'ustar'
  // GNU's own form has other fields in the place of the prefix.
  const isGnu = isUstar && record[262] === 0x20
  const prefix = isUstar && !isGnu ? textOf(record.subarray(345, 500)) : ''
  const name = textOf(record.subarray(0, 100))
  const type = String.fromCharCode(record[156]!)
  return { path: prefix === '' ? name : `${prefix}/${name}`, sizeBytes: numberIn(record.subarray(124, 136)), type }
}

/** Octal digits, or a number of base 256. @throws Error */
function numberIn(field: Uint8Array): number {
  if (field[0] === 0x80) return safe(field.subarray(1).reduce((total, byte) => total * 256 + byte, 0))
  const text = textOf(field).trim()
  if (!/^[0-7]*$/.test(text)) throw new Error('it is no tar archive')
  return safe(Number.parseInt(text || '0', 8))
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw new Error('an entry has no length that can be')
  return value
}

/** Up to the first NUL. */
function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0)
  return Buffer.from(end < 0 ? bytes : bytes.subarray(0, end)).toString('utf8')
}

interface Extended {
  readonly path?: string
  readonly sizeBytes?: number
  readonly isSparse?: boolean
}

/** Records of an extended header: `LENGTH NAME=VALUE\n`, the length being that of all of it. @throws Error */
function paxOf(bytes: Uint8Array): Extended {
  const found: { path?: string; sizeBytes?: number; isSparse?: boolean } = {}
  for (let at = 0; at < bytes.length; ) {
    const [, digits] = /^(\d{1,9}) /.exec(Buffer.from(bytes.subarray(at, at + 10)).toString('latin1')) ?? []
    const length = Number(digits)
    if (digits === undefined || length <= digits.length + 1 || at + length > bytes.length) {
      throw new Error('an extended header cannot be read')
    }
    const record = Buffer.from(bytes.subarray(at + digits.length + 1, at + length - 1)).toString('utf8')
    at += length
    const [, name, value] = /^([^=]*)=(.*)$/s.exec(record) ?? []
    if (name === 'path') found.path = value!
    if (name === 'size') found.sizeBytes = safe(Number(value))
    if (name?.startsWith('GNU.sparse.')) found.isSparse = true
  }
  return found
}
