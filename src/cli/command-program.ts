/**
 * The command line of `parentfs`: every command, argument and option. Each command's own file is loaded when it is
 * called.
 */
import { Command } from 'commander'
import { readVersion } from '../daemon/config/version.ts'
import { defineCompletion } from './definitions/define-completion.ts'
import {
  defineMetrics,
  defineReload,
  defineSet,
  defineStatus,
  defineTop,
  defineUpgrade,
} from './definitions/define-daemon.ts'
import { defineFleet } from './definitions/define-fleet.ts'
import {
  defineExplain,
  defineImages,
  defineLocations,
  definePin,
  definePromote,
  defineVerify,
} from './definitions/define-images.ts'
import { defineCheckConfig, defineMount, defineUnmount } from './definitions/define-mount.ts'
import { definePlan } from './definitions/define-plan.ts'
import { defineProfile } from './definitions/define-profile.ts'
import { defineSeal } from './definitions/define-seal.ts'
import { defineBench, defineDoctor, defineInit, defineSupportBundle } from './definitions/define-setup.ts'
import { defineDrain, defineEvict, defineMode, defineMoveCache, defineRemove } from './definitions/define-tier.ts'
import { defineWeb } from './definitions/define-web.ts'
import type { Ended } from './output/argument-parsers.ts'
import { exitCodes } from './output/exit-codes.ts'

export interface ProgramHooks {
  /** Hears the exit code of a command that ran. */
  readonly ended: Ended
  /** Hears complaints of the parser, several lines at times. */
  readonly writeError: (text: string) => void
}

/** The program, to be parsed; throws CommanderError instead of exiting. */
export function createProgram({ ended, writeError }: ProgramHooks): Command {
  const program = new Command('parentfs')
    .description('Presents VM parent images as files, read through a cache on a local SSD.')
    .version(readVersion())
    .exitOverride()
    .configureOutput({ writeErr: writeError })
    .showSuggestionAfterError()
    .hook('preAction', (_program, command) => refuseEmpty(command))
    .addHelpText(
      'after',
      `\nExit codes:\n${exitCodes.map(([code, means]) => `  ${`${code}`.padEnd(4)} ${means}`).join('\n')}`,
    )
  for (const define of [
    defineDoctor,
    defineInit,
    defineMount,
    defineCheckConfig,
    defineStatus,
    defineImages,
    definePromote,
    defineEvict,
    defineDrain,
    defineRemove,
    defineMoveCache,
    definePin,
    defineMode,
    defineProfile,
    defineSeal,
    defineExplain,
    defineLocations,
    defineVerify,
    defineSet,
    definePlan,
    defineReload,
    defineUpgrade,
    defineTop,
    defineFleet,
    defineMetrics,
    defineWeb,
    defineBench,
    defineSupportBundle,
    defineUnmount,
    defineCompletion,
  ]) {
    define(program, ended)
  }
  adviseIn(program, '')
  return program
}

/** Complaints of a command name the command whose help to read. @param above its names, from the program down */
function adviseIn(command: Command, above: string): void {
  for (const each of command.commands) adviseIn(each, `${above} ${each.name()}`)
  const help = above.trim().split(' ')[0] || '[COMMAND]'
  command.configureOutput({ outputError: (text, write) => write(withAdvice(text, help)) })
}

/**
 * An empty word, as a variable that is not set leaves behind, would mean the working directory, or any name. Options
 * with a parser of their own refuse it there: what they make of a word may be empty.
 */
function refuseEmpty(command: Command): void {
  const args = command.registeredArguments.filter((_, at) => command.args[at] === '').map(each => each.name())
  const plain = command.options.filter(({ parseArg }) => parseArg === undefined)
  const options = plain.filter(each => command.getOptionValue(each.attributeName()) === '')
  const [first] = [...args, ...options.map(({ flags }) => `option '${flags}'`)]
  if (first !== undefined) command.error(`error: ${first}: it is empty: is a variable not set?`)
}

/** The parser's complaints in the shape of ours; those about unknown words, which have none, get advice. */
function withAdvice(complaint: string, help: string): string {
  const text = complaint
    .trim()
    .replace(
      /command-argument value '(.*)' is invalid for argument '(.*)'\. Allowed choices are (.*)\./,
      '$2: "$1" is none of $3',
    )
    .replace(/(option '.*') argument '(.*)' is invalid\. Allowed choices are (.*)\./, '$1: "$2" is none of $3')
    // Parsers of ours name the word themselves.
    .replace(/command-argument value '.*' is invalid for argument '(.*)'\. /, '$1: ')
    .replace(/(option '.*') argument '.*' is invalid\. /, '$1: ')
  const lacks = /^error: (unknown|missing|too many)|argument missing$/.test(text) && !text.includes('Did you mean')
  return lacks ? `${text.replace(/\.$/, '')}: see "parentfs help ${help}"\n` : `${text}\n`
}
