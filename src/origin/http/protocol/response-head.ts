/**
 * Parses a response head, strictly: a head that is not plainly HTTP/1.1 is refused, not guessed at. Pure.
 *
 * Folded lines, bare line ends and several lengths are refused, as two readers could understand them differently.
 * Source: RFC 9112 2 to 6; RFC 9110 5.1 (names), 5.5 (values).
 */
import { CacheError } from '../../../base/errors.ts'
import { contentLengthOf, type Headers } from './response-headers.ts'

export interface HttpHead {
  readonly status: number
  readonly headers: Headers
  /** Bytes of the body that follows; null where only its coding or the end of the connection tells. */
  readonly bodyBytes: number | null
  /** May the connection be used again after the body? */
  readonly keepsAlive: boolean
}

/** Longest head: servers send a few hundred bytes, and refuse requests of more than this themselves. */
export const headBytesMax = 16 * 1024

const headEnd = Buffer.from('\r\n\r\n')
const statusLine = /^HTTP\/1\.([01]) ([1-5]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/
const headerLine = /^[!#$%&'*+.^_`|~\w-]+:[\t\x20-\x7e\x80-\xff]*$/

/**
 * It inherits nothing. Of one class, and not made by Object.create(null): V8 gives those a shape, and these a table
 * each.
 */
class NoHeaders {
  [name: string]: string | string[]
}
Object.setPrototypeOf(NoHeaders.prototype, null)
Reflect.deleteProperty(NoHeaders.prototype, 'constructor')

/**
 * @param bytes what has arrived
 * @returns the head and how many bytes it takes, or null while it is not all there
 * @throws CacheError origin-protocol
 */
export function parseHead(bytes: Uint8Array): { readonly head: HttpHead; readonly bytes: number } | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const end = buffer.indexOf(headEnd)
  if (end < 0) {
    if (bytes.length >= headBytesMax) throw refused(`a head of more than ${headBytesMax} bytes`)
    return null
  }
  // Of the head alone: the body that came with it may be much longer.
  const lines = buffer.toString('latin1', 0, end).split('\r\n')
  const status = statusLine.exec(lines[0]!)
  if (!status) throw refused('a status line that is none')
  const headers: Record<string, string | string[]> = new NoHeaders()
  for (let k = 1; k < lines.length; k++) {
    const line = lines[k]!
    if (!headerLine.test(line)) throw refused('a header line that is none')
    const colon = line.indexOf(':')
    const name = line.slice(0, colon).toLowerCase()
    const value = withoutSpaces(line, colon + 1)
    const before = headers[name]
    headers[name] = before === undefined ? value : [before, value].flat()
  }
  return { head: headOf(status, headers), bytes: end + 4 }
}

/** The text of `line` from `from` on, without spaces and tabs around it. */
function withoutSpaces(line: string, from: number): string {
  let [first, end] = [from, line.length]
  while (first < end && isSpace(line.charCodeAt(first))) first++
  while (end > first && isSpace(line.charCodeAt(end - 1))) end--
  return line.slice(first, end)
}

function isSpace(code: number): boolean {
  return code === 0x20 || code === 0x09
}

function headOf(status: RegExpExecArray, headers: Headers): HttpHead {
  if (headers['content-length'] !== undefined && contentLengthOf(headers) === null) {
    throw refused('a Content-Length that is no number, or several')
  }
  const isCoded = headers['transfer-encoding'] !== undefined
  if (isCoded && headers['content-length'] !== undefined) throw refused('two lengths of one body')
  const connection = String(headers.connection ?? '').toLowerCase()
  const keepsAlive = status[1] === '1' ? !connection.includes('close') : connection.includes('keep-alive')
  return { status: Number(status[2]), headers, bodyBytes: isCoded ? null : contentLengthOf(headers), keepsAlive }
}

function refused(what: string): CacheError {
  return new CacheError('origin-protocol', `the server sent ${what}`)
}
