/**
 * Definitions of the commands about a running daemon.
 */
import type { Command } from 'commander'
import { parseDuration, parseSize } from '../../base/sizes.ts'
import { type Ended, value } from '../output/argument-parsers.ts'
import { addExamples } from './examples.ts'
import { chosenMount, type OnMount, onMount } from './mount-choice.ts'

export function defineStatus(program: Command, ended: Ended): void {
  const status = program.command('status').copyInheritedSettings(program)
  onMount(status, 'all mounts where it is left out')
    .description('Say how the mount on MOUNTPOINT is doing, or all mounts.')
    .option('--json', 'for machines: one object, or an array for all mounts')
    .action(async (mountpoint: string | undefined, options: OnMount & { json?: boolean }) => {
      const module = await import('../commands/status.ts')
      ended(await module.status(chosenMount(status, mountpoint, options), options.json ?? false))
    })
  addExamples(status, 'parentfs status', 'parentfs status /srv/parents --json')
}

export function defineReload(program: Command, ended: Ended): void {
  const reload = program.command('reload').copyInheritedSettings(program)
  onMount(reload)
    .description(
      'Read the configuration file of the mount again, and say what took effect; exits 1 when something waits for a remount.',
    )
    .action(async (mountpoint: string | undefined, options: OnMount) => {
      const module = await import('../commands/reload.ts')
      ended(await module.reload(chosenMount(reload, mountpoint, options)))
    })
  addExamples(reload, 'parentfs reload', 'parentfs reload /srv/parents')
}

export function defineUpgrade(program: Command, ended: Ended): void {
  const upgrade = program.command('upgrade').copyInheritedSettings(program)
  onMount(upgrade)
    .description('Have another worker take over the mount, of this or of another version; readers wait for a moment.')
    .option('--to <dir>', 'where the other version was built: its dist/ is there')
    .action(async (mountpoint: string | undefined, options: OnMount & { to?: string }) => {
      const module = await import('../commands/upgrade.ts')
      ended(await module.upgrade(chosenMount(upgrade, mountpoint, options), options.to ?? null))
    })
  addExamples(upgrade, 'parentfs upgrade /srv/parents', 'parentfs upgrade /srv/parents --to /opt/parentfs-0.2')
}

export function defineSet(program: Command, ended: Ended): void {
  const set = program.command('set').copyInheritedSettings(program).description('Change a setting of a running mount.')
  const capacity = set.command('capacity').copyInheritedSettings(program)
  onMount(
    capacity
      .description('Set another capacity until the daemon ends; returns when the cache has shrunk to it.')
      .argument('<size>', 'like 10GiB; may stand behind the mountpoint, too'),
  ).action(async (first: string, second: string | undefined, options: OnMount) => {
    // A size has no slash, and a mountpoint without one is written ./DIR.
    const isTurned = second !== undefined && first.includes('/')
    const [size, mountpoint] = isTurned ? [second, first] : [first, second]
    const capacityBytes = sizeOf(capacity, size)
    const module = await import('../commands/set-capacity.ts')
    ended(await module.setCapacity(chosenMount(capacity, mountpoint, options), capacityBytes))
  })
  addExamples(capacity, 'parentfs set capacity 20GiB', 'parentfs set capacity 20GiB /srv/parents')
}

function sizeOf(command: Command, text: string): number {
  try {
    return value(parseSize)(text)
  } catch (error) {
    return command.error(`error: size: ${(error as Error).message}`)
  }
}

export function defineMetrics(program: Command, ended: Ended): void {
  const metrics = program.command('metrics').copyInheritedSettings(program)
  onMount(metrics)
    .description('Print the metrics of a mount in the text format of Prometheus.')
    .action(async (mountpoint: string | undefined, options: OnMount) => {
      const module = await import('../commands/metrics.ts')
      ended(await module.metrics(chosenMount(metrics, mountpoint, options)))
    })
  addExamples(metrics, 'parentfs metrics', 'parentfs metrics -m /srv/parents')
}

export function defineTop(program: Command, ended: Ended): void {
  const top = program.command('top').copyInheritedSettings(program)
  onMount(top)
    .description('Show rates of hits and misses, and the busiest images, each second. q or Ctrl-C ends it.')
    .option('--interval <duration>', 'how often to look, like 1s (default: 1s)', value(parseDuration))
    .option('--once', 'look once, over one interval')
    .option('--batch', 'plain text that scrolls, also on a terminal')
    .action(
      async (
        mountpoint: string | undefined,
        options: OnMount & { interval?: number; once?: boolean; batch?: boolean },
      ) => {
        const module = await import('../commands/top.ts')
        const { interval = 1000, once = false, batch = false } = options
        ended(await module.top({ path: chosenMount(top, mountpoint, options), intervalMs: interval, once, batch }))
      },
    )
  addExamples(top, 'parentfs top', 'parentfs top /srv/parents --once --interval 5s')
}
