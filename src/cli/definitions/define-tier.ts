/**
 * Definitions of the commands that steer the cache as a tier: modes, and emptying it.
 */
import { Argument, type Command } from 'commander'
import { type CacheMode, cacheModes } from '../../cache/modes/cache-mode.ts'
import type { Ended } from '../output/argument-parsers.ts'
import { addExamples } from './examples.ts'
import { type OnMount, withMountOption } from './mount-choice.ts'

interface OnOrigin extends OnMount {
  readonly origin?: string
}

const image = 'its name, as "parentfs images" shows it, or the path of its file'
const ofImageOrOnly = 'which mount (default: the one that the path is in, or the only one)'
const ofOrigin = 'of this origin, by its directory or its URL'

export function defineMode(program: Command, ended: Ended): void {
  const mode = program
    .command('mode')
    .copyInheritedSettings(program)
    .description(
      'Say the MODE of the mount, of an origin or of IMAGE, and show all that are in force; without one, show them. Restarts keep them.',
    )
    .addArgument(new Argument('[mode]', 'configured: as the configuration says').choices([...cacheModes, 'configured']))
    .argument('[image]', image)
    .option('--origin <name>', ofOrigin)
    .option('--json', 'for machines: an array')
  withMountOption(mode, ofImageOrOnly).action(
    async (said: string | undefined, named: string | undefined, options: OnOrigin & { readonly json?: boolean }) => {
      const module = await import('../commands/mode.ts')
      const { origin = null, mountpoint = null, json = false } = options
      const wanted = said === 'configured' ? null : (said as CacheMode | undefined)
      ended(await module.modeCommand({ mode: wanted, image: named ?? null, origin, path: mountpoint, json }))
    },
  )
  addExamples(mode, 'parentfs mode', 'parentfs mode proxy --origin near', 'parentfs mode configured debian.raw')
}

export function defineEvict(program: Command, ended: Ended): void {
  const evict = program
    .command('evict')
    .copyInheritedSettings(program)
    .description('Free what the cache holds of IMAGE, or of all. Whoever reads it goes on reading, from the origin.')
    .argument('[image]', image)
    .option('--all', 'of every image, but for pinned ones and files that the kernel reads by itself')
    .option('--origin <name>', `with --all: ${ofOrigin}`)
  withMountOption(evict, ofImageOrOnly).action(
    async (named: string | undefined, options: OnOrigin & { readonly all?: boolean }) => {
      const { all = false, origin = null, mountpoint = null } = options
      if (all === (named !== undefined) || (origin !== null && !all)) {
        evict.error('error: evict needs an IMAGE, or --all, perhaps with --origin NAME')
      }
      if (named === undefined) {
        const module = await import('../commands/drain.ts')
        return ended(await module.emptyCommand({ what: 'evict-all', origin, path: mountpoint }))
      }
      const module = await import('../commands/evict.ts')
      ended(await module.evict(named, mountpoint))
    },
  )
  addExamples(evict, 'parentfs evict debian.raw -m /srv/parents', 'parentfs evict --all --origin near')
}

export function defineDrain(program: Command, ended: Ended): void {
  const drain = program
    .command('drain')
    .copyInheritedSettings(program)
    .description(
      'Keep nothing more (mode proxy) and empty the cache; returns when nothing is held, and names what it waits for until then. Ctrl-C stops it; the mode stays.',
    )
    .option('--origin <name>', ofOrigin)
  withMountOption(drain).action(async (options: OnOrigin) => {
    const { origin = null, mountpoint = null } = options
    const module = await import('../commands/drain.ts')
    ended(await module.emptyCommand({ what: 'drain', origin, path: mountpoint }))
  })
  addExamples(drain, 'parentfs drain --origin near')
}

export function defineRemove(program: Command, ended: Ended): void {
  const remove = program
    .command('remove')
    .copyInheritedSettings(program)
    .description(
      'Take ORIGIN out of a mount in use: its images vanish from listings, files that are open go on, and at the end nothing of it is in the cache. Names what it waits for; Ctrl-C stops the waiting alone. Take it out of the configuration, too.',
    )
    .argument('<origin>', 'its directory or its URL')
  withMountOption(remove).action(async (origin: string, { mountpoint }: OnMount) => {
    const module = await import('../commands/drain.ts')
    ended(await module.removeCommand(origin, mountpoint ?? null))
  })
  addExamples(remove, 'parentfs remove near')
}

export function defineMoveCache(program: Command, ended: Ended): void {
  const move = program
    .command('move-cache')
    .copyInheritedSettings(program)
    .description(
      'Exchange the cache directory for DIR, which is empty, while readers go on. The cache begins empty there; names, pins and modes stay, and the old directory is emptied.',
    )
    .argument('<dir>', 'on another disk, perhaps')
  withMountOption(move).action(async (to: string, { mountpoint }: OnMount) => {
    const module = await import('../commands/move-cache.ts')
    ended(await module.moveCache(to, mountpoint ?? null))
  })
  addExamples(move, 'parentfs move-cache /mnt/nvme1/parentfs')
}
