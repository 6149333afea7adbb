/**
 * Lines of the log for people: pino-pretty's, in which text that others chose cannot steer a terminal, nor look like lines of ours.
 */
import { prettyFactory } from 'pino-pretty'
import { printable, printableLines } from '../../base/printable.ts'

/** @returns what makes such lines of a line of JSON */
export function prettyLines(colorize: boolean): (line: string) => string {
  const format = prettyFactory({ colorize, ignore: 'pid,hostname' })
  // Of what stands there as JSON, the escapes of JSON have come already; colours begin with the one that is left.
  return line => format(JSON.parse(line, withoutEscapes)).split('\u001b').map(printableLines).join('\u001b')
}

/** What pino-pretty shows as it is: the message, and stack traces, which have several lines. */
function withoutEscapes(key: string, value: unknown): unknown {
  if (typeof value !== 'string') return value
  if (key === 'stack') return printableLines(value)
  return key === 'msg' ? printable(value) : value
}
