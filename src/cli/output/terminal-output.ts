/**
 * Output for people: a line at a time, safe whatever it contains. Names of images, validators and reasons are foreign
 * text: see printable.ts. Output for programs (JSON, metrics, scripts) does not come through here.
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
