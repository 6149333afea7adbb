/**
 * The choice of a mount, the same for every command: `[MOUNTPOINT]` or `-m DIR`, and neither where only one is mounted.
 * Commands about an image take the image first, and its mount by `-m`.
 */
import type { Command } from 'commander'

export interface OnMount {
  readonly mountpoint?: string
}

/** Adds `[mountpoint]` and `-m`. */
export function onMount(command: Command, absent = 'may be left out where only one is mounted'): Command {
  return withMountOption(command.argument('[mountpoint]', absent), 'the same as the argument')
}

/** Adds `-m` alone: for commands whose arguments are something else. */
export function withMountOption(command: Command, what = 'which mount (default: the only one)'): Command {
  return command.option('-m, --mountpoint <dir>', what)
}

/**
 * The mount that was chosen; null: none.
 * @throws CommanderError when the argument and `-m` are two different ones
 */
export function chosenMount(command: Command, argument: string | undefined, { mountpoint }: OnMount): string | null {
  if (argument !== undefined && mountpoint !== undefined && argument !== mountpoint)
    command.error(`error: ${argument} and -m ${mountpoint} are two mounts: give one of them`)
  return argument ?? mountpoint ?? null
}

/** A command of `parent` about one image of one mount. */
export function ofImage(parent: Command, name: string, description: string): Command {
  const command = parent
    .command(name)
    .copyInheritedSettings(parent)
    .description(description)
    .argument('<image>', 'its name, as "parentfs images" shows it, or the path of its file')
  return withMountOption(command, 'which mount (default: the one that the path is in, or the only one)')
}
