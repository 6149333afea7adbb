/**
 * Log lines for people: pino-pretty's. Foreign text in them can neither steer a terminal nor look like a line of ours.
 */
import { prettyFactory } from 'pino-pretty'
import { printable, printableLines } from '../../base/printable.ts'

/** @returns what makes such lines of a line of JSON */
export function prettyLines(colorize: boolean): (line: string) => string {
  const format = prettyFactory({ colorize, ignore: 'pid,hostname' })
  // Of what stands there as JSON, the escapes of JSON have come already; colours begin with the one that is left.
  return line => format(JSON.parse(line, withoutEscapes)).split('\u001b').map(printableLines).join('\u001b')
}

/** Escapes the fields that pino-pretty shows as they are: the message, and stack traces, which have several lines. */
function withoutEscapes(key: string, value: unknown): unknown {
  if (typeof value !== 'string') return value
  if (key === 'stack') return printableLines(value)
  return key === 'msg' ? printable(value) : value
}
