/**
 * Definitions of the commands about a running daemon.
 */
import type { Command } from 'commander'
import { parseDuration, parseSize } from '../../base/sizes.ts'
import { type Ended, value } from '../output/argument-parsers.ts'

export function defineStatus(program: Command, ended: Ended): void {
  const status = program.command('status').copyInheritedSettings(program)
  status
    .description('Say how the mount on MOUNTPOINT is doing, or all mounts.')
    .argument('[mountpoint]')
    .option('--json', 'for machines: one object, or an array for all mounts')
    .action(async (mountpoint: string | undefined, { json = false }: { json?: boolean }) => {
      const module = await import('../commands/status.ts')
      ended(await module.status(mountpoint ?? null, json))
    })
}

export function defineReload(program: Command, ended: Ended): void {
  const reload = program.command('reload').copyInheritedSettings(program)
  reload
    .description(
      'Read the configuration file of the mount again, and say what took effect; exits 1 when something waits for a remount.',
    )
    .argument('[mountpoint]', 'may be left out where only one is mounted')
    .action(async (mountpoint: string | undefined) => {
      const module = await import('../commands/reload.ts')
      ended(await module.reload(mountpoint ?? null))
    })
}

export function defineUpgrade(program: Command, ended: Ended): void {
  const upgrade = program.command('upgrade').copyInheritedSettings(program)
  upgrade
    .description('Have another worker take over the mount, of this or of another version; readers wait for a moment.')
    .argument('<mountpoint>')
    .option('--to <dir>', 'where the other version was built: its dist/ is there')
    .action(async (mountpoint: string, { to }: { to?: string }) => {
      const module = await import('../commands/upgrade.ts')
      ended(await module.upgrade(mountpoint, to ?? null))
    })
}

export function defineVerify(program: Command, ended: Ended): void {
  const verify = program.command('verify').copyInheritedSettings(program)
  verify
    .description(
      'Compare what is held of IMAGE, or of all, with its checksums and digests. Exits 1 when anything was bad.',
    )
    .argument('<mountpoint>')
    .argument('[image]', 'its name, as "parentfs status" shows it')
    .action(async (mountpoint: string, image: string | undefined) => {
      const module = await import('../commands/verify.ts')
      ended(await module.verify(mountpoint, image ?? null))
    })
}

export function defineSet(program: Command, ended: Ended): void {
  const set = program.command('set').copyInheritedSettings(program).description('Change a setting of a running mount.')
  set
    .command('capacity')
    .copyInheritedSettings(program)
    .description('Set another capacity until the daemon ends; returns when the cache has shrunk to it.')
    .argument('<mountpoint>')
    .argument('<size>', 'like 10GiB', value(parseSize))
    .action(async (mountpoint: string, capacityBytes: number) => {
      const module = await import('../commands/set-capacity.ts')
      ended(await module.setCapacity(mountpoint, capacityBytes))
    })
}

export function defineMetrics(program: Command, ended: Ended): void {
  const metrics = program.command('metrics').copyInheritedSettings(program)
  metrics
    .description('Print the metrics of a mount in the text format of Prometheus.')
    .argument('[mountpoint]', 'may be left out where only one is mounted')
    .action(async (mountpoint: string | undefined) => {
      const module = await import('../commands/metrics.ts')
      ended(await module.metrics(mountpoint ?? null))
    })
}

export function defineTop(program: Command, ended: Ended): void {
  const top = program.command('top').copyInheritedSettings(program)
  top
    .description('Show rates of hits and misses, and the busiest images, each second. q or Ctrl-C ends it.')
    .argument('[mountpoint]')
    .option('--interval <duration>', 'how often to look, like 1s', value(parseDuration), 1000)
    .option('--once', 'look once, over one interval')
    .option('--batch', 'plain text that scrolls, also on a terminal')
    .action(async (mountpoint: string | undefined, options: { interval: number; once?: boolean; batch?: boolean }) => {
      const module = await import('../commands/top.ts')
      const { interval, once = false, batch = false } = options
      ended(await module.top({ path: mountpoint ?? null, intervalMs: interval, once, batch }))
    })
}
