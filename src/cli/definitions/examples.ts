/**
 * Examples at the end of each command's help. test/cli/definitions/examples.ts has the parser read every one of them.
 */
import type { Command } from 'commander'

const known = new WeakMap<Command, readonly string[]>()

/** Adds lines to the help of `command`, each a whole call that begins with `parentfs`. */
export function addExamples(command: Command, ...calls: readonly string[]): Command {
  known.set(command, calls)
  const heading = calls.length === 1 ? 'Example' : 'Examples'
  return command.addHelpText('after', `\n${heading}:\n${calls.map(call => `  ${call}`).join('\n')}`)
}

/** The examples of a command; none where it has none. */
export function examplesOf(command: Command): readonly string[] {
  return known.get(command) ?? []
}
