/**
 * What a command says to people: a line at a time, whatever stands in it. Names of images, validators and reasons are text of others,
 * see printable.ts. What is meant for programs (JSON, metrics, scripts) does not come through here.
 */
import { printable } from '../../base/printable.ts'

/** A line of the result. */
export function say(line: string): void {
  process.stdout.write(`${printable(line)}\n`)
}

/** A line beside the result. */
export function remark(line: string): void {
  process.stderr.write(`${printable(line)}\n`)
}
