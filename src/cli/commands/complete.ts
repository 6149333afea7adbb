/**
 * Shell completion: words of the command line, and live names of images and mountpoints from the daemons that answer.
 *
 * The scripts in completion-scripts.ts hand over the words and print the answer; `:files` and `:directories` stand for
 * what the shell itself knows best.
 */

import type { Argument, Command, Option } from 'commander'
import { fetchStatus } from '../../admin/admin-client.ts'
import { socketPath, trustedRuntimeDirectory } from '../../admin/socket-path.ts'
import type { Status } from '../../admin/status.ts'
import { withTimeout } from '../../async/with-timeout.ts'
import { CacheError } from '../../base/errors.ts'
import { printable } from '../../base/printable.ts'
import { resolveMountpoint } from '../../daemon/mount/mountpoint.ts'
import { completionEachMsMax, completionMsMax, completionNamesMax } from './limits.ts'
import { answeringStatuses } from './target.ts'

/** Names that daemons know; a fake in tests. */
export interface LiveNames {
  mountpoints(): Promise<readonly string[]>
  /** @param mountpoint null: the only mount */
  images(mountpoint: string | null): Promise<readonly string[]>
}

/** Names of values: of arguments, and of what stands in the angle brackets of options. */
const kinds: Readonly<Record<string, 'mountpoints' | 'images' | ':files' | ':directories'>> = {
  mountpoint: 'mountpoints',
  image: 'images',
  file: ':files',
  dir: ':directories',
}

/**
 * Candidates for the last of `words`, which may be empty. Never rejects: a daemon that cannot be asked gives no names.
 * @param words after the program's name
 */
export async function complete(
  program: Command,
  words: readonly string[],
  live: LiveNames,
): Promise<readonly string[]> {
  const prefix = words.at(-1) ?? ''
  const { command, option, position, mountpoint } = walk(program, words.slice(0, -1))
  const candidates = option
    ? await valuesOf(option, live)
    : prefix.startsWith('-')
      ? flagsOf(command)
      : await wordsOf(command, position, mountpoint, live)
  // A name that no shell could show as it is cannot be chosen by sight.
  const shown = candidates.filter(candidate => candidate === printable(candidate))
  return shown.filter(candidate => candidate.startsWith(':') || candidate.startsWith(prefix))
}

/** Names from those daemons of this machine that answer at once. */
export const liveNames: LiveNames = liveNamesIn(() => trustedRuntimeDirectory())

/** @param directory where the sockets of daemons lie */
export function liveNamesIn(directory: () => string): LiveNames {
  /** A late one is not among them. */
  const answering = async () => answeringStatuses(directory(), completionEachMsMax)
  const statusOf = async (mountpoint: string | null) => {
    if (mountpoint === null) return onlyOne(await answering())
    return fetchStatus(socketPath(await resolveMountpoint(mountpoint), directory()))
  }
  return {
    mountpoints: () => soon(answering().then(statuses => statuses.map(({ mountpoint }) => mountpoint))),
    images: mountpoint =>
      soon(
        statusOf(mountpoint).then(status =>
          (status?.images ?? []).slice(0, completionNamesMax).map(({ name }) => name),
        ),
      ),
  }
}

function onlyOne(statuses: readonly Status[]): Status | null {
  return statuses.length === 1 ? statuses[0]! : null
}

function soon(names: Promise<readonly string[]>): Promise<readonly string[]> {
  return withTimeout(completionMsMax, names, () => new CacheError('closed', 'too late')).catch(() => [])
}

/** The place that the words before the last one lead to. */
interface Place {
  readonly command: Command
  /** The option whose value comes next. */
  readonly option: Option | null
  /** The number of the command's arguments so far. */
  readonly position: number
  readonly mountpoint: string | null
}

function walk(program: Command, words: readonly string[]): Place {
  let place: Place = { command: program, option: null, position: 0, mountpoint: null }
  for (const word of words) {
    const { command, option, position } = place
    const below = command.commands.find(each => each.name() === word)
    if (option) {
      place = { ...place, option: null, mountpoint: option.long === '--mountpoint' ? word : place.mountpoint }
    } else if (word.startsWith('-')) {
      const said = command.options.find(({ long, short }) => long === word || short === word)
      place = { ...place, option: said && (said.required || said.optional) ? said : null }
    } else if (below && position === 0) {
      place = { ...place, command: below }
    } else {
      place = { ...place, position: position + 1 }
    }
  }
  return place
}

function flagsOf(command: Command): string[] {
  const visible = command.createHelp().visibleOptions(command)
  return visible.flatMap(({ long, short }) => long ?? short ?? [])
}

async function valuesOf(option: Option, live: LiveNames): Promise<readonly string[]> {
  if (option.argChoices) return option.argChoices
  if (option.long === '--mountpoint') return live.mountpoints()
  const kind = kinds[/<(.*)>/.exec(option.flags)?.[1] ?? '']
  return kind?.startsWith(':') ? [kind] : []
}

async function wordsOf(
  command: Command,
  position: number,
  mountpoint: string | null,
  live: LiveNames,
): Promise<readonly string[]> {
  const below = command.createHelp().visibleCommands(command)
  if (below.length > 0) return position === 0 ? below.map(each => each.name()) : []
  const argument: Argument | undefined = command.registeredArguments[position]
  if (!argument) return []
  if (argument.argChoices) return argument.argChoices
  // Nothing is mounted yet where a mount will be.
  if (command.name() === 'mount') return argument.name() === 'mountpoint' ? [':directories'] : []
  const kind = kinds[argument.name()]
  if (kind === 'mountpoints') return live.mountpoints()
  // A path of the image is a file of the mount.
  if (kind === 'images') return [...(await live.images(mountpoint)), ':files']
  return kind ? [kind] : []
}
