/** parentfs itself, by the real command. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Status } from '../../src/admin/status.ts'
import { parentfs as command } from '../demo/command.ts'
import type { Contender, Place, Running } from './contender.ts'
import { unmountLazily } from './process.ts'

/** @param options of `parentfs mount`, besides the origin, the mountpoint and the cache directory */
export function parentfsContender(name: string, ...options: readonly string[]): Contender {
  const start = (place: Place) => startParentfs(place, options)
  return { name, programs: [], far: true, keeps: true, start }
}

/** @param options of `parentfs mount`; with --config the file names the origin and the cache directory */
export async function startParentfs(place: Place, options: readonly string[]): Promise<Running> {
  const { directory, originUrl, imageName } = place
  const mountpoint = join(directory, 'mnt')
  await mkdir(mountpoint, { recursive: true })
  const cache = ['--cache-dir', join(directory, 'cache'), '--capacity', '4GiB']
  const places = options.includes('--config') ? [mountpoint] : [originUrl, mountpoint, ...cache]
  await command('mount', ...places, ...options, '--background')
  const { pid, supervisorPid } = JSON.parse(await command('status', mountpoint, '--json')) as Status
  return {
    path: join(mountpoint, imageName),
    pids: () => [pid, supervisorPid],
    stop: async () => {
      await command('unmount', mountpoint)
    },
    kill: async () => {
      await command('unmount', mountpoint, '--force').catch(() => unmountLazily(mountpoint))
    },
  }
}
