#!/usr/bin/env -S node --inspect-port=[fe80::1]:9229
/**
 * The command `parentfs`: how it runs, and how it fails. What it is called with is in command-program.ts.
 *
 * A failure is one line on standard error, `parentfs: what, where, what to do`; exit-codes.ts has what it exits with.
 */
import '../base/no-inspector.ts'
import { CommanderError } from 'commander'
import { messageOf } from '../base/errors.ts'
import { printable, printableLines } from '../base/printable.ts'
import { ConfigurationError } from '../daemon/config/configuration-error.ts'
import { createProgram } from './command-program.ts'
import { failedExitCode, usageExitCode } from './output/exit-codes.ts'
import { withoutErrno } from './output/plain-errors.ts'

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // The reader has seen enough, as in `parentfs images | head`.
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(asOneLine(`error: standard output cannot be written: ${messageOf(error)}`))
  process.exit(failedExitCode)
})
try {
  process.exitCode = await run(process.argv)
} catch (error) {
  process.exitCode = report(error)
}

/** @returns the exit code */
async function run(argv: readonly string[]): Promise<number> {
  let exitCode = 0
  const program = createProgram({
    ended: code => {
      exitCode = code
    },
    writeError: text => void process.stderr.write(asOneLine(text)),
  })
  // Help with a command that is not there would be that with all of them, without a word about it.
  const [node = '', script = '', word, name] = argv
  const isKnown = name === undefined || name.startsWith('-') || program.commands.some(each => each.name() === name)
  await program.parseAsync(word === 'help' && !isKnown ? [node, script, name] : argv)
  return exitCode
}

/** @returns the exit code */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : usageExitCode
  process.stderr.write(asOneLine(`error: ${withoutErrno(messageOf(error))}`))
  if (process.env.PARENTFS_LOG === 'debug' && error instanceof Error)
    process.stderr.write(`${printableLines(`${error.stack}`)}\n`)
  return error instanceof ConfigurationError ? usageExitCode : failedExitCode
}

/** Help stays as it is; a complaint becomes one line under our name. */
function asOneLine(text: string): string {
  if (!text.startsWith('error: ')) return text
  const words = text.slice('error: '.length).trim()
  return `parentfs: ${printable(words.replace(/\s*\n\s*/g, ' '))}\n`
}
